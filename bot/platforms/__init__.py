"""The chat platforms there are: name → dotted path. A new one is one file and one line here."""

from typing import Final

PLATFORMS: Final[dict[str, str]] = {
    "dingtalk": "bot.platforms.dingtalk.DingTalk",
    "comments": "bot.platforms.comments.Comments",
    "console": "bot.platforms.console.Console",
}
