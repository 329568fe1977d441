"""The commands there are: verb → dotted path. A new one is one file (or class) and one line here."""

from typing import Final

COMMANDS: Final[dict[str, str]] = {
    "help": "bot.commands.help.Help",
    "whoami": "bot.commands.help.WhoAmI",
    "link": "bot.commands.link.Link",
    "prs": "bot.commands.pulls.Pulls",
    "pr": "bot.commands.pulls.Pull",
    "approve": "bot.commands.approve.Approve",
    "test": "bot.commands.test.Test",
    "merge": "bot.commands.merge.Merge",
    "comment": "bot.commands.discuss.Comment",
    "close": "bot.commands.discuss.Close",
    "reopen": "bot.commands.discuss.Reopen",
    "jenkins jobs": "bot.commands.jenkins.Jobs",
    "jenkins describe": "bot.commands.jenkins.Describe",
    "jenkins test": "bot.commands.jenkins.TestService",
    "jenkins build": "bot.commands.jenkins.BuildJob",
    "deploy": "bot.commands.deploy.Deploy",
    "rollback": "bot.commands.deploy.Rollback",
    "status": "bot.commands.history.Status",
    "log": "bot.commands.history.Log",
    "history": "bot.commands.history.History",
    "why": "bot.commands.history.Why",
    "cancel": "bot.commands.cancel.Cancel",
    "retry": "bot.commands.retry.Retry",
}
