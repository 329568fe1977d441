"""What DingTalk's payloads say: a message, by webhook or Stream alike, and a button pressed on a card.

https://open.dingtalk.com/document/isvapp/receive-message
https://open.dingtalk.com/document/orgapp/event-callback-card
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bot.platforms.base import IncomingMessage, Press, Rejected, Sender
from bot.platforms.reading import (
    BLANKS,
    LONGEST_ID,
    LONGEST_TENANT,
    Unusable,
    count,
    parse_object,
    part,
    readable,
    shown,
    word,
)

EPOCH: Final = datetime.fromtimestamp(0, UTC)

_WEBHOOK: Final = re.compile(r"[\x21-\x7e]{1,1000}")
_MENTION: Final = re.compile(r"@\S+")
_PRIVATE: Final = {"1": True, "2": False}
_SPACE_PREFIX: Final = "dtv1.card//IM_GROUP."
# Of user ids there are two kinds; only this one is what messages name their senders by.
_STAFF_ID: Final = 1


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def read_message(
    payload: Mapping[str, Any], *, known_at: int, source_ip: str = ""
) -> IncomingMessage:
    """known_at: the milliseconds that are certain, signed or our own. Unusable where it is no command."""
    read = _TEXTS.get(str(payload.get("msgtype")))
    if read is None:
        raise Unusable("not_text")
    if payload.get("senderId") and payload.get("senderId") == payload.get("chatbotUserId"):
        raise Unusable("own_message")
    _check_hosting(payload)
    conversation, private = word(payload, "conversationId", LONGEST_ID), _is_private(payload)
    staff_id = word(payload, "senderStaffId", LONGEST_ID, optional=True)
    return IncomingMessage(
        platform="dingtalk",
        message_id=word(payload, "msgId", LONGEST_ID),
        sender=Sender(
            tenant=word(payload, "senderCorpId", LONGEST_TENANT, optional=True),
            id=staff_id,
            name=shown(payload.get("senderNick"), longest=100),
        ),
        conversation=conversation,
        conversation_name=shown(payload.get("conversationTitle"), longest=200),
        private=private,
        text=readable(read(payload)).strip(BLANKS),
        sent_at=_sent_at(payload, known_at),
        route={
            "webhook": _webhook_text(payload.get("sessionWebhook")),
            "expires": count(payload, "sessionWebhookExpiredTime", 0),
            "conversation": conversation,
            "private": private,
            "staff_id": staff_id,
        },
        source_ip=source_ip,
    )


def read_press(payload: Mapping[str, Any], *, press_id: str, now: datetime) -> Press:
    """A card's callback. DingTalk tells no id of the press itself, and of a private card no conversation."""
    if payload.get("userIdType", _STAFF_ID) != _STAFF_ID:
        raise Unusable("user_id_type")
    staff_id = word(payload, "userId", LONGEST_ID)
    space = word(payload, "spaceId", LONGEST_ID, optional=True).removeprefix(_SPACE_PREFIX)
    private = payload.get("spaceType") != "IM_GROUP"
    conversation = "" if private else space
    return Press(
        platform="dingtalk",
        press_id=press_id,
        token=_token(payload),
        sender=Sender(tenant=word(payload, "corpId", LONGEST_TENANT), id=staff_id, name=""),
        conversation=conversation,
        conversation_name="",
        private=private,
        pressed_at=now,
        route={
            "webhook": "",
            "expires": 0,
            "conversation": conversation,
            "private": private,
            "staff_id": staff_id,
            "card": word(payload, "outTrackId", LONGEST_ID),
            "press": press_id,
        },
    )


def _token(payload: Mapping[str, Any]) -> str:
    """What our template gives its buttons to carry; another template's buttons are not ours."""
    try:
        content = parse_object(str(payload.get("content")).encode("utf-8", "surrogatepass"))
    except Rejected:
        raise Unusable("schema") from None
    params = part(part(content, "cardPrivateData"), "params")
    if not params.get("button"):
        raise Unusable("not_our_button")
    return word(params, "button", LONGEST_ID)


def _check_hosting(payload: Mapping[str, Any]) -> None:
    """Whose conversation the robot keeps for them: not used, but it has to make sense."""
    if payload.get("hostingContext") is not None:
        word(part(payload, "hostingContext"), "userId", LONGEST_ID)


def _plain_text(payload: Mapping[str, Any]) -> str:
    content = payload.get("text")
    if not isinstance(content, dict) or not isinstance(content.get("content"), str):
        raise Unusable("schema")
    if content.get("isReplyMsg") or content.get("repliedMsg"):
        raise Unusable("quote")
    return str(content["content"])


def _rich_text(payload: Mapping[str, Any]) -> str:
    """Its pieces as lines. Here the bot's own @ stays in, so that a leading one is taken off."""
    content = payload.get("content")
    pieces = content.get("richText") if isinstance(content, dict) else None
    if not isinstance(pieces, list) or not all(isinstance(piece, dict) for piece in pieces):
        raise Unusable("schema")
    texts = [piece["text"] for piece in pieces if piece.get("text") is not None]
    if not all(isinstance(text, str) for text in texts):
        raise Unusable("schema")
    lines = [text.strip(BLANKS) for text in texts]
    mention = _MENTION.match(lines[0]) if lines else None
    if mention is not None:
        lines[0] = lines[0][mention.end() :].strip(BLANKS)
    return "\n".join(line for line in lines if line)


_TEXTS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "text": _plain_text,
    "richText": _rich_text,
}


def _is_private(payload: Mapping[str, Any]) -> bool:
    kind = payload.get("conversationType")
    if not isinstance(kind, str) or kind not in _PRIVATE:
        raise Unusable("schema")
    return _PRIVATE[kind]


def _sent_at(payload: Mapping[str, Any], known_at: int) -> datetime:
    """The body's time only where it is the earlier one: a replay cannot make itself younger."""
    earliest = min(count(payload, "createAt", known_at), known_at)
    return EPOCH + timedelta(milliseconds=earliest)


def _webhook_text(value: object) -> str:
    return value if isinstance(value, str) and _WEBHOOK.fullmatch(value) else ""


def message_id_of(payload: Mapping[str, Any]) -> str:
    try:
        return word(payload, "msgId", LONGEST_ID, optional=True)
    except Unusable:
        return ""
