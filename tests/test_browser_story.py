"""The whole story as people live it: the demo, its chat page and the admin, in a real browser."""

import re
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import (
    NARROW,
    PATIENCE,
    WIDE,
    ChatPage,
    Demo,
    Window,
    browser_fixture,
    demo_fixture,
    window,
)

__all__ = ["browser_fixture", "demo_fixture"]

# Phones in the plain suite, desks in make check.
SIZES: Final = [
    pytest.param(WIDE, marks=pytest.mark.full, id="1440"),
    pytest.param(NARROW, id="390"),
]
OPENED: Final = (
    "",
    "bot/bot/",
    "bot/person/",
    "bot/grant/",
    "repos/forge/",
    "repos/job/",
    "bot/reply/",
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", name="story")
def story_fixture(demo: Demo, browser: Browser) -> dict[str, str]:
    """张三 looks, approves, tests, merges and deploys; what was typed → what was answered."""
    chat = ChatPage(window(browser, WIDE), demo, "zhangsan")
    told = {
        "/prs": r"待合并",
        "/approve 233": r"✅",
        "/test 233": r"✅",
        "/merge 233": r"✅",
        "/deploy myservice": r"to staging",
        "/deploy myservice to staging": r"✅",
    }
    answers = {text: chat.say(text, answered=end) for text, end in told.items()}
    chat.expect_all_delivered()
    chat.window.is_fine()
    return answers


def test_zhang_san_takes_a_change_from_the_list_to_staging(story: dict[str, str]) -> None:
    assert "#233 修复支付回调" in story["/prs"]
    assert "#234 Add invoice export" in story["/prs"]
    assert "已批准 shop#233" in story["/approve 233"]
    assert "测试通过：shop#233" in story["/test 233"]
    assert re.search(r"已合并 shop#233 到 master，提交 [0-9a-f]{7} · squash", story["/merge 233"])


def test_a_service_with_two_environments_is_asked_back_about(story: dict[str, str]) -> None:
    menu = story["/deploy myservice"]

    assert "/deploy myservice to staging" in menu
    assert "/deploy myservice to production" in menu


def test_what_is_deployed_is_the_merged_commit(story: dict[str, str]) -> None:
    merged = re.search(r"提交 ([0-9a-f]{7})", story["/merge 233"])
    assert merged is not None

    assert f"已部署 myservice {merged[1]} 到 staging" in story["/deploy myservice to staging"]


@pytest.mark.parametrize("size", SIZES)
def test_who_may_not_is_refused_and_told_whom_to_ask(
    demo: Demo, browser: Browser, size: tuple[int, int]
) -> None:
    chat = ChatPage(window(browser, size), demo, "zhaoliu")

    refusal = chat.say("/merge 234", answered="⛔")

    assert "需要角色 maintainer" in refusal
    assert "dingtalk user104" in refusal
    assert "张三" in refusal
    chat.window.is_fine()


def test_a_stranger_is_told_their_id_and_nothing_else(demo: Demo, browser: Browser) -> None:
    chat = ChatPage(window(browser, WIDE), demo, "zhangsan")
    chat.speak_as("stranger")

    answer = chat.say("/merge 234", answered="user999")

    assert answer.startswith("⛔")
    assert "shop" not in answer
    chat.window.is_fine()


class Admin:
    """The portal's admin, in English."""

    def __init__(self, window: Window, root: str) -> None:
        self.window, self.page, self.root = window, window.page, root

    def log_in(self, password: str) -> None:
        self.page.goto(self.root)
        self.page.fill("input[name=username]", "admin")
        self.page.fill("input[name=password]", password)
        self.page.press("input[name=password]", "Enter")
        expect(self.page.locator("input[name=password]")).to_have_count(0)

    def open(self, path: str) -> str:
        """The text of that page of the admin."""
        answer = self.page.goto(self.root + path)
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"
        return self.page.locator("#content").inner_text()


@pytest.fixture(scope="module", name="cookies")
def cookies_fixture(demo: Demo, browser: Browser) -> Any:
    """Of one login: hashing the password takes longer than any page."""
    admin = Admin(window(browser, NARROW, locale="en-US"), demo.admin)
    admin.log_in(demo.password)
    return admin.page.context.storage_state()


@pytest.fixture(name="admin", params=SIZES)
def admin_fixture(
    request: pytest.FixtureRequest,
    demo: Demo,
    browser: Browser,
    cookies: Any,
    story: dict[str, str],
) -> Iterator[Admin]:
    """After the story."""
    opened = window(browser, request.param, locale="en-US", storage_state=cookies)
    yield Admin(opened, demo.admin)
    opened.page.context.close()


def test_logging_in_is_without_complaints(demo: Demo, browser: Browser) -> None:
    admin = Admin(window(browser, NARROW, locale="en-US"), demo.admin)

    admin.log_in(demo.password)

    admin.window.is_fine()


def test_the_record_says_who_did_what(admin: Admin) -> None:
    entries = admin.open("audit/entry/?q=shop%23233")

    assert "张三" in entries
    assert "/merge 233" in entries
    assert "发布群" in entries
    admin.window.is_fine()


def test_a_refusal_is_on_record_with_who_asked(admin: Admin) -> None:
    refused = admin.open("audit/entry/?event=access.denied")

    assert "赵六" in refused
    assert "/merge 234" in refused
    admin.window.is_fine()


def test_the_list_of_runs_leads_to_the_story_of_one(admin: Admin) -> None:
    admin.open("bot/run/")
    admin.page.get_by_role("link", name="/merge 233").first.click()

    timeline = admin.page.locator("ol.timeline")
    expect(timeline).to_be_visible()
    told = timeline.inner_text()

    assert "张三" in told
    assert "/merge 233" in told
    assert "张三 已批准" in told
    assert "已合并 shop#233" in told
    admin.window.is_fine()


def test_the_run_of_a_deployment_shows_its_build(admin: Admin, story: dict[str, str]) -> None:
    admin.open("bot/run/?command=deploy")
    admin.page.get_by_role("link", name="/deploy myservice to staging").first.click()

    told = admin.page.locator("ol.timeline").inner_text()

    assert "team/myservice-deploy" in told
    assert "已部署 myservice" in told
    admin.window.is_fine()


def test_the_stranger_waits_in_the_access_requests(admin: Admin) -> None:
    assert "user999" in admin.open("bot/accessrequest/")
    admin.window.is_fine()


def test_the_pages_an_operator_opens_are_whole(admin: Admin) -> None:
    for path in OPENED:
        admin.open(path)

        admin.window.is_fine()


PLACES: Final = {
    "github": "/acme/shop/pull/233",
    "gitlab": "/acme/shop/-/merge_requests/233",
    "gitea": "/acme/shop/pulls/233",
    "gitee": "/acme/shop/pulls/233",
}


@pytest.mark.full
@pytest.mark.parametrize("forge", PLACES)
def test_the_same_story_is_played_at_the_forge_that_is_chosen(
    demo: Demo, browser: Browser, story: dict[str, str], forge: str
) -> None:
    chat = ChatPage(window(browser, WIDE), demo, "zhangsan")
    chat.move_to(forge)

    listed = chat.say("/prs", answered="待合并")
    refused = chat.say("/merge 233", answered="未合并")
    chat.say("/approve 233", answered="已批准")
    chat.say("/test 233", answered="测试通过")
    merged = chat.say("/合并 233", answered="已合并")

    place = PLACES[forge]
    assert "#235 Bump driver" in listed
    assert "还差 1 个审批" in refused
    assert re.search(r"已合并 shop#233 到 master，提交 [0-9a-f]{7}", merged)
    expect(chat.page.locator('[data-testid=pull][data-key="shop#233"]')).to_have_attribute(
        "data-state", "merged"
    )
    assert chat.link_of("shop#233").endswith(place)
    chat.window.is_fine()

    _comment(chat, chat.link_of("shop#234"))


def _comment(chat: ChatPage, pull: str) -> None:
    """李四 asks on the pull request's own page, and reads the answer beneath."""
    page = chat.page
    page.goto(pull)
    page.select_option("[name=login]", "lisi")
    page.fill("[name=body]", "看过了\n\n/ops pr")
    page.get_by_role("button").click()
    answer = page.locator("article", has_text="Add invoice export").last
    until = time.monotonic() + PATIENCE / 1000
    while not answer.is_visible() and time.monotonic() < until:
        time.sleep(0.2)
        page.reload()
    expect(answer).to_contain_text("ChatOps")
    chat.window.is_fine()
