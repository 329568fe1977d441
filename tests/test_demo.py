"""make demo: a whole portal on loopback that answers, and that leaves nothing behind when it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from chatops_site.demo.premises import ROOT, CannotStart, Ports, configuration, find_ports, keys
from chatops_site.sandbox.client import Sandbox
from tests.ports import free_block

pytestmark = pytest.mark.crash


class Demo:
    """A running `python -m chatops_site.demo` with a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.ports = Ports(port)
        self.said = folder.parent / "said"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "chatops_site.demo",
                    "--port",
                    str(port),
                    "--folder",
                    folder,
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def wait_until_it_says(self, words: str) -> str:
        until = time.monotonic() + 60
        while words not in self.text and self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert words in self.text, self.text
        return self.text

    @property
    def text(self) -> str:
        return self.said.read_text("utf-8")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture(name="start")
def start_fixture(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    begun: list[Demo] = []

    def _start() -> Demo:
        begun.append(Demo(tmp_path / "demo", free_block()))
        return begun[-1]

    yield _start
    for demo in begun:
        if demo.process.poll() is None:
            demo.end()


def children_of(pid: int) -> dict[str, int]:
    """The demo's own processes, by what their command lines hold."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and parent_of(folder) == pid:
            line = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
            found[line] = int(folder.name)
    return {
        name: next(number for line, number in found.items() if word in line)
        for name, word in {"sandbox": "sandbox", "portal": "gunicorn", "worker": "worker"}.items()
    }


def parent_of(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def sandbox_at(chat: str) -> Sandbox:
    return Sandbox({"chat": chat, "gitee": "", "jenkins": "", "control": f"{chat}/__control"})


def ask_for_help(chat: str) -> str:
    """Says /help as 张三 and waits for the answer."""
    sandbox = sandbox_at(chat)
    assert sandbox.say("zhangsan", "cid-release", "/help")["status"] == 200
    until = time.monotonic() + 10
    while time.monotonic() < until:
        said = [each for each in sandbox.messages() if each["from"] == "bot"]
        if said:
            return str(said[0]["markdown"])
        time.sleep(0.1)
    return ""


def test_it_says_where_everything_is_answers_in_chat_and_ends_without_orphans(
    start: Callable[[], Demo],
) -> None:
    demo = start()
    said = demo.wait_until_it_says("Ctrl-C")
    pids = children_of(demo.process.pid)

    answer, second = ask_for_help(demo.ports.chat_url), start_beside(demo)
    status = demo.end(signal.SIGINT)

    assert f"{demo.ports.portal_url}/admin/" in said
    assert f"{demo.ports.chat_url}/" in said
    assert re.search(r"admin / \S{12}\n", said)
    assert "/merge 233" in answer
    assert "A demo is running here already; end it with Ctrl-C first." in second
    assert status == 0
    assert not [name for name, pid in pids.items() if lives(pid)]


def start_beside(demo: Demo) -> str:
    """What a second demo in the same folder says before it gives up."""
    line = [sys.executable, "-m", "chatops_site.demo", "--folder", str(demo.folder)]
    second = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    return second.stderr


@pytest.mark.full
def test_when_one_part_dies_it_says_which_and_takes_the_others_down(
    start: Callable[[], Demo],
) -> None:
    demo = start()
    demo.wait_until_it_says("Ctrl-C")
    pids = children_of(demo.process.pid)

    os.kill(pids["worker"], signal.SIGKILL)
    status = demo.process.wait(30)

    assert status == 1
    assert "worker ended with status -9; its last lines" in demo.text
    assert not [name for name, pid in pids.items() if lives(pid)]


@pytest.mark.full
def test_when_it_is_killed_itself_nothing_stays_behind(start: Callable[[], Demo]) -> None:
    demo = start()
    demo.wait_until_it_says("Ctrl-C")
    pids = children_of(demo.process.pid)

    demo.end(signal.SIGKILL)
    until = time.monotonic() + 20
    while time.monotonic() < until and any(map(lives, pids.values())):
        time.sleep(0.1)

    assert not [name for name, pid in pids.items() if lives(pid)]


def connecting(demo: Demo) -> list[int]:
    """The processes of the demo's sandbox that keep Slack's bot connected."""
    return [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit()
        and parent_of(Path("/proc", str(parent_of(folder)))) == demo.process.pid
        and b"connect\0ops-slack" in (folder / "cmdline").read_bytes()
    ]


@pytest.mark.full
def test_a_connection_chosen_on_the_page_is_made_and_ends_with_the_demo(
    start: Callable[[], Demo],
) -> None:
    demo = start()
    demo.wait_until_it_says("Ctrl-C")
    assert connecting(demo) == []

    sandbox_at(demo.ports.chat_url).choose_mode("slack", "dialled")
    until = time.monotonic() + 20
    while time.monotonic() < until and not connected(demo):
        time.sleep(0.1)
    assert connected(demo)
    (pid,) = connecting(demo)
    demo.end(signal.SIGKILL)
    while time.monotonic() < until and lives(pid):
        time.sleep(0.1)

    assert not lives(pid)


def connected(demo: Demo) -> bool:
    state = requests.get(f"{demo.ports.chat_url}/chat/state", timeout=5).json()
    return any(one["connection"] == "connected" for one in state["platforms"])


def test_it_ends_at_once_when_told_so_while_it_is_still_starting(start: Callable[[], Demo]) -> None:
    demo = start()
    time.sleep(0.3)

    status = demo.end()

    assert status in (0, -signal.SIGTERM)


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(CannotStart, match=f"Port {port} or one of .* make demo PORT=8850"):
            find_ports(port)


def test_the_keys_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    first = keys(tmp_path)

    assert keys(tmp_path) == first
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    assert set(json.loads((tmp_path / "keys.json").read_text())) == set(first)


def test_the_configuration_follows_the_ports() -> None:
    text = configuration(Ports(9000))

    assert '"http://127.0.0.1:9101/api/v5"' in text
    assert '"http://127.0.0.1:9102/jenkins"' in text
    assert "127.0.0.1:890" not in text
