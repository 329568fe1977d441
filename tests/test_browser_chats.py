"""The whole story on every pane of the chat page, both ways to the portal, in a real browser."""

import re
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.browser import WIDE, ChatPage, Demo, browser_fixture, demo_fixture, window

__all__ = ["browser_fixture", "demo_fixture"]

# DingTalk's webhooks are the story of test_browser_story.
WAYS: Final = [
    ("dingtalk", "dialled"),
    ("feishu", "http"),
    ("feishu", "dialled"),
    ("wecom", "http"),
    ("wecom_aibot", "http"),
    ("slack", "http"),
    ("slack", "dialled"),
]
PRESSED: Final = {
    ("dingtalk", "dialled"),
    ("feishu", "http"),
    ("feishu", "dialled"),
    ("wecom", "http"),
    ("slack", "http"),
    ("slack", "dialled"),
}

pytestmark = [pytest.mark.browser, pytest.mark.full]


@pytest.mark.parametrize(("platform", "mode"), WAYS)
def test_the_story_is_played_on_every_pane_and_both_ways(
    demo: Demo, browser: Browser, platform: str, mode: str
) -> None:
    chat = ChatPage(window(browser, WIDE), demo, "zhangsan", platform)
    chat.move_to("gitee")
    if mode == "dialled":
        chat.choose_mode("dialled")

    listed = chat.say("/prs", answered="待合并")
    refused = chat.say("/merge 233", answered="未合并")
    chat.say("/approve 233", answered="已批准")
    chat.say("/test 233", answered="测试通过")
    merged = _merged(chat, (platform, mode) in PRESSED)
    deployed = chat.say("/deploy myservice to staging", answered="已部署")

    assert "#235 Bump driver" in listed
    assert "还差 1 个审批" in refused
    found = re.search(r"已合并 shop#233 到 master，提交 ([0-9a-f]{7})", merged)
    assert found is not None
    assert f"已部署 myservice {found[1]}" in deployed
    chat.expect_all_delivered()
    chat.window.is_fine()
    if mode == "dialled":
        chat.choose_mode("http")


def _merged(chat: ChatPage, pressed: bool) -> str:
    """By the button under the pull request where there are buttons, else as it is typed."""
    if not pressed:
        return chat.say("/合并 233", answered="已合并")
    chat.say("/pr 233", answered="修复支付回调")
    return chat.press("合并", answered="已合并")
