"""The whole story as people live it: the demo, its chat page and the admin, in a real browser."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from chatops_site.sandbox.client import Sandbox
from tests.installed import chromium
from tests.ports import free_block

ROOT: Final = Path(__file__).resolve().parent.parent
WIDE: Final = (1440, 900)
NARROW: Final = (390, 844)
# Phones in the plain suite, desks in make check.
SIZES: Final = [
    pytest.param(WIDE, marks=pytest.mark.full, id="1440"),
    pytest.param(NARROW, id="390"),
]
# A demo build of 6 s takes 0.3 s.
SPEED: Final = 20
# Of one answer: two looks at a build lie 2 s apart.
PATIENCE: Final = 20_000
READY_SECONDS: Final = 45
OPENED: Final = (
    "",
    "bot/bot/",
    "bot/person/",
    "bot/grant/",
    "repos/forge/",
    "repos/job/",
    "bot/reply/",
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@dataclass(frozen=True)
class Demo:
    """Where a running demo is, as it told on its terminal."""

    chat: str
    admin: str
    password: str

    @property
    def sandbox(self) -> Sandbox:
        urls = {"chat": self.chat, "gitee": "", "jenkins": "", "control": f"{self.chat}__control"}
        return Sandbox(urls)

    def refuse_two(self) -> None:
        """What the admin's tests look for, in whatever order they come."""
        for person in ("zhaoliu", "stranger"):
            self.sandbox.say(person, "cid-dev", "/merge 234 shop")
        end = time.monotonic() + READY_SECONDS
        while sum(one["from"] == "bot" for one in self.sandbox.messages()) < 2:
            assert time.monotonic() < end, "nobody was refused"
            time.sleep(0.1)


@pytest.fixture(scope="module", name="demo")
def demo_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo on a clean database, started as `make demo` does it."""
    folder = tmp_path_factory.mktemp("demo")
    known = {k: v for k, v in os.environ.items() if not k.startswith("COV_")}
    line = ["-m", "chatops_site.demo", "--folder", str(folder), "--port", str(free_block())]
    running = subprocess.Popen(
        [sys.executable, *line],
        cwd=ROOT,
        env=known,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # SIGTERM, or its own processes would outlive it.
    watch = threading.Timer(READY_SECONDS, running.terminate)
    watch.start()
    try:
        demo = _demo(running)
        watch.cancel()
        demo.sandbox.set_speed(SPEED)
        demo.refuse_two()
        yield demo
    finally:
        watch.cancel()
        running.send_signal(signal.SIGTERM)
        running.wait(20)


def _demo(running: "subprocess.Popen[str]") -> Demo:
    """Reads what the demo says until it says how to end it."""
    assert running.stdout is not None
    said: list[str] = []
    for line in running.stdout:
        said.append(line)
        if "Ctrl-C" in line:
            break
    text = "".join(said)
    places = re.findall(r"http://127\.0\.0\.1:\d+/(?:admin/)?", text)
    password = re.search(r"admin / (\S+)", text)
    assert len(places) == 2, f"the demo did not start:\n{text}"
    assert password is not None
    return Demo(places[0], places[1], password[1])


@pytest.fixture(scope="module", name="browser")
def browser_fixture() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Window:
    """One page of the browser, and everything that went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        """Chromium reports what the Content-Security-Policy stops as an error."""
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def is_fine(self) -> None:
        """Nothing complained, and nothing has to be scrolled sideways."""
        assert self.complaints == []
        sizes: dict[str, int] = self.page.evaluate(
            "() => ({page: document.documentElement.scrollWidth, window: window.innerWidth})"
        )
        assert sizes["page"] <= sizes["window"], (
            f"{self.page.url} is wider than the window: {sizes}"
        )


def _window(browser: Browser, size: tuple[int, int], **more: Any) -> Window:
    viewport: Any = {"width": size[0], "height": size[1]}
    return Window(browser.new_context(viewport=viewport, **more).new_page())


class ChatPage:
    """The sandbox's chat page, in 发布群."""

    def __init__(self, window: Window, demo: Demo, person: str) -> None:
        self.window, self.page = window, window.page
        self.page.goto(f"{demo.chat}?person={person}&conversation=cid-release&lang=zh-Hans")
        expect(self.page.get_by_test_id("send")).to_be_visible()
        here = self.page.locator("[data-testid=conversation][data-id=cid-release]")
        expect(here).to_have_attribute("aria-current", "true")

    def say(self, text: str, *, answered: str) -> str:
        """Types it, and waits until the bot has said that; gives back the whole answer."""
        before = self._last()
        self.page.get_by_test_id("message-input").fill(text)
        self.page.get_by_test_id("send").click()
        answer = self.page.locator(
            ", ".join(f'[data-from=bot][data-n="{n}"]' for n in range(before + 1, before + 20))
        ).filter(has_text=re.compile(answered))
        expect(answer.first).to_be_visible(timeout=PATIENCE)
        return answer.first.locator(".bubble").inner_text()

    def speak_as(self, person: str) -> None:
        self.page.get_by_test_id("person-select").select_option(person)

    def move_to(self, forge: str) -> None:
        """The repositories go to that forge; who is there already goes away first."""
        chosen = self.page.get_by_test_id("forge-select")
        places = [forge] if chosen.input_value() != forge else ["github", forge]
        for place in places:
            chosen.select_option(place)
            expect(self.page.locator("#notice.done")).to_be_visible(timeout=PATIENCE)
            expect(chosen).to_be_enabled()

    def link_of(self, pull: str) -> str:
        """Where the pane's link of shop#233 leads."""
        card = self.page.locator(f'[data-testid=pull][data-key="{pull}"] a')
        return card.get_attribute("href") or ""

    def expect_all_delivered(self) -> None:
        """Under each message stands how far it came."""
        for told in self.page.get_by_test_id("delivery").all():
            expect(told).to_have_attribute("data-stage", "done")

    def _last(self) -> int:
        numbers: list[int] = self.page.get_by_test_id("message").evaluate_all(
            "found => found.map(each => Number(each.dataset.n))"
        )
        return max(numbers, default=0)


@pytest.fixture(scope="module", name="story")
def story_fixture(demo: Demo, browser: Browser) -> dict[str, str]:
    """张三 looks, approves, tests, merges and deploys; what was typed → what was answered."""
    chat = ChatPage(_window(browser, WIDE), demo, "zhangsan")
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
    chat = ChatPage(_window(browser, size), demo, "zhaoliu")

    refusal = chat.say("/merge 234", answered="⛔")

    assert "需要角色 maintainer" in refusal
    assert "dingtalk user104" in refusal
    assert "张三" in refusal
    chat.window.is_fine()


def test_a_stranger_is_told_their_id_and_nothing_else(demo: Demo, browser: Browser) -> None:
    chat = ChatPage(_window(browser, WIDE), demo, "zhangsan")
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
    admin = Admin(_window(browser, NARROW, locale="en-US"), demo.admin)
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
    window = _window(browser, request.param, locale="en-US", storage_state=cookies)
    yield Admin(window, demo.admin)
    window.page.context.close()


def test_logging_in_is_without_complaints(demo: Demo, browser: Browser) -> None:
    admin = Admin(_window(browser, NARROW, locale="en-US"), demo.admin)

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
    chat = ChatPage(_window(browser, WIDE), demo, "zhangsan")
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
