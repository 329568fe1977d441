"""A stage whose bot is reached only by the connections that its own processes keep open.

python -m tests.dialled_stage PLATFORM BOT is manage.py connect that finds a silent connection dead within seconds.
"""

import contextlib
import json
import sqlite3
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any, Final, Self

import django
import psycopg
import yaml

if __name__ == "__main__":
    django.setup()

from django.utils.module_loading import import_string

from bot.platforms.clients import kind_of
from chatops_site.demo.premises import CONFIGURATION, SANDBOX_SECRETS
from chatops_site.kit.secrets import fernet
from tests.dialled_stand import Hurried
from tests.stage import Process, Stage, Theatre, wait_for

DEMO: Final = yaml.safe_load(CONFIGURATION.read_text("utf-8"))
# Where a connection is asked for.
_OPENING: Final = {
    "dingtalk": "/gateway/connections/open$",
    "feishu": "/callback/ws/endpoint$",
    "slack": "/apps.connections.open$",
}
# What the platform does not do before its patience is over: ask for signs of life, or deliver again.
_PATIENT: Final = {"dingtalk": "ping_every", "feishu": "ack_seconds", "slack": "ack_seconds"}
PATIENCE: Final = 25.0
_ACCOUNT: Final = "person_id, platform, tenant, external_id"
# Less than the portal waits for its turn to write.
MOMENT: Final = 0.5
SILENCE: Final = 3.0


