"""Feishu's stand-in for tests: with a portal that only verifies and acknowledges, and for connections."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.platforms.base import (
    Challenge,
    IncomingMessage,
    Parsed,
    Press,
    Rejected,
    Said,
    Webhook,
)
from bot.platforms.feishu.adapter import Feishu
from bot.platforms.models import Bot
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.feishu import app as sandbox
from chatops_site.sandbox.server import Faults, Journal, Request, Response, serve
from chatops_site.sandbox.sockets import open_sockets
from chatops_site.sandbox.talk import Portal

HERE = "http://127.0.0.1"
SECRETS = {
    "app_secret": sandbox.APP_SECRET,
    "encrypt_key": sandbox.ENCRYPT_KEY,
    "verification_token": sandbox.VERIFICATION_TOKEN,
}


def now() -> datetime:
    return datetime.now(UTC)


class PortalStub:
    """A portal that only verifies. said: what it has to say to whatever comes."""

    name = "portal"

    def __init__(self) -> None:
        self.platform: Feishu | None = None
        self.received: list[Parsed] = []
        self.said: Callable[[Parsed], Said] = lambda parsed: Said()

    def answer(self, request: Request) -> Response:
        assert self.platform is not None
        webhook = Webhook(request.method, dict(request.headers), request.query, request.body)
        try:
            parsed = self.platform.receive(webhook, now=now())
        except Rejected as rejected:
            return Response(rejected.status)
        if isinstance(parsed, Challenge):
            return Response(200, parsed.body, content_type=parsed.content_type)
        self.received.append(parsed)
        body = self.platform.acknowledge(webhook, parsed, self.said(parsed), now=now())
        return Response(200, body.content, content_type=body.content_type)


class Street:
    """A portal stub and the stand-in, over real HTTP both ways and with its sockets."""

    name = "chat"

    def __init__(self) -> None:
        self.stub, self.clock = PortalStub(), Clock()
        self.journal, self.faults = Journal(), Faults()
        (portal,) = serve({self.stub: 0}, Journal(), Faults())
        url = f"{HERE}:{portal.server_port}/webhooks/chat/ops/"
        self.stand = sandbox.Feishu(self.clock, Portal(url))
        (server,) = serve({self: 0}, self.journal, self.faults)
        self._servers = [portal, server]
        self.origin = self.stand.origin = f"{HERE}:{server.server_port}"
        self.stand.socket_origin = open_sockets(self.stand.sockets)
        self.clean()

    def answer(self, request: Request) -> Response:
        return self.stand.answer(request) or Response(404)

    def clean(self) -> None:
        self.stand.reset()
        self.stand.choose_mode("http")
        self.journal.clear()
        self.faults.clear()
        self.stub.received.clear()
        self.stub.said = lambda parsed: Said()
        self.platform = self.stub.platform = self.bot()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def bot(self, secrets: dict[str, str] | None = None, **settings: str) -> Feishu:
        told = {
            "app_id": sandbox.APP_ID,
            "tenant_key": sandbox.TENANT,
            "bot_open_id": sandbox.BOT_OPEN_ID,
            "api_base": self.origin,
            **settings,
        }
        bot = Bot(name="ops", platform="feishu", settings=told, secrets=SECRETS | (secrets or {}))
        return Feishu(bot)

    def say(self, text: str = "/help", person: str = "zhangsan", **tamper: Any) -> dict[str, Any]:
        where = tamper.pop("conversation", "cid-release")
        times = tamper.pop("times", 1)
        return self.stand.say(person, where, text, tamper).send(times)

    def hear(self, text: str = "/help", person: str = "zhangsan", **more: Any) -> IncomingMessage:
        assert self.say(text, person, **more)["status"] == 200
        heard = self.stub.received[-1]
        assert isinstance(heard, IncomingMessage)
        return heard

    def press(self, n: int, button: str, person: str = "zhangsan") -> Press:
        assert self.stand.press(person, n, button, {}).send()["status"] == 200
        pressed = self.stub.received[-1]
        assert isinstance(pressed, Press)
        return pressed

    def answers(self) -> list[dict[str, Any]]:
        return [message for message in self.stand.talk.since(0) if message["from"] == "bot"]

    def calls(self) -> list[str]:
        return [f"{one['method']} {one['path']}" for one in self.journal.entries]

    def tokens(self) -> int:
        return len([one for one in self.calls() if one.endswith("/internal")])


def eventually(holds: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "It has not come to that."
        time.sleep(0.01)


@contextmanager
def all_at_once(works: list[Callable[[], object]]) -> Iterator[None]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield


@pytest.fixture(scope="module", name="whole_street")
def whole_street_fixture() -> Iterator[Street]:
    made = Street()
    yield made
    made.close()


@pytest.fixture(name="street")
def street_fixture(whole_street: Street) -> Street:
    """The stand-in as new, on servers that the tests of one file share."""
    whole_street.clean()
    return whole_street
