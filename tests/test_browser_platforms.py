"""The chat page with a pane for each platform, in a real browser: tabs, buttons, ways to the portal."""

import re
import shlex
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from chatops_site.sandbox.chats import CHATS
from chatops_site.sandbox.client import Sandbox
from tests.installed import chromium
from tests.sandbox_chats import GIVES_UP, StubPortal, post_with_button, update_with_button

WIDE: Final = (1440, 900)
NARROW: Final = (390, 844)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", name="running")
def running_fixture() -> Iterator[Sandbox]:
    portal = StubPortal()
    command = shlex.join([sys.executable, "-c", GIVES_UP, "{bot}"])
    with Sandbox.start("--portal", portal.origin, "--connect", command) as box:
        yield box
    portal.close()


@pytest.fixture(name="box")
def box_fixture(running: Sandbox) -> Iterator[Sandbox]:
    running.reset()
    yield running
    running.choose_mode("slack", "http")


@pytest.fixture(scope="module", name="browser")
def browser_fixture() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(name="page", params=[WIDE, NARROW], ids=["1440", "390"])
def page_fixture(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """Fails the test that leaves a complaint on the console or a page wider than its window."""
    size: Any = dict(zip(("width", "height"), request.param, strict=True))
    page = browser.new_context(viewport=size, locale="en-US").new_page()
    complaints: list[str] = []
    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    page.context.close()


def show(page: Page, box: Sandbox, platform: str = "", **query: str) -> None:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    page.goto(f"{box.chat}/?platform={platform}&{words}")
    expect(page.get_by_test_id("platform-tab")).to_have_count(len(CHATS))


def tab(page: Page, platform: str) -> Any:
    return page.locator(f'[data-testid=platform-tab][data-platform="{platform}"]')


def test_each_platform_has_a_tab_and_its_own_conversations(page: Page, box: Sandbox) -> None:
    box.say("zhangsan", "cid-release", "/help", platform="slack")
    show(page, box, person="zhangsan", conversation="cid-release")
    expect(page.get_by_test_id("message")).to_have_count(0)

    tab(page, "slack").click()

    expect(tab(page, "slack")).to_have_attribute("aria-current", "true")
    expect(page.get_by_test_id("message")).to_have_text(re.compile("/help"))
    tab(page, "wecom").click()
    expect(page.get_by_test_id("conversation")).to_have_count(1)


def test_a_tab_is_reached_and_chosen_by_the_keyboard(page: Page, box: Sandbox) -> None:
    show(page, box)
    tab(page, "dingtalk").focus()

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    second = list(CHATS)[1]
    expect(tab(page, second)).to_have_attribute("aria-current", "true")
    expect(tab(page, second)).to_be_focused()


def test_changing_the_platform_keeps_person_language_and_conversation(
    page: Page, box: Sandbox
) -> None:
    show(page, box, "dingtalk", person="wangfang", lang="zh-Hans", conversation="cid-dev")

    tab(page, "wecom").click()
    expect(page.get_by_test_id("conversation")).to_have_count(1)
    tab(page, "slack").click()

    expect(page.get_by_test_id("person-select")).to_have_value("wangfang")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    here = page.locator("[data-testid=conversation][aria-current]")
    expect(here).to_have_attribute("data-id", "cid-dev")


def test_an_address_may_name_the_platform(page: Page, box: Sandbox) -> None:
    show(page, box, "wecom")

    expect(tab(page, "wecom")).to_have_attribute("aria-current", "true")


def test_an_address_with_a_platform_that_is_not_there_shows_the_first_one(
    browser: Browser, box: Sandbox
) -> None:
    page = browser.new_context().new_page()

    show(page, box, "irc")

    expect(tab(page, next(iter(CHATS)))).to_have_attribute("aria-current", "true")
    page.context.close()


def test_what_is_said_on_another_platform_is_news_on_its_tab(page: Page, box: Sandbox) -> None:
    show(page, box, "dingtalk")

    box.say("zhangsan", "cid-release", "/help", platform="slack")

    expect(tab(page, "slack").locator(".news")).to_have_count(1)
    tab(page, "slack").click()
    expect(tab(page, "slack").locator(".news")).to_have_count(0)


def test_what_is_typed_goes_to_the_platform_that_is_shown(page: Page, box: Sandbox) -> None:
    show(page, box, "slack", person="lisi", conversation="cid-dev")

    page.get_by_test_id("message-input").fill("/prs")
    page.get_by_test_id("send").click()

    expect(page.get_by_test_id("delivery")).to_have_attribute("data-stage", "acknowledged")
    assert [one["text"] for one in box.messages(platform="slack")] == ["/prs"]
    assert box.messages() == []


def test_a_button_is_pressed_as_the_person_chosen(page: Page, box: Sandbox) -> None:
    post_with_button(box)
    show(page, box, "slack", person="lisi", conversation="cid-release")

    page.get_by_test_id("button").filter(has_text="Approve").click()

    expect(page.get_by_test_id("press")).to_have_attribute("data-from", "lisi")
    expect(page.get_by_test_id("press-delivery")).to_have_attribute("data-stage", "acknowledged")


def test_a_message_that_was_changed_in_place_says_so(page: Page, box: Sandbox) -> None:
    show(page, box, "slack", conversation="cid-release")
    n = post_with_button(box)
    expect(page.get_by_test_id("updated")).to_have_count(0)

    update_with_button(box, n, "shop#234 merged")

    expect(page.get_by_test_id("updated")).to_be_visible()
    expect(page.locator(f'[data-n="{n}"] .bubble')).to_have_text("shop#234 merged")
    expect(page.locator(f'[data-n="{n}"]')).to_have_count(1)


def test_why_there_is_no_connection_is_told_and_another_try_is_offered(
    page: Page, box: Sandbox
) -> None:
    show(page, box, "slack")

    page.get_by_test_id("mode-select").select_option("dialled")

    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "ended")
    expect(page.get_by_test_id("connection-reason")).to_contain_text("pip install lark-oapi")
    page.get_by_test_id("connect-again").click()
    expect(page.get_by_test_id("mode-select")).to_be_enabled()
    page.get_by_test_id("mode-select").select_option("http")
    expect(page.get_by_test_id("connection-reason")).to_be_hidden()


def test_what_finds_no_connection_is_told_so(page: Page, box: Sandbox) -> None:
    box.choose_mode("slack", "dialled")
    box.say("zhangsan", "cid-release", "/help", platform="slack")

    show(page, box, "slack", person="zhangsan", conversation="cid-release")

    told = page.get_by_test_id("delivery")
    expect(told).to_have_attribute("data-stage", "unreachable")
    expect(told).to_contain_text("the portal has no connection")


def test_a_platform_with_one_way_offers_no_choice(page: Page, box: Sandbox) -> None:
    show(page, box, "wecom")

    expect(tab(page, "wecom")).to_have_attribute("aria-current", "true")
    expect(page.get_by_test_id("mode-select")).to_be_hidden()
