"""What Feishu's events say: messages to the bot and buttons pressed, whichever way they came.

https://open.feishu.cn/document/server-docs/im-v1/message/events/receive
https://open.feishu.cn/document/feishu-cards/card-callback-communication
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bot.platforms.base import Ignored, IncomingMessage, Parsed, Press, Rejected, Sender
from bot.platforms.reading import (
    BLANKS,
    LONGEST_ID,
    LONGEST_TENANT,
    Unusable,
    parse_object,
    part,
    readable,
    shown,
    word,
)

MOST_MENTIONS: Final = 200

# One more digit is another mention: "@_user_1" begins "@_user_10" too.
_MENTION: Final = re.compile(r"(@_user_[0-9]{1,6}(?![0-9]))([ \u00a0\u2005]?)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Messages tell milliseconds, cards microseconds.
_UNITS: Final = {13: 1_000, 16: 1}
_DIGITS: Final = re.compile(r"[0-9]{13}|[0-9]{16}")


@dataclass(frozen=True)
class Addressee:
    """What has to be ours. Without a tenant_key every tenant that has the app is."""

    app_id: str
    tenant_key: str
    bot_open_id: str


def read(payload: Mapping[str, Any], ours: Addressee, *, now: datetime) -> Parsed:
    """An event of schema 2.0, or Rejected when it is for another app or tenant."""
    try:
        return _read(payload, ours, now)
    except Unusable as unusable:
        return Ignored(str(unusable), _id_of(payload))


def _read(payload: Mapping[str, Any], ours: Addressee, now: datetime) -> Parsed:
    if payload.get("schema") != "2.0":
        raise Unusable("schema_version")
    head = part(payload, "header")
    if not ours.app_id or head.get("app_id") != ours.app_id:
        raise Rejected("wrong_app")
    if ours.tenant_key and head.get("tenant_key") != ours.tenant_key:
        raise Rejected("wrong_tenant")
    kind = head.get("event_type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise Unusable("event_type")
    return reader(head, part(payload, "event"), ours, now)


# Messages ----------------------------------------------------------------------------------------


def _message(
    head: Mapping[str, Any], event: Mapping[str, Any], ours: Addressee, now: datetime
) -> IncomingMessage:
    sender, message = part(event, "sender"), part(event, "message")
    if sender.get("sender_type") != "user":
        raise Unusable("bot")
    message_id, chat = word(message, "message_id", LONGEST_ID), word(message, "chat_id", LONGEST_ID)
    private = _is_private(message)
    person = word(part(sender, "sender_id"), "open_id", LONGEST_ID, optional=True)
    text = _text_of(message, _Mentions(message, ours.bot_open_id))
    return IncomingMessage(
        platform="feishu",
        message_id=message_id,
        sender=Sender(_tenant(sender, head), person, ""),
        conversation=chat,
        conversation_name="",
        private=private,
        text=readable(text).strip(BLANKS),
        sent_at=_moment(message.get("create_time") or head.get("create_time"), now),
        route=_route(message_id, chat, person, private=private),
    )


def _is_private(message: Mapping[str, Any]) -> bool:
    kind = message.get("chat_type")
    if kind not in ("p2p", "group", "topic_group"):
        raise Unusable("chat_type")
    return bool(kind == "p2p")


def _tenant(who: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """In a group with other companies each one keeps the tenant that is his own."""
    told = word(who, "tenant_key", LONGEST_TENANT, optional=True)
    return told or word(head, "tenant_key", LONGEST_TENANT)


def _route(message_id: str, chat: str, person: str, *, private: bool) -> dict[str, Any]:
    return {"message": message_id, "chat": chat, "person": person, "private": private}


class _Mentions:
    """Who is behind the signs @_user_1, @_user_2 of a text, and which of them is the bot."""

    def __init__(self, message: Mapping[str, Any], bot_open_id: str) -> None:
        told = message.get("mentions")
        if told is not None and not isinstance(told, list):
            raise Unusable("schema")
        known = (one for one in (told or ())[:MOST_MENTIONS] if isinstance(one, dict))
        self._known = {str(one.get("key")): one for one in known}
        self._bot_open_id = bot_open_id

    def written(self, text: str) -> str:
        """The text with the bot's own sign and the blank behind it left out, others by their names.

        A sign that nobody is behind was typed by hand and stays.
        """
        first = _MENTION.match(text.lstrip(BLANKS))
        own = self._own(first[1] if first else "")

        def _one(found: "re.Match[str]") -> str:
            if found[1] in own:
                return ""
            known = self._known.get(found[1])
            if known is None:
                return found[0]
            return f"@{shown(known.get('name'), longest=100)}{found[2]}"

        return _MENTION.sub(_one, text)

    def _own(self, first: str) -> frozenset[str]:
        """The bot's signs. Who the bot is may not be known here: then the one the text begins with, or the only one.

        That is safe: Feishu brings the bot a group's message because it is mentioned in it. Where the
        app may see all messages it could be somebody else, and then no more can come of it than a
        command that its sender has typed and has the right to.
        """
        if self._bot_open_id:
            return frozenset(key for key, one in self._known.items() if self._is_bot(one))
        if first in self._known:
            return frozenset({first})
        return frozenset(self._known) if len(self._known) == 1 else frozenset()

    def _is_bot(self, mention: Mapping[str, Any]) -> bool:
        told = mention.get("id")
        return isinstance(told, dict) and told.get("open_id") == self._bot_open_id


def _text_of(message: Mapping[str, Any], mentions: _Mentions) -> str:
    kind = message.get("message_type")
    reader = _CONTENTS.get(kind) if isinstance(kind, str) else None
    raw = message.get("content")
    if reader is None or not isinstance(raw, str):
        raise Unusable("not_text")
    try:
        content = parse_object(raw.encode("utf-8", "surrogatepass"))
    except Rejected:
        raise Unusable("schema") from None
    return mentions.written(reader(content))


def _plain(content: Mapping[str, Any]) -> str:
    text = content.get("text")
    if not isinstance(text, str):
        raise Unusable("schema")
    return text


def _post(content: Mapping[str, Any]) -> str:
    """A rich text, paragraph by paragraph. Code blocks are quoted, not said."""
    title, paragraphs = content.get("title"), content.get("content")
    if not isinstance(paragraphs, list):
        raise Unusable("schema")
    lines = [title] if isinstance(title, str) else []
    lines += ["".join(map(_piece, one)) for one in paragraphs if isinstance(one, list)]
    return "\n".join(lines).strip(BLANKS)


def _piece(node: object) -> str:
    if not isinstance(node, dict):
        return ""
    if node.get("tag") == "at":
        return _person(node)
    told = node.get("text") if node.get("tag") in ("text", "a", "md") else None
    return told if isinstance(told, str) else ""


def _person(node: Mapping[str, Any]) -> str:
    sign = node.get("user_id")
    if isinstance(sign, str) and _MENTION.fullmatch(sign):
        return sign
    return f"@{shown(node.get('user_name'), longest=100)}"


_CONTENTS: Final = {"text": _plain, "post": _post}


# Buttons -----------------------------------------------------------------------------------------


def _press(
    head: Mapping[str, Any], event: Mapping[str, Any], _ours: Addressee, now: datetime
) -> Press:
    """A callback tells no name and no kind of its conversation, so the answer mentions who pressed."""
    operator, context = part(event, "operator"), part(event, "context")
    person = word(operator, "open_id", LONGEST_ID, optional=True)
    chat = word(context, "open_chat_id", LONGEST_ID, optional=True)
    card = word(context, "open_message_id", LONGEST_ID, optional=True)
    value = part(event, "action").get("value")
    if not isinstance(value, dict) or "button" not in value:
        raise Unusable("not_our_button")
    return Press(
        platform="feishu",
        press_id=word(head, "event_id", LONGEST_ID),
        token=word(value, "button", LONGEST_ID),
        sender=Sender(_tenant(operator, head), person, ""),
        conversation=chat,
        conversation_name="",
        private=False,
        pressed_at=_moment(head.get("create_time"), now),
        route=_route(card, chat, person, private=False),
    )


# Both --------------------------------------------------------------------------------------------


def _moment(told: object, now: datetime) -> datetime:
    """When Feishu had it. Never later than now: a message cannot make itself younger."""
    if not isinstance(told, str) or not _DIGITS.fullmatch(told):
        return now
    return min(_EPOCH + timedelta(microseconds=int(told) * _UNITS[len(told)]), now)


def _id_of(payload: Mapping[str, Any]) -> str:
    """Of what is ignored, where it can be told."""
    try:
        message = part(part(payload, "event"), "message")
        told = word(message, "message_id", LONGEST_ID, optional=True)
        return told or word(part(payload, "header"), "event_id", LONGEST_ID, optional=True)
    except Unusable:
        return ""


_Reader = Callable[[Mapping[str, Any], Mapping[str, Any], Addressee, datetime], Parsed]
_READERS: Final[dict[str, _Reader]] = {
    "im.message.receive_v1": _message,
    "card.action.trigger": _press,
}
