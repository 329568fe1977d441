"""The chat platforms there are: name → dotted path. A new one is one file and one line here."""

from typing import Final

PLATFORMS: Final[dict[str, str]] = {
    "dingtalk": "bot.platforms.dingtalk.adapter.DingTalk",
    "feishu": "bot.platforms.feishu.adapter.Feishu",
    "wecom": "bot.platforms.wecom.app.WeCom",
    "wecom_aibot": "bot.platforms.wecom.aibot.WeComAibot",
    "slack": "bot.platforms.slack.adapter.Slack",
    "comments": "bot.platforms.comments.Comments",
    "console": "bot.platforms.console.Console",
}
