"""The chat platforms the sandbox stands in for, as the page shows them; a new one is a line here."""

from typing import Final

from chatops_site.sandbox.dingtalk.robot import DingTalk
from chatops_site.sandbox.feishu.app import Feishu
from chatops_site.sandbox.slack.app import Slack
from chatops_site.sandbox.stand import ChatStand
from chatops_site.sandbox.wecom.aibot import WeComAibot
from chatops_site.sandbox.wecom.app import WeCom

# The order is that of the page's tabs; the first one is meant where none is named.
CHATS: Final[dict[str, type[ChatStand]]] = {
    "dingtalk": DingTalk,
    "feishu": Feishu,
    "wecom": WeCom,
    "wecom_aibot": WeComAibot,
    "slack": Slack,
}


def bot_name(prefix: str, platform: str) -> str:
    """The name of a platform's bot in the portal: the first one's is the prefix itself."""
    if platform == next(iter(CHATS)):
        return prefix
    return f"{prefix}-{platform.replace('_', '-')}"
