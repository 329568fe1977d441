"""What a forge's webhook says, in our words, and the proofs that it is the forge who says it."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs

from chatops_site.kit import strict_json

MOST_NODES: Final = 20_000
# Proofs with a time in them hold this long; Gitee's own rule is an hour.
FRESH_FOR: Final = timedelta(hours=1)


class HookRejected(Exception):
    """Not authentic or not fresh (401), or malformed (400). reason goes to the audit only."""

    def __init__(self, reason: str, *, status: int = 401) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class Hook:
    """What came in, before anything is believed. headers: lower-case names."""

    headers: Mapping[str, str]
    body: bytes


class Happened(StrEnum):
    """What a hook tells; only the first makes commands, and nothing is believed before it is read again."""

    COMMENTED = "commented"
    OPENED = "opened"
    PUSHED = "pushed"
    CLOSED = "closed"
    REOPENED = "reopened"
    MERGED = "merged"
    # Authentic, and nothing to the portal: an edited comment, an issue, a label, a ping.
    NOTHING = "nothing"


@dataclass(frozen=True)
class ForgeEvent:
    """An authentic hook. delivery: the forge's id of it, or one made of what it is about."""

    happened: Happened
    delivery: str
    path: str = ""
    number: int = 0
    comment_id: str = ""
    # Of the comment's text as the hook tells it: another text at the forge was edited, or forged here.
    text_digest: str = ""
    # In a few words, for the record: "issue_comment edited".
    told: str = ""
    # Hex digest of a signature that does not cover the body: nothing else is believed under it.
    signature_digest: str = ""


def is_same(told: str, right: str) -> bool:
    """In constant time, whatever characters it has; an empty secret or signature is never right."""
    return bool(right) and hmac.compare_digest(told.encode(errors="replace"), right.encode())


def hmac_hex(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, sha256).hexdigest()


def digest(*parts: str) -> str:
    """Hex, for a delivery id where the forge gives none."""
    return sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def text_digest(text: str) -> str:
    """The same for texts that differ in blanks and line ends only."""
    return digest(" ".join(text.split()))


def check_fresh(sent_at: datetime, now: datetime) -> None:
    if abs(now - sent_at) > FRESH_FOR:
        raise HookRejected("stale")


def without_form(hook: Hook) -> Hook:
    """GitHub's and Gitea's may be set to send their JSON as the form field "payload"."""
    kind = hook.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return hook
    try:
        found = parse_qs(hook.body.decode(), max_num_fields=10).get("payload", [""])
    except ValueError:
        return hook
    return Hook(hook.headers, found[0].encode())


def body_of(hook: Hook) -> dict[str, Any]:
    """The JSON object that the body is; HookRejected with 400 else."""
    try:
        value = strict_json.parse(hook.body, most_nodes=MOST_NODES)
    except (strict_json.Malformed, strict_json.TooMuch):
        raise HookRejected("malformed", status=400) from None
    if not isinstance(value, dict):
        raise HookRejected("malformed", status=400)
    return value


class Payload:
    """Fields of a hook's body by dotted path; of another kind or missing: HookRejected with 400."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    def text(self, dotted: str) -> str:
        return str(self._found(dotted, str))

    def number(self, dotted: str) -> int:
        value = self._found(dotted, int)
        if isinstance(value, bool) or not 0 < value < 10**10:
            raise HookRejected("malformed", status=400)
        return int(value)

    def get(self, dotted: str) -> Any:
        """Whatever is there; None when nothing is."""
        value: Any = self._body
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def _found(self, dotted: str, kind: type) -> Any:
        value = self.get(dotted)
        if not isinstance(value, kind):
            raise HookRejected("malformed", status=400)
        return value
