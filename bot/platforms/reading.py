"""Reading what a platform sent: nothing of it is trusted to have the shape it should have."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bot.platforms.base import Rejected, Webhook
from chatops_site.kit import strict_json
from chatops_site.kit.http import Answer, BadAnswer

# Of the columns that keep them.
LONGEST_ID: Final = 200
LONGEST_TENANT: Final = 100
BLANKS: Final = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + "\u200b"
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Unusable(Exception):
    """Authentic, but nothing that could be run; the text is the reason for the audit."""


def check_method(webhook: Webhook) -> None:
    """Messages are posted."""
    if webhook.method != "POST":
        raise Rejected("method", status=405)


def check_kind(webhook: Webhook, *kinds: str) -> None:
    """Refuses a body of another content type, or one that is packed."""
    kind = webhook.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise Rejected("content_type", status=415)
    if webhook.headers.get("content-encoding"):
        raise Rejected("content_encoding", status=415)


def header(webhook: Webhook, name: str) -> str:
    """A security header, which has to be there once: WSGI joins repeated ones by a comma."""
    value = webhook.headers.get(name, "")
    if not value:
        raise Rejected("missing_header")
    if "," in value:
        raise Rejected("repeated_header")
    return value


def parameter(webhook: Webhook, name: str) -> str:
    """A parameter of the query, which has to be there once."""
    values = webhook.query.get(name, [])
    if not values or not values[0]:
        raise Rejected("missing_param")
    if len(values) > 1:
        raise Rejected("repeated_param")
    return values[0]


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object. Rejected (400) when it is none, Unusable when it is too large to be a message."""
    try:
        payload = strict_json.parse(raw)
    except strict_json.Malformed:
        raise Rejected("malformed", status=400) from None
    except strict_json.TooMuch:
        raise Unusable("schema") from None
    if not isinstance(payload, dict):
        raise Rejected("malformed", status=400)
    return payload


def told(answer: Answer) -> dict[str, Any]:
    """What the platform's API says, as an object; an empty one where it says something else."""
    try:
        said = answer.json()
    except BadAnswer:
        return {}
    return said if isinstance(said, dict) else {}


def part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside; an empty one where it is missing."""
    value = payload.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unusable("schema")
    return value


def word(payload: Mapping[str, Any], name: str, longest: int, *, optional: bool = False) -> str:
    """A text that is kept as it is; "" only if it is optional."""
    value = payload.get(name)
    if optional and value in (None, ""):
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
        raise Unusable("schema")
    return readable(value)


def count(payload: Mapping[str, Any], name: str, default: int) -> int:
    value = payload.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Unusable("schema")
    return value


def readable(text: str) -> str:
    """Text that the database and every reader take."""
    if not strict_json.is_clean(text):
        raise Unusable("bad_text")
    return text


def shown(value: object, *, longest: int) -> str:
    """A name for display only, without what could change how the rest of the line is read."""
    if not isinstance(value, str):
        return ""
    seen = (c for c in value if unicodedata.category(c) not in {"Cc", "Cs"} and c not in _BIDI)
    return unicodedata.normalize("NFC", "".join(seen))[:longest]


def find_address(
    url: object, origins: Iterable[str], path: "re.Pattern[str]"
) -> tuple[str, str] | None:
    """Origin and path of an address we were told to answer to; None unless it is one of those places.

    Compared as text: with no parser at work, no parser can be fooled. path matches from its first slash.
    """
    if not isinstance(url, str):
        return None
    for origin in origins:
        if url.startswith(origin) and path.fullmatch(url, len(origin)):
            return origin, url[len(origin) :]
    return None


def origins_of(api_base: str, vendors: tuple[str, ...]) -> tuple[str, ...]:
    """Where replies may go: the vendor's hosts, or only the one that the bot is set to."""
    if not api_base:
        return vendors
    origin = _ORIGIN.match(api_base)
    # A stand-in or a proxy may serve the vendor's paths below one of its own.
    return tuple({origin[0]: None, api_base.rstrip("/"): None}) if origin else ()


_ORIGIN: Final = re.compile(r"https?://[^/?#@\\]+")
