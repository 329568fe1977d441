"""The chat page's own line to every platform, and the outgoing connections that it begins and ends."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import yaml

from chatops_site.demo.premises import CONFIGURATION
from chatops_site.sandbox import leash
from chatops_site.sandbox.chats import CHATS, bot_name
from chatops_site.sandbox.client import Sandbox, SandboxError
from chatops_site.sandbox.slack.web import BOT_TOKEN
from chatops_site.sandbox.stand import DIALLED, HTTP
from tests.sandbox_chats import CONNECTS, GIVES_UP, StubPortal, post_with_button

PATIENCE: Final = 10.0


@pytest.fixture(scope="module", name="portal")
def portal_fixture() -> Iterator[StubPortal]:
    portal = StubPortal()
    yield portal
    portal.close()


@pytest.fixture(scope="module", name="running")
def running_fixture(portal: StubPortal) -> Iterator[Sandbox]:
    with Sandbox.start("--portal", portal.origin) as box:
        yield box


@pytest.fixture(name="box")
def box_fixture(running: Sandbox, portal: StubPortal) -> Iterator[Sandbox]:
    running.reset()
    portal.heard.clear()
    yield running
    running.choose_mode("slack", HTTP)


def get(box: Sandbox, path: str, **query: Any) -> requests.Response:
    return requests.get(f"{box.chat}/chat/{path}", params=query, timeout=25)


def post(box: Sandbox, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
    return requests.post(f"{box.chat}/chat/{path}", json=body, headers=headers, timeout=25)


def platform(box: Sandbox, name: str) -> dict[str, Any]:
    platforms = get(box, "state").json()["platforms"]
    found: dict[str, Any] = next(one for one in platforms if one["name"] == name)
    return found


def wait_until(holds: Callable[[], object], about: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, about
        time.sleep(0.02)


# What the page is told, and what it may do


def test_the_page_is_told_of_every_platform(box: Sandbox) -> None:
    told = get(box, "state").json()["platforms"]

    assert [one["name"] for one in told] == list(CHATS)
    assert [one["modes"] for one in told] == [list(one.modes) for one in CHATS.values()]
    assert {one["mode"] for one in told} == {HTTP}
    assert next(one["bot"] for one in told) == "ops"


@pytest.mark.parametrize("name", CHATS)
def test_what_is_said_goes_to_the_bot_of_that_platform(
    box: Sandbox, portal: StubPortal, name: str
) -> None:
    said = {"platform": name, "person": "lisi", "conversation": "private", "text": "/help"}
    assert post(box, "say", said).status_code == 200
    wait_until(portal.paths, "nothing came")

    assert portal.paths() == [f"/webhooks/chat/{bot_name('ops', name)}/"]
    assert [one["text"] for one in get(box, "state", platform=name).json()["messages"]] == ["/help"]
    others = [other for other in CHATS if other != name]
    assert not [other for other in others if box.messages(platform=other)]


@pytest.mark.parametrize("name", CHATS)
def test_the_page_sees_how_far_a_message_came_and_which_way(box: Sandbox, name: str) -> None:
    assert box.say("lisi", "private", "/help", platform=name)["status"] == 200

    (message,) = get(box, "events", platform=name, since=0).json()["messages"]
    assert message["delivery"]["stage"] == "acknowledged"
    assert message["delivery"]["by"] == HTTP


def test_bots_are_named_after_their_platforms() -> None:
    assert bot_name("ops", "dingtalk") == "ops"
    assert bot_name("ops", "wecom_aibot") == "ops-wecom-aibot"


def test_the_demo_has_a_bot_for_every_platform() -> None:
    document = yaml.safe_load(CONFIGURATION.read_text("utf-8"))

    bots = {row["platform"]: row["name"] for row in document["bots"]}
    groups = {row["bot"] for row in document["conversations"]}
    assert bots == {name: bot_name("ops", name) for name in CHATS}
    assert groups == {bots[name] for name, stand in CHATS.items() if not stand.private_only}


@pytest.mark.parametrize("name", CHATS)
def test_a_platform_of_private_chats_shows_no_groups(box: Sandbox, name: str) -> None:
    shown = get(box, "state", platform=name).json()["conversations"]

    assert {one["private"] for one in shown} == ({True} if name == "wecom" else {True, False})


def test_a_page_learns_that_something_was_said_on_another_platform(box: Sandbox) -> None:
    seq = get(box, "events", since=0).json()["seq"]
    box.say("lisi", "private", "/help", platform="slack")

    answer = get(box, "events", since=seq).json()

    news = {one["name"]: one["last"] for one in answer["platforms"]}
    assert answer["messages"] == []
    assert news["slack"] == box.messages(platform="slack")[-1]["n"]


def test_a_button_is_pressed_by_whoever_is_chosen(box: Sandbox, portal: StubPortal) -> None:
    n = post_with_button(box)

    pressed = {"platform": "slack", "person": "lisi", "n": n, "button": "token-1"}
    answer = post(box, "press", pressed)

    assert (answer.status_code, answer.json()["status"]) == (200, 200)
    assert portal.paths() == ["/webhooks/chat/ops-slack/"]
    assert b"U0LISI" in portal.heard[0].body
    assert box.messages(platform="slack")[-1]["pressed"] == n


def test_a_press_can_be_delivered_more_than_once_by_the_control(
    box: Sandbox, portal: StubPortal
) -> None:
    n = post_with_button(box)

    told = box.press("lisi", n, "token-1", platform="slack", times=3)

    assert told["statuses"] == [200, 200, 200]
    assert len({request.body for request in portal.heard}) == 1


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("say", {"platform": "irc"}, "no platform 'irc'"),
        ("say", {"platform": "wecom", "conversation": "cid-release"}, "in private only"),
        ("say", {"text": 5}, "to be a string"),
        ("press", {"platform": "slack", "n": 99, "button": "x"}, "99"),
        ("press", {"platform": "irc", "n": 1, "button": "x"}, "no platform 'irc'"),
        ("press", {"n": "x", "button": "x"}, "invalid literal"),
        ("press", {}, "'n'"),
        ("mode", {"platform": "wecom", "mode": DIALLED}, "no mode 'dialled'"),
        ("mode", {"platform": "slack", "mode": "pigeon"}, "no mode 'pigeon'"),
        ("mode", {"platform": "slack"}, "'mode'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    box: Sandbox, path: str, body: dict[str, Any], words: str
) -> None:
    said = {"person": "zhangsan", "conversation": "cid-dev", "text": "/help", "button": "x"}

    answer = post(box, path, said | body)

    assert answer.status_code == 400
    assert words in answer.json()["message"]


@pytest.mark.parametrize("path", ["state", "events"])
def test_a_platform_that_is_not_there_is_not_shown(box: Sandbox, path: str) -> None:
    assert get(box, path, platform="irc").status_code == 400


@pytest.mark.parametrize("path", ["say", "press", "mode"])
def test_a_page_of_another_site_does_nothing_here(
    box: Sandbox, portal: StubPortal, path: str
) -> None:
    n = post_with_button(box)
    body = {"platform": "slack", "person": "lisi", "conversation": "private", "text": "/help"}
    body |= {"n": n, "button": "token-1", "mode": DIALLED}  # type: ignore[dict-item]

    answer = post(box, path, body, Origin="http://evil.example")

    assert answer.status_code == 403
    assert platform(box, "slack")["mode"] == HTTP
    assert portal.heard == []


def test_a_path_of_no_platform_is_not_found(box: Sandbox) -> None:
    answer = requests.get(f"{box.chat}/nothing/here", timeout=5)

    assert answer.status_code == 404
    assert answer.json()["code"] == "InvalidAction.NotFound"


# The control


def test_an_operation_goes_to_the_platform_that_is_named(box: Sandbox) -> None:
    box.change_chat("limit", per_minute=1)
    box.change_chat("revoke_token", platform="slack")

    headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
    answer = requests.post(f"{box.chat}/api/auth.test", headers=headers, timeout=5)
    assert answer.json()["error"] == "token_revoked"
    with pytest.raises(SandboxError, match="no operation 'explode'"):
        box.change_chat("explode", platform="slack")
    with pytest.raises(SandboxError, match="no platform 'irc'"):
        box.change_chat("limit", platform="irc")


def test_a_reset_empties_every_platform(box: Sandbox) -> None:
    for name in CHATS:
        box.say("lisi", "private", "/help", platform=name)

    box.reset()

    assert not [name for name in CHATS if box.messages(platform=name)]


# Outgoing connections


class Connecting:
    """A sandbox whose command connects to Slack; folder is where that command tells of itself."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.box = box
        self.folder = folder

    @property
    def pid(self) -> int:
        return int((self.folder / "told").read_text().split()[0])

    @property
    def bot(self) -> str:
        return (self.folder / "told").read_text().split()[1]

    def dial(self) -> int:
        """Chooses the outgoing connection and waits until it is there; the number of its process."""
        (self.folder / "told").unlink(missing_ok=True)
        self.box.choose_mode("slack", DIALLED)
        wait_until(self.is_connected, str(platform(self.box, "slack")))
        return self.pid

    def is_connected(self) -> bool:
        return bool(platform(self.box, "slack")["connection"] == "connected")


