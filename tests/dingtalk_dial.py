"""DingTalk's stand-in as the portal's own connections meet it, and one such connection at work."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from bot.platforms.base import IncomingMessage, Parsed, Rejected, Said
from bot.platforms.dialling import Lost
from bot.platforms.dingtalk.adapter import DingTalk
from bot.platforms.dingtalk.connection import DingTalkConnection
from bot.platforms.models import Bot
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.dingtalk.robot import APP_KEY, APP_SECRET, CORP, ROBOT_CODE
from chatops_site.sandbox.dingtalk.robot import DingTalk as StandIn
from chatops_site.sandbox.server import Faults, Journal, Request, Response, as_json, serve
from chatops_site.sandbox.sockets import open_sockets
from chatops_site.sandbox.talk import Portal

T = TypeVar("T")
HERE = "http://127.0.0.1"
PATIENCE = 5.0


class Gateway:
    """The stand-in behind HTTP and its sockets; nobody is at its webhook's address."""

    name = "chat"

    def __init__(self) -> None:
        self.clock, self.journal, self.faults = Clock(), Journal(), Faults()
        self.stand = StandIn(self.clock, Portal(f"{HERE}:9/"))
        (self.server,) = serve({self: 0}, self.journal, self.faults)
        self.origin = self.stand.origin = f"{HERE}:{self.server.server_port}"
        self.stand.socket_origin = open_sockets(self.stand.sockets)
        self.stand.choose_mode("dialled")

    def answer(self, request: Request) -> Response:
        return self.stand.answer(request) or as_json({}, 404)

    def clean(self) -> None:
        self.stand.reset()
        self.journal.clear()
        self.faults.clear()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def robot(self, secret: str = APP_SECRET, **settings: str) -> DingTalk:
        told = {"app_key": APP_KEY, "robot_code": ROBOT_CODE, "corp_id": CORP}
        bot = Bot(
            name="ops", platform="dingtalk", settings=told | {"api_base": self.origin} | settings
        )
        bot.secrets = {"app_secret": secret}
        return DingTalk(bot)

    def say(self, text: str = "/help", person: str = "zhangsan", **more: Any) -> dict[str, Any]:
        where, tamper = more.pop("conversation", "cid-release"), more.pop("tamper", {})
        return self.stand.say(person, where, text, tamper).send(**more)

    def answers(self) -> list[dict[str, Any]]:
        return [message for message in self.stand.talk.since(0) if message["from"] == "bot"]

    def calls(self, path: str) -> int:
        return len([one for one in self.journal.entries if one["path"] == path])

    def acks(self) -> list[dict[str, Any]]:
        acks: list[dict[str, Any]] = self.stand.control("acks", {})["acks"]
        return acks


class Noted:
    """What a connection told of itself, and what it brought."""

    def __init__(self) -> None:
        self.openings = 0
        self.signs = 0
        self.taken: list[Parsed | Rejected] = []

    def connected(self) -> None:
        self.openings += 1

    def alive(self) -> None:
        self.signs += 1

    def take(self, parsed: Parsed | Rejected) -> Said:
        self.taken.append(parsed)
        return Said()


class Dialled:
    """A connection that runs in a thread of its own; problem: what it ended by, if by anything."""

    def __init__(self, connection: DingTalkConnection) -> None:
        self.stop = threading.Event()
        self.problem: Exception | None = None
        self._connection = connection
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Seconds that it took to end."""
        began = time.monotonic()
        self.stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    def lost(self, seconds: float = PATIENCE) -> Lost:
        """What it is lost by within that time."""
        self._thread.join(seconds)
        assert isinstance(self.problem, Lost), self.problem
        return self.problem

    def _run(self) -> None:
        try:
            self._connection.run(self.stop)
        except Exception as problem:
            self.problem = problem


def eventually(look: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What look finds as soon as that is anything; what it finds last when time is up."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.01)


def texts(noted: Noted) -> list[str]:
    return [one.text for one in noted.taken if isinstance(one, IncomingMessage)]


def push(gateway: Gateway, text: str, seconds: float = 2.0) -> dict[str, Any] | None:
    ack: dict[str, Any] | None = gateway.stand.control("frame", {"text": text, "seconds": seconds})[
        "ack"
    ]
    return ack


def a_frame(data: object, *, topic: str = "/v1.0/im/bot/messages/get", **more: Any) -> str:
    headers = {"messageId": "frame-1", "topic": topic, "contentType": "application/json"}
    told = data if isinstance(data, str) else json.dumps(data)
    return json.dumps({"type": "CALLBACK", "headers": headers, "data": told, **more})


@contextmanager
def dialled(
    gateway: Gateway,
    noted: Noted,
    *,
    kind: type[DingTalkConnection] = DingTalkConnection,
    robot: DingTalk | None = None,
) -> Iterator[Dialled]:
    """One connection of the robot, up and ended again."""
    before = gateway.stand.connected()
    one = Dialled(kind(robot or gateway.robot(), noted.take, noted))
    assert eventually(lambda: gateway.stand.connected() > before)
    yield one
    one.end()
    assert eventually(lambda: gateway.stand.connected() <= before)


@pytest.fixture(scope="module", name="whole_gateway")
def whole_gateway_fixture() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.close()


@pytest.fixture(name="gateway")
def gateway_fixture(whole_gateway: Gateway) -> Gateway:
    whole_gateway.clean()
    return whole_gateway


@pytest.fixture(name="noted")
def noted_fixture() -> Noted:
    return Noted()


@pytest.fixture(name="line")
def line_fixture(gateway: Gateway, noted: Noted) -> Iterator[Dialled]:
    with dialled(gateway, noted) as one:
        yield one
