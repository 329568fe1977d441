"""The frames of DingTalk's Stream: what comes down, and the acknowledgements that go up.

https://open-dingtalk.github.io/developerpedia/docs/learn/stream/protocol
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatops_site.kit import strict_json

CALLBACK: Final = "CALLBACK"
EVENT: Final = "EVENT"
SYSTEM: Final = "SYSTEM"
MESSAGES: Final = "/v1.0/im/bot/messages/get"
CARDS: Final = "/v1.0/card/instances/callback"
PING: Final = "ping"
DISCONNECT: Final = "disconnect"
SUBSCRIPTIONS: Final = [{"type": CALLBACK, "topic": topic} for topic in (MESSAGES, CARDS)]

OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404

_LONGEST: Final = 200


class Broken(Exception):
    """Not a frame: it cannot even be acknowledged."""


@dataclass(frozen=True)
class Frame:
    """data: JSON as a text, which is read where it is known what it should be."""

    kind: str
    topic: str
    message_id: str
    data: str = field(repr=False)


def read_frame(raw: str | bytes) -> Frame:
    content = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    try:
        told = strict_json.parse(content)
    except (strict_json.Malformed, strict_json.TooMuch):
        raise Broken from None
    headers = told.get("headers") if isinstance(told, dict) else None
    if not isinstance(headers, dict):
        raise Broken
    message_id = _word(headers, "messageId")
    if not message_id:
        raise Broken
    data = told.get("data")
    return Frame(
        kind=_word(told, "type"),
        topic=_word(headers, "topic"),
        message_id=message_id,
        data=data if isinstance(data, str) else "",
    )


def acknowledgement(frame: Frame, code: int, data: str) -> str:
    """data: JSON as a text."""
    return json.dumps(
        {
            "code": code,
            "headers": {"contentType": "application/json", "messageId": frame.message_id},
            "message": "OK" if code == OK else "",
            "data": data,
        }
    )


def _word(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        return ""
    return value