def begun(folder: Path, code: str) -> Connecting:
    command = shlex.join([sys.executable, "-c", code, str(folder), "{bot}"])
    box = Sandbox.start("--connect", command)
    (folder / "chat").write_text(box.chat)
    return Connecting(box, folder)


@pytest.fixture(name="connecting")
def connecting_fixture(tmp_path: Path) -> Iterator[Connecting]:
    connecting = begun(tmp_path, CONNECTS)
    yield connecting
    connecting.box.stop()


def lives(pid: int) -> bool:
    """Whether it runs; one that nobody has waited for yet does not."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_nothing_connects_before_it_is_wanted(connecting: Connecting) -> None:
    time.sleep(0.3)

    assert not (connecting.folder / "told").exists()
    assert platform(connecting.box, "slack")["connection"] == ""


def test_choosing_the_connection_begins_it_and_choosing_http_ends_it(
    connecting: Connecting,
) -> None:
    pid = connecting.dial()
    assert connecting.bot == "ops-slack"
    assert platform(connecting.box, "slack")["connected"] == 1

    connecting.box.choose_mode("slack", HTTP)

    assert not lives(pid)
    wait_until(lambda: platform(connecting.box, "slack")["connected"] == 0, "still connected")
    assert platform(connecting.box, "slack")["connection"] == ""


def test_choosing_it_again_begins_anew(connecting: Connecting) -> None:
    first = connecting.dial()

    second = connecting.dial()

    assert not lives(first)
    assert lives(second)


def test_the_page_is_told_when_what_connected_is_gone(connecting: Connecting) -> None:
    os.kill(connecting.dial(), signal.SIGKILL)

    wait_until(lambda: platform(connecting.box, "slack")["connection"] == "ended", "no end told")


def test_the_page_is_told_in_the_last_line_why_there_is_no_connection(tmp_path: Path) -> None:
    connecting = begun(tmp_path, GIVES_UP)
    try:
        connecting.box.choose_mode("slack", DIALLED)
        wait_until(
            lambda: platform(connecting.box, "slack")["connection"] == "ended", "no end told"
        )
        told = platform(connecting.box, "slack")
    finally:
        connecting.box.stop()

    assert told["line"] == "It needs lark-oapi: pip install lark-oapi"


def test_without_a_command_the_page_is_told_which_bot_it_waits_for(box: Sandbox) -> None:
    box.choose_mode("slack", DIALLED)

    told = platform(box, "slack")

    assert (told["connection"], told["bot"]) == ("awaited", "ops-slack")
    assert box.say("lisi", "private", "/help", platform="slack")["status"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_when_the_sandbox_ends_the_connection_ends_too(
    connecting: Connecting, number: signal.Signals
) -> None:
    pid = connecting.dial()

    os.kill(connecting.box.pid, number)

    wait_until(lambda: not lives(pid), "an orphan was left")


def test_a_command_that_cannot_be_begun_is_told(tmp_path: Path) -> None:
    with Sandbox.start("--connect", str(tmp_path / "missing")) as box:
        box.choose_mode("slack", DIALLED)
        wait_until(lambda: platform(box, "slack")["connection"] == "ended", "no end told")

        assert "FileNotFoundError" in platform(box, "slack")["line"]


def test_what_nobody_waits_for_any_more_is_not_begun(tmp_path: Path) -> None:
    began = tmp_path / "began"
    line = [sys.executable, leash.__file__, "1", "touch", str(began)]

    ended = subprocess.run(line, capture_output=True, text=True, check=False)

    assert (ended.returncode, began.exists()) == (1, False)
    assert "gone already" in ended.stderr
