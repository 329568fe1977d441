"""The Slack stand-in of the tests, beside a portal that only verifies and a trap nobody may call."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from bot.platforms.base import IncomingMessage, Parsed, Press, Rejected, Webhook
from bot.platforms.models import Bot
from bot.platforms.slack.adapter import Slack
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Faults, Journal, Request, Response, as_json, serve
from chatops_site.sandbox.slack.app import APP_ID, APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, TEAM
from chatops_site.sandbox.slack.app import Slack as SlackStand
from chatops_site.sandbox.sockets import open_sockets
from chatops_site.sandbox.talk import Portal

HERE = "http://127.0.0.1"
T = TypeVar("T")


def now() -> datetime:
    return datetime.now(UTC)


def wait_for(look: Callable[[], T], seconds: float = 5.0) -> T:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return found


class PortalStub:
    """A portal that only verifies: the platform's answer is the status."""

    name = "portal"

    def __init__(self) -> None:
        self.platform: Slack | None = None
        self.received: list[Parsed] = []
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        assert self.platform is not None
        webhook = Webhook(request.method, dict(request.headers), request.query, request.body)
        try:
            self.received.append(self.platform.receive(webhook, now=now()))
        except Rejected as rejected:
            return Response(rejected.status)
        return Response(200)


class SlackSystem:
    """The stand-in alone on a port, as the chat system passes calls on to it."""

    name = "chat"

    def __init__(self, stand: SlackStand) -> None:
        self._stand = stand

    def answer(self, request: Request) -> Response:
        return self._stand.answer(request) or as_json({"message": "not Slack's"}, 404)


class Street:
    def __init__(self) -> None:
        self.stub, self.trap, self.clock = PortalStub(), PortalStub(), Clock()
        self.journal, self.faults = Journal(), Faults()
        (portal,) = serve({self.stub: 0}, Journal(), Faults())
        (trap,) = serve({self.trap: 0}, Journal(), Faults())
        self.slack = SlackStand(self.clock, Portal(f"{HERE}:{portal.server_port}/"))
        (server,) = serve({SlackSystem(self.slack): 0}, self.journal, self.faults)
        self.servers = [portal, trap, server]
        self.origin = self.slack.origin = f"{HERE}:{server.server_port}"
        self.trap_origin = f"{HERE}:{trap.server_port}"
        self.slack.socket_origin = open_sockets(self.slack.sockets)
        self.platform = self.stub.platform = self.connect()

    def clean(self) -> None:
        self.slack.reset()
        self.slack.choose_mode("http")
        self.journal.clear()
        self.faults.clear()
        self.stub.received.clear()
        self.stub.requests.clear()
        self.platform = self.stub.platform = self.connect()

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def connect(self, **changes: str) -> Slack:
        """Changes are of settings and secrets alike."""
        settings = {"app_id": APP_ID, "team_id": TEAM, "api_base": self.origin}
        secrets = {
            "signing_secret": SIGNING_SECRET,
            "bot_token": BOT_TOKEN,
            "app_token": APP_TOKEN,
        }
        told = {name: changes.get(name, value) for name, value in secrets.items()}
        more = {name: value for name, value in changes.items() if name not in secrets}
        bot = Bot(name="ops-slack", platform="slack", settings=settings | more, secrets=told)
        return Slack(bot)

    def say(self, text: str = "/help", person: str = "zhangsan", **more: Any) -> dict[str, Any]:
        where, times = more.get("conversation", "cid-release"), more.get("times", 1)
        return self.slack.say(person, where, text, more.get("tamper", {})).send(times)

    def hear(self, text: str = "/help", person: str = "zhangsan", **more: Any) -> IncomingMessage:
        assert self.say(text, person, **more)["status"] == 200
        heard = self.stub.received[-1]
        assert isinstance(heard, IncomingMessage), heard
        return heard

    def press(self, n: int, button: str, person: str = "zhangsan", **tamper: Any) -> Press:
        assert self.slack.press(person, n, button, tamper).send()["status"] == 200
        pressed = self.stub.received[-1]
        assert isinstance(pressed, Press), pressed
        return pressed

    def answers(self) -> list[dict[str, Any]]:
        return [message for message in self.slack.talk.since(0) if message["from"] == "bot"]

    def calls(self) -> list[str]:
        return [entry["path"].rpartition("/")[2] for entry in self.journal.entries]


@pytest.fixture(scope="module", name="whole_street")
def whole_street_fixture() -> Iterator[Street]:
    made = Street()
    yield made
    made.close()


@pytest.fixture(name="street")
def street_fixture(whole_street: Street) -> Street:
    """As new, on servers that the tests of one file share."""
    whole_street.clean()
    return whole_street
