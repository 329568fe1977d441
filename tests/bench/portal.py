"""A whole portal for measuring: sandbox, database, gunicorn and worker as processes of their own."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.platforms.dingtalk.adapter import sign
from chatops_site.sandbox.client import Sandbox
from chatops_site.sandbox.dingtalk.robot import APP_SECRET, CORP, ROBOT_CODE
from tests.bench.load import post
from tests.portal import Post
from tests.ports import free_block

ROOT = Path(__file__).resolve().parents[2]
# Signatures are apart by whole milliseconds, and young enough for commands that change things.
NEWEST_STAMP = int(time.time() * 1000)
_stamps = itertools.count()


@dataclass
class Process:
    name: str
    popen: subprocess.Popen[bytes]
    started_in: float = 0.0

    def memory(self) -> float:
        """Resident megabytes of the process and its children, shared pages counted once by PSS."""
        return sum(_pss(pid) for pid in [self.popen.pid, *_children(self.popen.pid)]) / 1024

    def stop(self) -> None:
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@dataclass
class BenchPortal:
    """Environment, ports and processes of one measurement."""

    folder: Path
    database_url: str
    sandbox: Sandbox
    post: Post
    session: str = ""
    port: int = field(default_factory=free_block)
    processes: list[Process] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "chatops_site.settings",
            "DATABASE_URL": self.database_url,
            "OUTGOING_ALLOW": "127.0.0.1",
            "ALLOWED_HOSTS": "127.0.0.1",
            "HTTPS": "false",
            "WAKE_DIR": str(self.folder / "wake"),
            "LOG_LEVEL": "WARNING",
        }

    def manage(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment, check=True
        )

    def start_web(self, settings: str = "chatops_site.settings") -> Process:
        command = [sys.executable, "-m", "gunicorn", "-c", "chatops_site/gunicorn.py"]
        environment = self.environment | {"DJANGO_SETTINGS_MODULE": settings}
        options = ["--bind", f"127.0.0.1:{self.port}", "chatops_site.wsgi:application"]
        return self._start("web", [*command, *options], environment, self._web_answers)

    def start_worker(self) -> Process:
        command = [sys.executable, "manage.py", "worker"]
        return self._start("worker", command, self.environment, self._worker_listens)

    def stop(self) -> None:
        for process in self.processes:
            process.stop()
        self.processes.clear()

    def _start(self, name: str, command: list[str], environment: Any, ready: Any) -> Process:
        start = time.perf_counter()
        log = (self.folder / f"{name}.log").open("ab")
        popen = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        process = Process(name, popen)
        self.processes.append(process)
        while not ready():
            if popen.poll() is not None or time.perf_counter() - start > 30:
                raise RuntimeError((self.folder / f"{name}.log").read_text()[-2000:])
            time.sleep(0.01)
        process.started_in = time.perf_counter() - start
        return process

    def _web_answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _worker_listens(self) -> bool:
        return any((self.folder / "wake").glob("*.sock"))


@contextlib.contextmanager
def opened(folder: Path, database_url: str) -> Iterator[BenchPortal]:
    """A portal between stand-ins in which one conversation takes all replies."""
    post = Post()
    with Sandbox.start("--portal", post.origin, port=0, state="bare", speed=20.0) as sandbox:
        portal = BenchPortal(folder, database_url, sandbox, post)
        try:
            sandbox.say("zhangsan", "cid-release", "/help")
            portal.session = json.loads(post.packets[0][1])["sessionWebhook"]
            yield portal
        finally:
            portal.stop()
            post.close()


def webhook(number: int, *, text: str, person: int, session: str) -> bytes:
    """A signed DingTalk webhook with its own timestamp, as no two real ones share one."""
    now = int(time.time() * 1000)
    stamp = str(NEWEST_STAMP - next(_stamps))
    body = {
        "conversationId": "cid-release",
        "conversationType": "2",
        "conversationTitle": "bench",
        "chatbotCorpId": CORP,
        "chatbotUserId": "$:bot",
        "robotCode": ROBOT_CODE,
        "msgId": f"bench-{number}-{now}",
        "msgtype": "text",
        "text": {"content": f" {text}"},
        "senderId": f"$:{person}",
        "senderNick": f"P{person}",
        "senderStaffId": f"bench{person}",
        "senderCorpId": CORP,
        "createAt": now,
        "sessionWebhook": session,
        "sessionWebhookExpiredTime": now + 5_400_000,
    }
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "timestamp": stamp,
        "sign": sign(stamp, APP_SECRET),
    }
    return post("/webhooks/chat/ops/", json.dumps(body).encode(), headers)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in listed.read_text().split()] if listed.exists() else []


def _pss(pid: int) -> int:
    """Proportional set size in kB."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
