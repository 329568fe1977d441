"""A stage for plays with real processes: sandbox, database, gunicorn and workers that may be killed.

What happened is read at the sandbox (its journal, its state), not from the portal's own tables; those
serve only to know when everything has come to rest, and to check the record.
"""

import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg

from chatops_site.sandbox.client import Sandbox
from chatops_site.sandbox.dingtalk.robot import CORP, ROBOT_CODE, sign
from tests.ports import free_block

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parent.parent
STAFF: Final = {"zhangsan": "user101", "lisi": "user102", "wangfang": "user103"}
FINISHED: Final = "('succeeded','refused','failed','cancelled','expired','unknown')"
QUICK: Final = {"LEASE_SECONDS": "2", "RECONCILE_SECONDS": "1", "FOLLOW_SECONDS": "0.2"}
# So far apart are the run ids of two stages: they share one Jenkins, which knows runs by their ids.
RUNS_PER_STAGE: Final = 10_000


def wait_for(look: Callable[[], T], *, seconds: float = 15.0, what: str = "") -> T:
    """What look() gives as soon as it is true; fails with `what` when time is up."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what or look}")
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Packet:
    """One webhook as DingTalk would send it, to be sent again byte for byte."""

    id: str
    text: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)


class Process:
    """One of the portal's processes, in a process group of its own, with its output in a file."""

    def __init__(self, line: list[str], *, env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._running = subprocess.Popen(
                line,
                env=env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self._running.pid

    @property
    def alive(self) -> bool:
        return self._running.poll() is None

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        """To the first process only, as a service manager does it."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._running.wait(10)

    def ends(self, *, seconds: float = 20.0) -> int:
        """Its exit status; -9 after SIGKILL."""
        try:
            return self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.output()}") from None


class Database:
    """A copy of the template of one's own: a file, or a database on the server of DATABASE_URL."""

    def __init__(self, url: str, name: str, folder: Path) -> None:
        self._server = url if url.startswith("postgres") else ""
        self._name = name
        self._file = folder / f"{name}.sqlite3"

    @property
    def url(self) -> str:
        if self._server:
            return urlunsplit(urlsplit(self._server)._replace(path=f"/{self._name}"))
        return f"sqlite:///{self._file}"

    @property
    def file(self) -> Path:
        return self._file

    def create(self) -> None:
        if self._server:
            self._administer(f'CREATE DATABASE "{self._name}"')

    def copy(self, name: str, folder: Path) -> "Database":
        other = Database(self._server, name, folder)
        if self._server:
            self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{self._name}"')
        else:
            with contextlib.closing(sqlite3.connect(self._file)) as source:
                source.execute("VACUUM INTO ?", (str(other.file),))
        return other

    def drop(self) -> None:
        if self._server:
            self._administer(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self._server:
            with psycopg.connect(_libpq(self.url), autocommit=True) as connection:
                return connection.execute(sql).fetchall()
        with contextlib.closing(sqlite3.connect(self._file, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def write(self, *statements: str) -> None:
        if self._server:
            with psycopg.connect(_libpq(self.url)) as connection:
                for statement in statements:
                    connection.execute(statement)
            return
        with contextlib.closing(sqlite3.connect(self._file, timeout=10)) as file, file:
            for statement in statements:
                file.execute(statement)

    def first_run_is(self, number: int) -> None:
        self.write(
            f"ALTER SEQUENCE bot_run_id_seq RESTART WITH {number}"
            if self._server
            else f"INSERT INTO sqlite_sequence (name, seq) VALUES ('bot_run', {number - 1})"  # noqa: S608
        )

    def _administer(self, sql: str) -> None:
        with psycopg.connect(_libpq(self._server), autocommit=True) as connection:
            connection.execute(sql)


def _libpq(url: str) -> str:
    return url.replace("postgres://", "postgresql://", 1)


class Theatre:
    """What stages share: one sandbox and one template database. A context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stage-"))
        self.sandbox = Sandbox.start(state="bare")
        self.sandbox.change_jenkins("set_executors", n=100)
        name = f"stage_{os.getpid()}_{os.urandom(3).hex()}"
        self.template = Database(os.environ.get("DATABASE_URL", ""), name, self.folder)
        self.template.create()
        self._numbers = itertools.count(1)
        self._seed()

    def _seed(self) -> None:
        line = ["-m", "tests.stage_seed", json.dumps(self.sandbox.urls)]
        env = environment(self.template.url, self.folder)
        done = subprocess.run(
            [sys.executable, *line], env=env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def stage(self, **env: str) -> "Stage":
        return Stage(self, next(self._numbers), env)

    def close(self) -> None:
        self.sandbox.stop()
        self.template.drop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def environment(database_url: str, wake: Path) -> dict[str, str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith("COV_")}
    return known | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url,
        "WAKE_DIR": str(wake),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "",
        **QUICK,
    }


class Stage:
    """One portal: its database, its web server, its workers, its own service and jobs.

    A context manager; whatever it started is killed at its end.
    """

    def __init__(self, theatre: Theatre, number: int, env: dict[str, str]) -> None:
        self.theatre, self.sandbox = theatre, theatre.sandbox
        self.folder = theatre.folder / str(number)
        self.folder.mkdir()
        name = f"{theatre.template.url.rsplit('/', 1)[1].partition('.')[0]}_{number}"
        self.database = theatre.template.copy(name, self.folder)
        self.env = environment(self.database.url, self.folder / "wake") | env
        self.service = f"svc{number}"
        self.deploy_job, self.test_job = f"team/deploy{number}", f"team/test{number}"
        self.database.first_run_is(number * RUNS_PER_STAGE)
        self.database.write(
            f"UPDATE repos_service SET name = '{self.service}' WHERE name = 'svc'",  # noqa: S608
            f"UPDATE repos_job SET path = '{self.deploy_job}' WHERE name = 'd'",  # noqa: S608
            f"UPDATE repos_job SET path = '{self.test_job}' WHERE name IN ('t', 'b')",  # noqa: S608
        )
        self.duration = 0.0
        self.set_jobs(duration=0.5)
        self.answers: list[tuple[Packet, int]] = []
        self._processes: list[Process] = []
        self._port = free_block()
        self._journal_from = max((e["n"] for e in self.sandbox.journal()[-1:]), default=0)
        self._said_from = max((m["n"] for m in self.sandbox.messages()[-1:]), default=0)

    def move_to(self, forge: str) -> None:
        """The repositories are at that forge."""
        chosen = f"SELECT id FROM repos_forge WHERE name = '{forge}'"  # noqa: S608
        self.database.write(f"UPDATE repos_repository SET forge_id = ({chosen})")  # noqa: S608

    def set_jobs(self, **plan: Any) -> None:
        self.duration = plan.get("duration", self.duration)
        names = {"REF": "", "SHA": "", "ENV": "production", "CHATOPS_ID": ""}
        for path in (self.deploy_job, self.test_job):
            self.sandbox.change_jenkins("set_job", path=path, parameters=names, **plan)

    # Processes.

    def start_web(self, *, fail: str = "", threads: int = 8, **env: str) -> Process:
        line = [sys.executable, "-m", "gunicorn", "chatops_site.wsgi", "--workers", "1"]
        line += [
            "--worker-class",
            "gthread",
            "--threads",
            str(threads),
            "--graceful-timeout",
            "8",
            "--no-control-socket",
        ]
        web = self._start([*line, "--bind", f"127.0.0.1:{self._port}"], fail, env)
        wait_for(lambda: self._answers(web), what="gunicorn")
        return web

    def start_worker(self, *arguments: str, fail: str = "", **env: str) -> Process:
        worker = self._start([sys.executable, "manage.py", "worker", *arguments], fail, env)
        wait_for(lambda: "worker ready" in worker.output() or not worker.alive, what="worker")
        return worker

    def _start(self, line: list[str], fail: str, env: dict[str, str]) -> Process:
        log = self.folder / f"{len(self._processes)}.log"
        process = Process(line, env=self.env | env | {"CHATOPS_FAIL": fail}, log=log)
        self._processes.append(process)
        return process

    def _answers(self, web: Process) -> bool:
        assert web.alive, web.output()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/healthz") == 200
        return False

    # The chat platform's side.

    def packet(self, text: str, *, person: str = "zhangsan", age: float = 0.0) -> Packet:
        """A signed webhook; every one has a time of its own, and so a signature of its own."""
        stamp = str(_next_millisecond() - int(age * 1000))
        name = f"msg{stamp}-{self.service}"
        body = {
            "conversationId": "cid-release",
            "conversationType": "2",
            "conversationTitle": "发布群",
            "isInAtList": True,
            "chatbotCorpId": CORP,
            "robotCode": ROBOT_CODE,
            "msgId": name,
            "senderNick": person,
            "senderStaffId": STAFF[person],
            "senderCorpId": CORP,
            "createAt": int(stamp),
            "text": {"content": f" {text}"},
            "msgtype": "text",
        }
        headers = {"Content-Type": "application/json", "timestamp": stamp, "sign": sign(stamp)}
        return Packet(name, text, json.dumps(body).encode(), headers)

    def say(self, text: str, *, person: str = "zhangsan", age: float = 0.0) -> Packet:
        """Sends a message that must be acknowledged."""
        packet = self.packet(text, person=person, age=age)
        assert self.deliver(packet) == 200
        return packet

    def deliver(self, packet: Packet, *, seconds: float = 15.0) -> int:
        """The portal's answer; 0 when it gave none (refused, reset, died)."""
        status = self._post(packet, seconds)
        self.answers.append((packet, status))
        return status

    def _post(self, packet: Packet, seconds: float) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.request("POST", "/webhooks/chat/ops/", packet.body, packet.headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    @property
    def acknowledged(self) -> set[str]:
        return {packet.id for packet, status in self.answers if status == 200}

    # What was seen outside.

    def replies(self, about: str) -> list[str]:
        """The bot's messages since the curtain rose that name this pull request, service or run."""
        named = re.compile(rf"(?<![\w-]){re.escape(about)}(?![\w-])")
        return [text for text in self.replies_said() if named.search(text)]

    def replies_said(self) -> list[str]:
        said = self.sandbox.messages(since=self._said_from)
        return [str(m.get("markdown") or m.get("text", "")) for m in said if m["from"] == "bot"]

    def finals(self, about: str) -> list[str]:
        return [text for text in self.replies(about) if not text.startswith("⏳")]

    def calls(self, method: str, path_ends: str) -> list[dict[str, Any]]:
        """The requests that came in at forge and Jenkins, whatever was answered."""
        return [
            entry
            for entry in self.sandbox.journal(since=self._journal_from)
            if entry["method"] == method and entry["path"].endswith(path_ends)
        ]

    def merges(self, number: int) -> list[dict[str, Any]]:
        return [call for call in self.merge_calls(f"/{number}/merge") if applied(call)]

    def merge_calls(self, path_ends: str = "/merge") -> list[dict[str, Any]]:
        """Merges are asked for with PUT, at Gitea with POST."""
        return [call for method in ("PUT", "POST") for call in self.calls(method, path_ends)]

    def approvals(self, number: int) -> list[dict[str, Any]]:
        ends = (f"/{number}/review", f"/{number}/reviews", f"/{number}/approve")
        return [call for end in ends for call in self.calls("POST", end) if applied(call)]

    def pull(self, number: int) -> dict[str, Any]:
        pulls = self.sandbox.state()["pull_requests"]
        return next(
            dict(one)
            for one in pulls
            if (one["repository"], one["number"]) == ("acme/shop", number)
        )

    def builds(self, job: str) -> list[dict[str, Any]]:
        return list(self.sandbox.state()["jenkins"]["jobs"][job]["builds"])

    def open_pull(self, **more: Any) -> int:
        opened = self.sandbox.change_gitee("open_pull", repository="acme/shop", **more)
        return int(opened["numbers"][-1])

    # At rest.

    def runs(self) -> list[tuple[int, str, str, str]]:
        """(id, command, state, reason) of each run, in the order of acceptance."""
        found = self.database.rows("SELECT id, command, state, reason FROM bot_run ORDER BY id")
        return [(int(row[0]), str(row[1]), str(row[2]), str(row[3])) for row in found]

    def rest(self, *, seconds: float = 30.0) -> None:
        """Waits until every run is over and every reply is sent."""
        wait_for(
            lambda: not self.open_ends(),
            seconds=seconds,
            what=f"rest: {self.open_ends()}\n{[p.output()[-3000:] for p in self._processes]}",
        )

    def open_ends(self) -> list[tuple[Any, ...]]:
        return self.database.rows(
            f"SELECT 'run', id, state FROM bot_run WHERE state NOT IN {FINISHED}"  # noqa: S608
            " UNION ALL SELECT 'reply', id, state FROM bot_reply"
            " WHERE state IN ('waiting', 'sending')"
        )

    def tracebacks(self) -> list[str]:
        return [one.output() for one in self._processes if "Traceback (most" in one.output()]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self.database.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def applied(call: dict[str, Any]) -> bool:
    return bool(call["applied"] and call["status"] < 300)


_millisecond_lock = threading.Lock()
_last_millisecond = 0


def _next_millisecond() -> int:
    global _last_millisecond  # noqa: PLW0603 - one clock for all stages
    with _millisecond_lock:
        _last_millisecond = max(int(time.time() * 1000), _last_millisecond + 1)
        return _last_millisecond


def opened() -> Iterator[Theatre]:
    """For a module's fixture."""
    with Theatre() as theatre:
        yield theatre
