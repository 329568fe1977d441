"""A fifth chat platform, which is one class: pagers, with a desk that passes messages on and keeps them."""

import hmac
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import pytest
from django.http import HttpResponse
from django.test import Client

from bot.people.models import Account, Person
from bot.platforms import PLATFORMS
from bot.platforms.base import (
    Body,
    Ignored,
    IncomingMessage,
    Outgoing,
    Pace,
    Parsed,
    Platform,
    Poll,
    Press,
    Rejected,
    Said,
    Sender,
    SendFailed,
    Setting,
    Webhook,
)
from bot.platforms.models import Bot, Conversation
from bot.platforms.reading import Unusable, check_method, parse_object, part, readable, word
from repos.models import Repository
from tests.portal import Chat

KEY, TEAM = "pager-key-of-the-tests", "team-1"
WEBHOOK: Final = "/webhooks/chat/pagers/"


@dataclass
class Shown:
    """A message as it stands on the pagers now, and how often it was changed."""

    id: str
    where: str
    message: Outgoing
    changes: int = 0

    @property
    def text(self) -> str:
        return self.message.text.replace("  \n", "\n")

    def button(self, label: str) -> str:
        """The token that the button carries."""
        return next(one.token for one in self.message.buttons if one.label == label)


class Pager(Platform):
    """Signs its bodies with the bot's key."""

    name: ClassVar[str] = "pager"
    settings = (Setting("team"),)
    secrets = (Setting("key"),)
    paces = (Pace(20, 60.0),)
    shown: ClassVar[list[Shown]] = []
    tries: ClassVar[int] = 0
    trouble: ClassVar[SendFailed | None] = None

    @property
    def updates_in_place(self) -> bool:
        return True

    @property
    def has_buttons(self) -> bool:
        return True

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        check_method(webhook)
        right = hmac.new(self.secret("key").encode(), webhook.body, "sha256").hexdigest()
        if not hmac.compare_digest(right.encode(), webhook.headers.get("x-sign", "").encode()):
            raise Rejected("bad_signature")
        try:
            return self._read(parse_object(webhook.body), now)
        except Unusable as unusable:
            return Ignored(str(unusable))

    def _read(self, payload: Mapping[str, Any], now: datetime) -> Parsed:
        if "poll" in payload:
            return Poll(word(payload, "poll", 200))
        by, where = part(payload, "by"), word(payload, "where", 200)
        told: dict[str, Any] = {
            "platform": self.name,
            "sender": Sender(self.setting("team"), word(by, "id", 200), word(by, "name", 100)),
            "conversation": where,
            "conversation_name": where,
            "private": where.startswith("private"),
            "route": {"where": where},
        }
        number = word(payload, "id", 200)
        if "press" in payload:
            token = word(payload, "press", 200)
            return Press(press_id=number, token=token, pressed_at=now, **told)
        text = readable(str(payload["text"]))
        return IncomingMessage(message_id=number, text=text, sent_at=now, **told)

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        self._try()
        shown = Shown(uuid.uuid4().hex, route["where"], message)
        type(self).shown.append(shown)
        return shown.id

    def update(
        self, route: Mapping[str, Any], external_id: str, message: Outgoing, *, now: datetime
    ) -> str:
        self._try()
        shown = next(one for one in self.shown if one.id == external_id)
        shown.message, shown.changes = message, shown.changes + 1
        return external_id

    def _try(self) -> None:
        type(self).tries += 1
        if self.trouble is not None:
            raise self.trouble

    def check(self) -> str:
        return f"Pagers of {self.setting('team')}."

    def name_of(self, account: str) -> str:
        return f"bearer of {account}"


class Fetching(Pager):
    """The same where the platform comes for its answers, as WeCom's robots do."""

    name = "fetching"
    answers_at_once = True
    polls = True

    @property
    def updates_in_place(self) -> bool:
        return False

    def acknowledge(self, webhook: Webhook, parsed: Parsed, said: Said, *, now: datetime) -> Body:
        told = json.dumps({"text": said.text, "final": said.final})
        return Body(told.encode(), "application/json")


class Pagers:
    """People with pagers, beside the demo portal's people of DingTalk."""

    def __init__(self, chat: Chat, bot: Bot) -> None:
        self.chat, self.bot = chat, bot
        self._portal = Client()

    def say(self, text: str, *, by: str = "zhangsan", where: str = "room") -> str:
        """What the newest message on the pagers says when all is done."""
        assert self.only_say(text, by=by, where=where).status_code == 200
        self.chat.carry_out()
        return self.newest.text

    def only_say(
        self, text: str, *, by: str = "zhangsan", where: str = "room", number: str = ""
    ) -> HttpResponse:
        return self.post(text=text, by=by, where=where, id=number)

    def press(
        self, token: str, *, by: str = "zhangsan", where: str = "room", number: str = ""
    ) -> HttpResponse:
        answer = self.post(press=token, by=by, where=where, id=number)
        self.chat.carry_out()
        return answer

    def poll(self, number: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.post(poll=number).content)
        return told

    def post(self, **content: Any) -> HttpResponse:
        by = content.pop("by", "zhangsan")
        body = {**content, "by": {"id": f"pager-{by}", "name": by}}
        body["id"] = content.get("id") or uuid.uuid4().hex
        raw = json.dumps(body).encode()
        signed = hmac.new(KEY.encode(), raw, "sha256").hexdigest()
        kind = {"content_type": "application/json", "HTTP_X_SIGN": signed}
        return self._portal.post(WEBHOOK, raw, **kind)  # type: ignore[arg-type, return-value]

    @property
    def shown(self) -> list[Shown]:
        return Pager.shown

    @property
    def newest(self) -> Shown:
        return Pager.shown[-1]


def pagers_with(chat: Chat, kind: type[Pager]) -> Pagers:
    """The registry's one line, a bot, and everybody's account."""
    PLATFORMS[kind.name] = f"{kind.__module__}.{kind.__qualname__}"
    Pager.shown, Pager.tries, Pager.trouble = [], 0, None
    bot = Bot.objects.create(
        name="pagers",
        platform=kind.name,
        language="en",
        settings={"team": TEAM},
        secrets={"key": KEY},
    )
    shop = Repository.objects.get(name="shop")
    Conversation.objects.create(bot=bot, external_id="room", name="room", repository=shop)
    for person in Person.objects.all():
        Account.objects.create(
            person=person,
            platform=kind.name,
            tenant=TEAM,
            external_id=f"pager-{person.username}",
        )
    return Pagers(chat, bot)


@pytest.fixture(name="pagers")
def pagers_fixture(chat: Chat) -> Iterator[Pagers]:
    yield pagers_with(chat, Pager)
    del PLATFORMS[Pager.name]


@pytest.fixture(name="fetching")
def fetching_fixture(chat: Chat) -> Iterator[Pagers]:
    yield pagers_with(chat, Fetching)
    del PLATFORMS[Fetching.name]


def now() -> datetime:
    return datetime.now(UTC)
