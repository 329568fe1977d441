"""The chat platforms there are: name → dotted path. A new one is one file and one line here."""

from typing import Final

PLATFORMS: Final[dict[str, str]] = {
    "dingtalk": "bot.platforms.dingtalk.DingTalk",
    "feishu": "bot.platforms.feishu.Feishu",
    "wecom": "bot.platforms.wecom.WeCom",
    "wecom_aibot": "bot.platforms.wecom_aibot.WeComAibot",
    "slack": "bot.platforms.slack.Slack",
    "comments": "bot.platforms.comments.Comments",
    "console": "bot.platforms.console.Console",
}
