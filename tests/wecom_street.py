"""Both of WeCom's stand-ins for tests, each with a portal that only verifies and acknowledges."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bot.platforms.base import (
    Challenge,
    IncomingMessage,
    Parsed,
    Platform,
    Press,
    Rejected,
    Said,
    Webhook,
)
from bot.platforms.models import Bot, Language
from bot.platforms.wecom.aibot import WeComAibot
from bot.platforms.wecom.app import WeCom
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Faults, Journal, Request, Response, serve
from chatops_site.sandbox.stand import ChatStand
from chatops_site.sandbox.talk import Portal
from chatops_site.sandbox.wecom import aibot as aibot_stand
from chatops_site.sandbox.wecom import app as app_stand

HERE = "http://127.0.0.1"
APP_SETTINGS = {"corp_id": app_stand.CORP, "agent_id": str(app_stand.AGENT)}
APP_SECRETS = {
    "secret": app_stand.SECRET,
    "token": app_stand.TOKEN,
    "aes_key": app_stand.AES_KEY,
}
AIBOT_SETTINGS = {
    "bot_id": aibot_stand.BOT_ID,
    "bot_name": aibot_stand.BOT_NAME,
    "corp_id": aibot_stand.CORP,
}
AIBOT_SECRETS = {"token": aibot_stand.TOKEN, "aes_key": aibot_stand.AES_KEY}


def now() -> datetime:
    return datetime.now(UTC)


def app(origin: str = "", secrets: dict[str, str] | None = None, **settings: str) -> WeCom:
    told = {**APP_SETTINGS, "api_base": origin, **settings}
    return WeCom(_bot("wecom", told, APP_SECRETS | (secrets or {})))


def aibot(origin: str = "", secrets: dict[str, str] | None = None, **settings: str) -> WeComAibot:
    told = {**AIBOT_SETTINGS, "api_base": origin, **settings}
    return WeComAibot(_bot("wecom_aibot", told, AIBOT_SECRETS | (secrets or {})))


def _bot(platform: str, settings: dict[str, str], secrets: dict[str, str]) -> Bot:
    told = {"platform": platform, "settings": settings, "secrets": secrets}
    return Bot(name="ops", language=Language.ENGLISH, **told)


class PortalStub:
    """A portal that only verifies. said: what it has to say to whatever comes."""

    name = "portal"

    def __init__(self) -> None:
        self.platform: Platform | None = None
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
        said = self.said(parsed)
        body = self.platform.acknowledge(webhook, parsed, said, now=now())
        return Response(200, body.content, content_type=body.content_type)


class Served:
    """The stand-in as one of the sandbox's systems."""

    name = "chat"

    def __init__(self, stand: ChatStand) -> None:
        self.stand = stand

    def answer(self, request: Request) -> Response:
        return self.stand.answer(request) or Response(404)


class Street:
    """A portal stub and one stand-in, over real HTTP both ways."""

    def __init__(self, stand: type[ChatStand]) -> None:
        self.stub, self.clock = PortalStub(), Clock()
        self.journal, self.faults = Journal(), Faults()
        (portal,) = serve({self.stub: 0}, Journal(), Faults())
        url = f"{HERE}:{portal.server_port}/webhooks/chat/ops/"
        self.stand = stand(self.clock, Portal(url))
        (server,) = serve({Served(self.stand): 0}, self.journal, self.faults)
        self._servers = [portal, server]
        self.origin = self.stand.origin = f"{HERE}:{server.server_port}"

    def close(self) -> None:
        self.stand.reset()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def say(self, text: str = "/help", person: str = "zhangsan", **more: Any) -> dict[str, Any]:
        where = more.pop("conversation", "private")
        times = more.pop("times", 1)
        return self.stand.say(person, where, text, more).send(times)

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

    def messages(self) -> list[dict[str, Any]]:
        return self.stand.talk.since(0)

    def answers(self) -> list[dict[str, Any]]:
        return [message for message in self.messages() if message["from"] == "bot"]

    def calls(self) -> list[str]:
        return [entry["path"] for entry in self.journal.entries]

    def wait(self, holds: Callable[[], bool], seconds: float = 5.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.messages()
            time.sleep(0.01)


@contextmanager
def app_street() -> Iterator[Street]:
    street = Street(app_stand.WeCom)
    street.stub.platform = app(street.origin)
    yield street
    street.close()


@contextmanager
def aibot_street() -> Iterator[Street]:
    street = Street(aibot_stand.WeComAibot)
    street.stub.platform = aibot(street.origin)
    yield street
    street.close()
