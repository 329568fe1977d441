"""The demo in a real browser: its processes, a window that hears complaints, and the chat page."""

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

from chatops_site.sandbox.chats import CHATS
from chatops_site.sandbox.client import Sandbox
from tests.installed import chromium
from tests.ports import free_block

ROOT: Final = Path(__file__).resolve().parent.parent
WIDE: Final = (1440, 900)
NARROW: Final = (390, 844)
# A demo build of 6 s takes 0.3 s.
SPEED: Final = 20
# Of one answer: two looks at a build lie 2 s apart.
PATIENCE: Final = 20_000
READY_SECONDS: Final = 45


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
        demo = _read_demo(running)
        watch.cancel()
        demo.sandbox.set_speed(SPEED)
        demo.refuse_two()
        yield demo
    finally:
        watch.cancel()
        running.send_signal(signal.SIGTERM)
        running.wait(20)


def _read_demo(running: "subprocess.Popen[str]") -> Demo:
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


def window(browser: Browser, size: tuple[int, int], **more: Any) -> Window:
    viewport: Any = {"width": size[0], "height": size[1]}
    return Window(browser.new_context(viewport=viewport, **more).new_page())


class ChatPage:
    """The sandbox's chat page, in 发布群, or where there are no groups with the bot alone."""

    def __init__(self, window: Window, demo: Demo, person: str, platform: str = "dingtalk") -> None:
        self.window, self.page = window, window.page
        where = "conversation=cid-release&lang=zh-Hans"
        self.page.goto(f"{demo.chat}?platform={platform}&person={person}&{where}")
        expect(self.page.get_by_test_id("send")).to_be_visible()
        place = f"cid-private-{person}" if CHATS[platform].private_only else "cid-release"
        here = self.page.locator(f"[data-testid=conversation][data-id={place}]")
        expect(here).to_have_attribute("aria-current", "true")

    def say(self, text: str, *, answered: str) -> str:
        """Types it, and waits until the bot has said that; gives back the whole answer."""
        before = self._last()
        self.page.get_by_test_id("message-input").fill(text)
        self.page.get_by_test_id("send").click()
        return self._answer(before, answered)

    def _answer(self, before: int, told: str) -> str:
        """What the bot has said since that message, as soon as it is that."""
        answer = self.page.locator(
            ", ".join(f'[data-from=bot][data-n="{n}"]' for n in range(before + 1, before + 20))
        ).filter(has_text=re.compile(told))
        expect(answer.first).to_be_visible(timeout=PATIENCE)
        return answer.first.locator(".bubble").inner_text()

    def press(self, label: str, *, answered: str) -> str:
        """Presses that button of the last message that has one; the whole answer."""
        before = self._last()
        button = self.page.get_by_test_id("button").filter(has_text=label).last
        button.click()
        return self._answer(before, answered)

    def choose_mode(self, mode: str) -> None:
        """Which way messages go to the portal; over a connection, when it is up."""
        chosen = self.page.get_by_test_id("mode-select")
        chosen.select_option(mode)
        expect(chosen).to_be_enabled(timeout=PATIENCE)
        if mode == "dialled":
            told = self.page.get_by_test_id("connection")
            expect(told).to_have_attribute("data-state", "connected", timeout=PATIENCE)

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
