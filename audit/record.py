"""The only pen of the record: facts go in, redacted entries come out."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.models import ActorKind, Entry, Event, Outcome
from chatops_site.kit.prepared import insert
from chatops_site.kit.redaction import MARK, redact

__all__ = ["ActorKind", "Entry", "Event", "Fact", "Outcome", "OutsideTransaction", "record"]

BATCH = 100
TEXT_KEPT = 1_000
DETAIL_KEPT = 4_000
JSON_TEXT_KEPT = 1_000
JSON_ITEMS_KEPT = 100
JSON_DEPTH_KEPT = 6
LARGEST_INTEGER = 2**63 - 1


class OutsideTransaction(RuntimeError):
    """record() was called where a crash could keep the entry and lose what it tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What somebody wants on record. What does not apply stays empty."""

    event: Event
    actor_kind: ActorKind | str = ""
    platform: str = ""
    bot: str = ""
    tenant: str = ""
    account: str = ""
    account_name: str = ""
    person: str = ""
    username: str = ""
    conversation: str = ""
    conversation_name: str = ""
    message_id: str = ""
    source_ip: str = ""
    text: str = ""
    canonical: str = ""
    command: str = ""
    run: int | None = None
    attempt: int | None = None
    target_kind: str = ""
    target: str = ""
    repository: str = ""
    number: int | None = None
    service: str = ""
    environment: str = ""
    sha: str = ""
    observed_sha: str = ""
    outcome: Outcome | str = ""
    reason: str = ""
    rule: str = ""
    detail: str = ""
    external: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    platform_at: datetime | None = None
    duration_ms: int | None = None


def record(*facts: Fact) -> list[Entry]:
    """Adds one entry a fact, in this order; call it last in the transaction it belongs to.

    Raises OutsideTransaction when no transaction is open.
    """
    connection = transaction.get_connection()
    if not connection.in_atomic_block:
        raise OutsideTransaction(
            _(
                "An audit entry was about to be written outside a transaction, where it could be"
                " kept while what it tells of is lost. Wrap both in transaction.atomic()."
            )
        )
    at = timezone.now()
    entries = [_entry(fact, at) for fact in facts]
    for first in range(0, len(entries), BATCH):
        insert(entries[first : first + BATCH])
    return entries


class _Eraser:
    """Redacts one fact's texts and counts what it removed."""

    def __init__(self) -> None:
        self.removed = 0

    def text(self, value: str) -> str:
        if not value:
            return ""
        clean, removed = redact(printable(value))
        self.removed += removed
        return clean

    def json(self, value: Any, depth: int = 0) -> Any:
        """A copy of `value` that any database takes as JSON, cut in width and depth."""
        if depth > JSON_DEPTH_KEPT:
            return "…"
        for kind, copy in _COPIES:
            if isinstance(value, kind):
                return copy(self, value, depth)
        return self.text(str(value))[:JSON_TEXT_KEPT]

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        items = list(value.items())[:JSON_ITEMS_KEPT]
        return {self.text(str(key))[:200]: self.entry(key, item, depth) for key, item in items}

    def entry(self, key: Any, item: Any, depth: int) -> Any:
        if isinstance(item, str) and item and _names_a_secret(str(key)):
            self.removed += 1
            return MARK
        return self.json(item, depth + 1)

    def sequence(self, value: Any, depth: int) -> list[Any]:
        return [self.json(item, depth + 1) for item in list(value)[:JSON_ITEMS_KEPT]]


# bool before int is not needed: both leave as they are, while they fit a JSON reader.
_COPIES: tuple[tuple[Any, Callable[[_Eraser, Any, int], Any]], ...] = (
    (str, lambda eraser, value, depth: eraser.text(value)[:JSON_TEXT_KEPT]),
    (type(None), lambda eraser, value, depth: None),
    (int, lambda eraser, value, depth: value if abs(value) <= LARGEST_INTEGER else str(value)),
    (float, lambda eraser, value, depth: value if math.isfinite(value) else str(value)),
    (Mapping, _Eraser.mapping),
    ((list, tuple, set, frozenset), _Eraser.sequence),
)


@lru_cache(maxsize=1024)
def _names_a_secret(key: str) -> bool:
    """Whether redact() would take out the value that stands beside this key in a JSON text."""
    return '"value"' not in redact(json.dumps({key: "value"}))[0]


def printable(value: str) -> str:
    """NUL and lone surrogates, which databases refuse, become visible escapes."""
    if value.isascii():
        return value.replace("\x00", "\\x00") if "\x00" in value else value
    return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def _entry(fact: Fact, at: datetime) -> Entry:
    eraser = _Eraser()
    text = eraser.text(fact.text)
    values: dict[str, Any] = {name: _fit(getattr(fact, name), limit) for name, limit in _SHORT}
    return Entry(
        **values,
        **{name: getattr(fact, name) for name in _PLAIN},
        at=at,
        event=fact.event,
        text=text[:TEXT_KEPT],
        text_length=len(fact.text),
        # Of the redacted text: a digest of a secret would let it be guessed.
        text_digest=hashlib.sha256(text.encode()).hexdigest() if text else "",
        canonical=eraser.text(fact.canonical)[:TEXT_KEPT],
        detail=eraser.text(fact.detail)[:DETAIL_KEPT],
        external=eraser.json(fact.external),
        changes=eraser.json(fact.changes),
        redactions=eraser.removed,
    )


def _fit(value: str, limit: int) -> str:
    return printable(str(value))[:limit] if value else ""


_SHORT: tuple[tuple[str, int], ...] = tuple(
    (column.name, column.max_length or 0)
    for column in Entry._meta.get_fields()
    if isinstance(column, models.CharField) and column.name not in {"event", "text_digest"}
)
_PLAIN = ("run", "attempt", "number", "platform_at", "duration_ms")
