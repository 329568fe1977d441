"""The chat stand-in of the tests: with a portal that only verifies, and a trap nobody may call."""

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from bot.platforms.base import IncomingMessage, Rejected, Webhook
from bot.platforms.dingtalk.adapter import DingTalk
from bot.platforms.models import Bot
from chatops_site.sandbox import demo
from chatops_site.sandbox.chat import ChatSystem, build_system
from chatops_site.sandbox.choice import Choice
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.dingtalk.robot import APP_KEY, APP_SECRET, CORP, ROBOT_CODE
from chatops_site.sandbox.forges import FORGES
from chatops_site.sandbox.hooks import Hooks
from chatops_site.sandbox.pane import Pane
from chatops_site.sandbox.server import Faults, Journal, Request, Response, serve
from chatops_site.sandbox.world import World

HERE = "http://127.0.0.1"


def now() -> datetime:
    return datetime.now(UTC)


class PortalStub:
    """A portal that only verifies: the platform's answer is the status."""

    name = "portal"

    def __init__(self) -> None:
        self.platform: DingTalk | None = None
        self.received: list[IncomingMessage] = []

    def answer(self, request: Request) -> Response:
        assert self.platform is not None
        webhook = Webhook(request.method, dict(request.headers), request.query, request.body)
        try:
            parsed = self.platform.receive(webhook, now=now())
        except Rejected as rejected:
            return Response(rejected.status)
        if isinstance(parsed, IncomingMessage):
            self.received.append(parsed)
        return Response(200)


class Street:
    """A portal stub, the chat stand-in and a trap that nobody should ever call."""

    def __init__(self) -> None:
        self.stub, self.trap, self.clock = PortalStub(), PortalStub(), Clock()
        self.journal, self.faults = Journal(), Faults()
        (portal,) = serve({self.stub: 0}, Journal(), Faults())
        (trap,) = serve({self.trap: 0}, Journal(), Faults())
        world = World()
        demo.fill(world)
        root = f"{HERE}:{portal.server_port}"
        styles = {name: stand.pages for name, stand in FORGES.items()}
        choice = Choice(world, Hooks(world, {}, root), styles)
        pane = Pane(world, choice, dict)
        self.chat: ChatSystem = build_system(self.clock, pane, choice, portal=root, bot="ops")
        (server,) = serve({self.chat: 0}, self.journal, self.faults)
        self.servers = [portal, trap, server]
        self.origin = f"{HERE}:{server.server_port}"
        self.trap_origin = f"{HERE}:{trap.server_port}"
        origins = {"chat": self.origin, "gitee": "http://gitee", "jenkins": "http://jenkins"}
        self.chat.control("listen", origins)
        self.platform = self.stub.platform = self.connect()

    def clean(self) -> None:
        self.chat.control("reset", {})
        self.journal.clear()
        self.faults.clear()
        self.stub.received.clear()
        self.platform = self.stub.platform = self.connect()

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def connect(self, secret: str = APP_SECRET) -> DingTalk:
        settings = {"app_key": APP_KEY, "robot_code": ROBOT_CODE, "corp_id": CORP}
        bot = Bot(name="ops", platform="dingtalk", settings=settings | {"api_base": self.origin})
        bot.secrets = {"app_secret": secret}
        return DingTalk(bot)

    def say(self, text: str = "/help", person: str = "zhangsan", **more: Any) -> dict[str, Any]:
        where = more.pop("conversation", "cid-release")
        said = {"person": person, "conversation": where, "text": text}
        return self.chat.control("say", said | more)

    def hear(self, text: str = "/help", **more: Any) -> IncomingMessage:
        assert self.say(text, **more)["status"] == 200
        return self.stub.received[-1]

    def answers(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.chat.control("messages", {})["messages"]
        return [message for message in messages if message["from"] == "bot"]

    def calls(self) -> list[str]:
        return [entry["path"] for entry in self.journal.entries]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.origin).netloc, timeout=25)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        is_json = answer.headers["Content-Type"].startswith("application/json")
        return answer.status, json.loads(raw) if is_json else raw.decode()


@pytest.fixture(scope="module", name="whole_street")
def whole_street_fixture() -> Iterator[Street]:
    made = Street()
    yield made
    made.close()


@pytest.fixture(name="street")
def street_fixture(whole_street: Street) -> Street:
    """The demo world as new, on servers that the tests of one file share."""
    whole_street.clean()
    return whole_street
