"""WeCom's aibot (智能机器人): a bot for groups and private chats, which fetches its answers piece by piece.

https://developer.work.weixin.qq.com/document/path/100719
https://developer.work.weixin.qq.com/document/path/101031
https://developer.work.weixin.qq.com/document/path/101138
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import (
    Body,
    Challenge,
    Ignored,
    IncomingMessage,
    Outgoing,
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
from bot.platforms.models import Bot
from bot.platforms.reading import (
    BLANKS,
    LONGEST_ID,
    LONGEST_TENANT,
    Unusable,
    check_kind,
    find_address,
    origins_of,
    parse_object,
    part,
    readable,
    word,
)
from bot.platforms.wecom.api import Refused, check, told
from bot.platforms.wecom.crypto import LARGEST, SECRETS, Opened, Seals, answer_by
from bot.platforms.wecom.text import SETTLED, cut, question, to_card, withdrawn
from chatops_site.kit.http import Client, HttpError

ORIGINS: Final = ("https://qyapi.weixin.qq.com",)
DEADLINE: Final = 10.0
LONGEST_BYTES: Final = 20_480
# WeCom asks for six minutes and takes one answer later for an hour; something is left for the way.
STREAMED: Final = timedelta(seconds=330)
ANSWERABLE: Final = timedelta(minutes=59)
UNDER_WAY: Final = "⏳"

_ANSWER_PATH: Final = re.compile(r"/cgi-bin/aibot/response\?response_code=[A-Za-z0-9_.~%-]{1,600}")
_ADDRESS: Final = re.compile(r"[\x21-\x7e]{1,1000}")
_STREAM: Final = re.compile(r"([0-9]{10}):(.+)", re.DOTALL)
_PRIVATE: Final = {"single": True, "group": False}


@dataclass(frozen=True)
class Refresh(Poll):
    """A poll of the stream that we opened: its own id, and when it began (None: by somebody else)."""

    stream: str = ""
    began: datetime | None = None


class WeComAibot(Platform):
    """Its people are those of WeCom. It can speak only where it was spoken to, and for an hour.

    It reads presses and sends cards, but has_buttons is False: what a poll fetches is text alone.
    """

    label = gettext_lazy("WeCom aibot")
    settings = (
        Setting("bot_id"),
        Setting("bot_name"),
        Setting("corp_id"),
        Setting("receive_id", required=False),
        Setting("api_base", required=False),
    )
    # The last one is for the long connection, which is not built.
    secrets = (*SECRETS, Setting("secret", required=False))
    answers_at_once = True
    polls = True
    accounts_of = "wecom"

    def __init__(self, bot: Bot) -> None:
        super().__init__(bot)
        self._seals = Seals(self, receive_id=self.setting("receive_id"))
        self._clients = {
            origin: Client(origin, deadline=DEADLINE)
            for origin in origins_of(self.setting("api_base"), ORIGINS)
        }

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        if webhook.method == "GET":
            return Challenge(self._seals.echo(webhook, now=now), "text/plain")
        if webhook.method != "POST":
            raise Rejected("method", status=405)
        check_kind(webhook, "application/json", "")
        opened = self._seals.open(webhook, find_sealed(webhook.body), now=now)
        try:
            payload = parse_object(opened.content)
        except Unusable as unusable:
            return Ignored(str(unusable))
        if not self.setting("bot_id") or payload.get("aibotid") != self.setting("bot_id"):
            raise Rejected("wrong_app")
        try:
            return self._read(payload, opened, webhook)
        except Unusable as unusable:
            return Ignored(str(unusable), _message_id(payload))

    def _read(self, payload: Mapping[str, Any], opened: Opened, webhook: Webhook) -> Parsed:
        kind = payload.get("msgtype")
        if kind == "stream":
            return _refresh(word(part(payload, "stream"), "id", 300))
        if kind == "event":
            return self._event(payload, opened, webhook)
        if kind != "text":
            raise Unusable("not_text")
        sent_at = _sent_at(payload, opened.signed_at)
        return IncomingMessage(
            platform="wecom",
            message_id=word(payload, "msgid", LONGEST_ID),
            text=self._text(payload),
            sent_at=sent_at,
            **self._place(payload, webhook, sent_at),
        )

    def _event(self, payload: Mapping[str, Any], opened: Opened, webhook: Webhook) -> Parsed:
        event = part(payload, "event")
        kind = event.get("eventtype")
        if kind != "template_card_event":
            raise Unusable("enter_chat" if kind == "enter_chat" else "event")
        pressed = part(event, "template_card_event")
        token = word(pressed, "event_key", LONGEST_ID)
        if token == SETTLED:
            raise Unusable("settled")
        pressed_at = _sent_at(payload, opened.signed_at)
        place = self._place(payload, webhook, pressed_at)
        place["route"]["task_id"] = word(pressed, "task_id", 128, optional=True)
        return Press(
            platform="wecom",
            press_id=word(payload, "msgid", LONGEST_ID),
            token=token,
            pressed_at=pressed_at,
            **place,
        )

    def _place(
        self, payload: Mapping[str, Any], webhook: Webhook, moment: datetime
    ) -> dict[str, Any]:
        """Who spoke, where, and how they can be answered."""
        private, sender = _is_private(payload), part(payload, "from")
        user = word(sender, "userid", 64)
        tenant = word(sender, "corpid", LONGEST_TENANT, optional=True) or self.setting("corp_id")
        conversation = f"user:{user}" if private else word(payload, "chatid", LONGEST_ID)
        return {
            "sender": Sender(tenant=tenant, id=user, name=""),
            "conversation": conversation,
            "conversation_name": "",
            "private": private,
            "route": {
                "response_url": _address(payload.get("response_url")),
                "expires": int((moment + ANSWERABLE).timestamp()),
                "conversation": conversation,
                "private": private,
                "user": user,
            },
            "source_ip": webhook.source_ip,
        }

    def _text(self, payload: Mapping[str, Any]) -> str:
        content = part(payload, "text").get("content")
        if not isinstance(content, str):
            raise Unusable("schema")
        text = readable(content).strip(BLANKS)
        return text if _is_private(payload) else self._without_mention(text)

    def _without_mention(self, text: str) -> str:
        """In groups the bot's name stands first, as it is shown there: it may have blanks in it."""
        mention = "@" + self.setting("bot_name").removeprefix("@").strip(BLANKS)
        rest = text.removeprefix(mention)
        if rest == text or (rest and rest[0] not in BLANKS and rest[0] not in "/／"):
            return text
        return rest.strip(BLANKS)

    def acknowledge(self, webhook: Webhook, parsed: Parsed, said: Said, *, now: datetime) -> Body:
        with translation.override(self.bot.language):
            content = self._passive(parsed, said, now=now)
        if content is None:
            return Body()
        opened = self._seals.reopen(webhook, find_sealed(webhook.body))
        raw = json.dumps(content, ensure_ascii=False).encode()
        answer = answer_by(opened.seal, raw, now=now)
        sealed = {
            "encrypt": answer.sealed,
            "msgsignature": answer.signature,
            "timestamp": int(answer.timestamp),
            "nonce": answer.nonce,
        }
        return Body(json.dumps(sealed).encode(), "application/json")

    def _passive(self, parsed: Parsed, said: Said, *, now: datetime) -> dict[str, Any] | None:
        if isinstance(parsed, IncomingMessage):
            stream = f"{int(parsed.sent_at.timestamp())}:{parsed.message_id}"
            return _streamed(stream, said, is_over=_is_over(parsed.sent_at, now))
        if isinstance(parsed, Poll):
            stream = parsed.stream if isinstance(parsed, Refresh) else parsed.message_id
            began = parsed.began if isinstance(parsed, Refresh) else None
            return _streamed(stream, said, is_over=began is None or _is_over(began, now))
        if isinstance(parsed, Press) and said.text:
            return _pressed(parsed, said)
        if isinstance(parsed, Ignored) and parsed.reason == "enter_chat":
            welcome = _("This bot takes commands. /help tells which.")
            return {"msgtype": "text", "text": {"content": said.text or welcome}}
        return None

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        """There is one answer, for an hour: mere progress is left to the polls, and not sent."""
        if not message.final:
            return ""
        address = find_address(route.get("response_url"), self._clients, _ANSWER_PATH)
        if address is None:
            raise SendFailed(
                _("WeCom named no address of its own for the answer."), retryable=False
            )
        if int(route.get("expires") or 0) <= now.timestamp():
            raise SendFailed(
                _("WeCom takes no answer any more: an aibot may answer for one hour only."),
                retryable=False,
            )
        with translation.override(self.bot.language):
            content = _content(message)
        self._post(*address, content)
        return ""

    def _post(self, origin: str, path: str, body: Mapping[str, Any]) -> None:
        try:
            answer = self._clients[origin].send("POST", path, json=body)
        except HttpError as error:
            raise SendFailed(str(error), retryable=error.retryable) from None
        try:
            check(told(answer), secrets=(path.partition("=")[2],))
        except Refused as refused:
            raise SendFailed(
                _(
                    "WeCom took no answer (%(code)s): it takes one for each message, within an "
                    "hour, and that may be used up."
                )
                % {"code": refused.code},
                retryable=False,
            ) from None

    def check(self) -> str:
        if not self._seals.are_usable:
            raise SendFailed(
                _("Token and EncodingAESKey are missing, or the key has not 43 characters."),
                retryable=False,
            )
        return _(
            "Token and EncodingAESKey have the right form. WeCom has nothing to ask about an aibot: "
            "save the callback address in its console to test both."
        )