class DialledStage:
    """A stage with the demo's bot of one platform, and the processes that connect the bot.

    A context manager.
    """

    def __init__(self, theatre: Theatre, platform: str) -> None:
        self.platform, self.sandbox = platform, theatre.sandbox
        self.stage = theatre.stage()
        self.bot = _seeded(self.stage, platform)
        # Each stage numbers its replies anew, and Feishu sends one of a number only once.
        self.sandbox.change_chat("reset")
        self.sandbox.choose_mode(platform, "dialled")
        self.change(_PATIENT[platform], seconds=PATIENCE)
        # Sends what people say while the test goes on.
        self._people = ThreadPoolExecutor(4)
        self._processes: list[Process] = []
        self._journal_from = max((e["n"] for e in self.sandbox.journal()[-1:]), default=0)
        self._said_from = max((m["n"] for m in self._messages()[-1:]), default=0)

    # Processes.

    def start(self, *, fail: str = "") -> Process:
        """manage.py connect, connected."""
        before = self.connected()
        process = self._start("manage.py", "connect", fail=fail)
        self.waits_for_connections(before + 1)
        return process

    def start_two(self) -> list[Process]:
        before = self.connected()
        processes = [self._start("manage.py", "connect") for _ in range(2)]
        self.waits_for_connections(before + 2)
        return processes

    def start_quick(self) -> Process:
        """The same with short waits, connected."""
        before = self.connected()
        process = self._start("-m", "tests.dialled_stage", self.platform)
        self.waits_for_connections(before + 1)
        return process

    def start_shut_out(self) -> Process:
        """The same, but the platform lets nobody connect until let_in()."""
        self.sandbox.fault("chat", "status", path_regex=_OPENING[self.platform], times=-1)
        process = self._start("-m", "tests.dialled_stage", self.platform)
        wait_for(lambda: "lost: " in process.output(), what="a refused connection")
        return process

    def let_in(self) -> None:
        before = self.connected()
        self.sandbox.clear_faults()
        self.waits_for_connections(before + 1)

    def begin_worker(self) -> None:
        """It is there soon, beside what else is being started."""
        self._worker = self._people.submit(self.stage.start_worker)

    def rest(self) -> None:
        """Waits until every run is over and every reply is sent."""
        self._worker.result()
        self.stage.rest()

    def _start(self, *line: str, fail: str = "") -> Process:
        log = self.stage.folder / f"connect{len(self._processes)}.log"
        env = self.stage.env | {"CHATOPS_FAIL": fail}
        process = Process([sys.executable, *line, self.bot], env=env, log=log)
        self._processes.append(process)
        return process

    def connected(self) -> int:
        """How many connections the platform holds."""
        with urllib.request.urlopen(f"{self.sandbox.chat}/chat/state", timeout=10) as answer:  # noqa: S310 - ours
            platforms = json.load(answer)["platforms"]
        return next(int(one["connected"]) for one in platforms if one["name"] == self.platform)

    def waits_for_connections(self, count: int) -> None:
        wait_for(lambda: self.connected() == count, what=f"{count} connections")

    @contextlib.contextmanager
    def nobody_writes(self) -> Iterator[None]:
        """Whoever wants to write a delivery waits meanwhile."""
        database = self.stage.database
        if database.url.startswith("postgres"):
            with psycopg.connect(database.url.replace("postgres://", "postgresql://", 1)) as held:
                held.execute("LOCK TABLE bot_delivery")
                yield
            return
        with contextlib.closing(sqlite3.connect(database.file, timeout=10)) as held:
            held.execute("BEGIN IMMEDIATE")
            yield
            held.rollback()

    # People.

    def say(self, text: str, **more: Any) -> dict[str, Any]:
        """As 张三 in the release group; what the platform knows of the delivery in the end."""
        return self.sandbox.say("zhangsan", "cid-release", text, platform=self.platform, **more)

    def deliver_again(self, known: dict[str, Any]) -> dict[str, Any]:
        """The very same content once more, as Slack brings it after a minute when nobody was there."""
        return self.say("again", tamper={"replay": known["message_id"]})

    def saying(self, text: str) -> "Future[dict[str, Any]]":
        return self.meanwhile(lambda: self.say(text))

    def pressing(self, message: dict[str, Any], label: str, by: str) -> "Future[dict[str, Any]]":
        button = next(one["id"] for one in message["buttons"] if one["label"] == label)
        press = self.sandbox.press
        return self.meanwhile(lambda: press(by, message["n"], button, platform=self.platform))

    def meanwhile(self, action: Callable[[], dict[str, Any]]) -> "Future[dict[str, Any]]":
        return self._people.submit(action)

    def change(self, op: str, **arguments: Any) -> dict[str, Any]:
        """An operation of the platform's stand-in."""
        return self.sandbox.change_chat(op, platform=self.platform, **arguments)

    # What was seen outside.

    def effects(self) -> list[str]:
        """Calls that changed something at a forge or at Jenkins, in order."""
        return [
            f"{one['method']} {one['path']}"
            for one in self.sandbox.journal(since=self._journal_from)
            if one["system"] != "chat" and one["applied"] and one["method"] != "GET"
        ]

    def bot_said(self) -> list[dict[str, Any]]:
        return [one for one in self._messages(since=self._said_from) if one["from"] == "bot"]

    def answers(self, about: str) -> list[str]:
        """The final ones that name this pull request."""
        texts = [str(one.get("markdown") or one.get("text", "")) for one in self.bot_said()]
        return [text for text in texts if about in text and not text.startswith("⏳")]

    def told(self) -> list[str]:
        """Everything that somebody was told, in the chat or at once."""
        seen = self._messages(since=self._said_from)
        texts = [str(one.get(part, "")) for one in seen for part in ("markdown", "text", "toast")]
        return [text for text in texts if text]

    def acknowledgements(self) -> list[Any]:
        """Of everything since the sandbox began."""
        return list(self.change("acks")["acks"])

    def deliveries(self, message_id: str) -> int:
        rows = self.stage.database.rows("SELECT message_id FROM bot_delivery")
        return [str(row[0]) for row in rows].count(message_id)

    def taken(self) -> list[int]:
        """How much each process has taken, as it wrote down at its end."""
        return [int(row[0]) for row in self.stage.database.rows("SELECT taken FROM bot_connection")]

    def tracebacks(self) -> list[str]:
        logs = [one.output() for one in self._processes]
        return [log for log in logs if "Traceback (most" in log] + self.stage.tracebacks()

    def _messages(self, since: int = 0) -> list[dict[str, Any]]:
        return self.sandbox.messages(since, platform=self.platform)

    def close(self) -> None:
        self.sandbox.clear_faults()
        for process in self._processes:
            process.kill()
        self._people.shutdown()
        self.stage.close()
        # Nothing goes down the connections of a stage that is over.
        self.waits_for_connections(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def is_under_way(delivery: "Future[dict[str, Any]]") -> bool:
    """Nothing is acknowledged for a moment."""
    try:
        delivery.result(MOMENT)
    except NotYet:
        return True
    return False


def _seeded(stage: Stage, platform: str) -> str:
    """The demo's bot of that platform, in English, and its people's accounts; DingTalk's are there."""
    if platform == "dingtalk":
        return "ops"
    row = next(row for row in DEMO["bots"] if row["platform"] == platform)
    settings = row["settings"] | {"api_base": stage.sandbox.chat}
    secrets = {key: SANDBOX_SECRETS[told.split(":")[1]] for key, told in row["secrets"].items()}
    sealed = fernet().encrypt(json.dumps(secrets).encode()).decode()
    columns = "name, platform, settings, secrets, secret_sources, language, enabled"
    values = f"'{row['name']}', '{platform}', '{json.dumps(settings)}', '{sealed}', '{{}}', 'en'"
    stage.database.write(
        f"INSERT INTO bot_bot ({columns}) VALUES ({values}, true)",  # noqa: S608
        *(
            f"INSERT INTO bot_account ({_ACCOUNT}) SELECT id, '{platform}', '{one['tenant']}', '{one['id']}'"  # noqa: S608
            f" FROM bot_person WHERE username = '{person['username']}'"
            for person in DEMO["people"]
            for one in person["accounts"]
            if one["platform"] == platform
        ),
    )
    return str(row["name"])


if __name__ == "__main__":
    # Of one platform only: Feishu's SDK takes seconds to import.
    kind = import_string(kind_of(sys.argv[1]).dialled)
    kind.silence, kind.ping_every = SILENCE, SILENCE / 10
    Hurried().run_from_argv(["manage.py", "connect", sys.argv[2]])