def find_sealed(body: bytes) -> str:
    """The ciphertext out of its envelope, which has to be read to find it; Rejected."""
    if len(body) > LARGEST:
        raise Rejected("too_large", status=413)
    try:
        sealed = parse_object(body).get("encrypt")
    except Unusable:
        sealed = None
    if not isinstance(sealed, str) or not sealed:
        raise Rejected("malformed", status=400)
    return sealed


def _refresh(stream: str) -> Refresh:
    """A stream's id holds when it began and which message it answers."""
    ours = _STREAM.fullmatch(stream)
    if ours is None:
        return Refresh(stream[:LONGEST_ID], stream)
    return Refresh(ours[2][:LONGEST_ID], stream, datetime.fromtimestamp(int(ours[1]), UTC))


def _is_over(began: datetime, now: datetime) -> bool:
    return now - began >= STREAMED


def _streamed(stream: str, said: Said, *, is_over: bool) -> dict[str, Any]:
    text = said.text or UNDER_WAY
    if is_over and not said.final:
        text += "\n" + _("This takes longer. The result follows as a message of its own.")
    finish = said.final or is_over
    content = cut(text, LONGEST_BYTES)
    return {"msgtype": "stream", "stream": {"id": stream, "finish": finish, "content": content}}


def _pressed(press: Press, said: Said) -> dict[str, Any]:
    """Only whoever pressed sees it changed: a stranger's press may not take the card from the others."""
    return {
        "response_type": "update_template_card",
        **({} if press.private else {"userids": [press.sender.id]}),
        "template_card": withdrawn(to_card(said.text), task_id=str(press.route.get("task_id", ""))),
    }


def _content(message: Outgoing) -> dict[str, Any]:
    """A card where it holds all that is said; else the text alone, as buttons can be typed too."""
    said = to_card(message.text)
    if message.buttons and said.is_whole:
        card = question(said, message.buttons, task_id=f"chatops-{secrets.token_hex(16)}")
        return {"msgtype": "template_card", "template_card": card}
    return {"msgtype": "markdown", "markdown": {"content": cut(message.text, LONGEST_BYTES)}}


def _is_private(payload: Mapping[str, Any]) -> bool:
    kind = payload.get("chattype")
    if not isinstance(kind, str) or kind not in _PRIVATE:
        raise Unusable("schema")
    return _PRIVATE[kind]


def _sent_at(payload: Mapping[str, Any], signed_at: datetime) -> datetime:
    """The content's own time only where it is the earlier one: a replay cannot make itself younger."""
    created = payload.get("create_time")
    if not isinstance(created, int) or isinstance(created, bool) or created <= 0:
        return signed_at
    return datetime.fromtimestamp(min(created, int(signed_at.timestamp())), UTC)


def _address(value: object) -> str:
    return value if isinstance(value, str) and _ADDRESS.fullmatch(value) else ""


def _message_id(payload: Mapping[str, Any]) -> str:
    try:
        return word(payload, "msgid", LONGEST_ID, optional=True)
    except Unusable:
        return ""
