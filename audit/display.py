"""How an entry is shown: every text escaped, invisible characters made visible, states as pills."""

import json
import re
from datetime import datetime
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from audit.models import Entry, Event, Outcome

# Control characters, and those that turn the direction of what follows.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
_EXCERPT = 80

DONE, FAILED, UNDER_WAY, WAITING, UNSURE = "done", "failed", "under-way", "waiting", "unknown"
SHAPES = {DONE: "✓", FAILED: "✕", UNDER_WAY: "●", WAITING: "◷", UNSURE: "?"}
TONES: dict[str, str] = {
    Outcome.SUCCEEDED: DONE,
    Outcome.FAILED: FAILED,
    Outcome.REFUSED: FAILED,
    Outcome.EXPIRED: FAILED,
    Outcome.CANCELLED: FAILED,
    Outcome.UNKNOWN: UNSURE,
    Outcome.AWAITING: WAITING,
    Outcome.QUEUED: UNDER_WAY,
    Outcome.RUNNING: UNDER_WAY,
    Event.WEBHOOK_REJECTED: FAILED,
    Event.SIGNATURE_REUSED: FAILED,
    Event.COMMAND_REFUSED: FAILED,
    Event.ACCESS_DENIED: FAILED,
    Event.EFFECT_UNKNOWN: UNSURE,
    Event.EFFECT_SETTLED: DONE,
    Event.REPLY_FAILED: FAILED,
    Event.REPLY_SENT: DONE,
    Event.ACCESS_ALLOWED: DONE,
    Event.CONFIG_CHANGED: DONE,
    Event.LOGIN_OK: DONE,
    Event.LOGIN_FAILED: FAILED,
    Event.SECRET_ROTATED: DONE,
    Event.SECURITY_SAMPLED: FAILED,
}


def visible(text: str) -> str:
    """The text with control and direction characters written out as \\uXXXX."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def excerpt(text: str) -> str:
    line = " ".join(visible(text).split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"


def pill(entry: Entry) -> SafeString:
    """The entry's event, coloured and shaped by its outcome, or by the event where it has none."""
    tone = TONES.get(entry.outcome) or TONES.get(entry.event, UNDER_WAY)
    return format_html(
        '<span class="state state-{}"><span aria-hidden="true">{}</span> {}</span>',
        tone,
        SHAPES[tone],
        entry.get_event_display(),
    )


def who(entry: Entry) -> str:
    named = entry.person or entry.username or entry.account_name or entry.account
    return excerpt(named) or entry.get_actor_kind_display()


def what(entry: Entry) -> str:
    """What was asked or done; never the payload of anybody's request."""
    asked = entry.canonical or entry.text or entry.command
    return excerpt(asked or entry.detail) or f"#{entry.seq}"


def where(entry: Entry) -> str:
    place = " · ".join(
        part for part in (entry.target, entry.environment, entry.conversation_name) if part
    )
    return excerpt(place or entry.platform or entry.source_ip)


def outcome(entry: Entry) -> str:
    said = dict(Outcome.choices).get(entry.outcome, entry.outcome)
    return " · ".join(str(part) for part in (said, entry.reason) if part)


def when(moment: datetime | None) -> SafeString | str:
    """Relative, with the exact time in the title."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    ago = _("%(span)s ago") % {"span": timesince(moment, depth=1)}
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        date_format(local, "Y-m-d H:i:s"),
        ago,
    )


def exact(moment: datetime | None) -> str:
    return timezone.localtime(moment).isoformat(sep=" ") if moment else ""


def run_link(entry: Entry) -> SafeString | str:
    """Leads to the run's page, if the run still has one."""
    if entry.run is None:
        return ""
    try:
        address = reverse("admin:bot_run_change", args=[entry.run])
    except NoReverseMatch:
        return str(entry.run)
    return format_html('<a href="{}">{}</a>', address, entry.run)


def block(text: str) -> SafeString | str:
    return format_html('<pre class="verbatim">{}</pre>', visible(text)) if text else ""


def pretty(value: Any) -> SafeString | str:
    return block(json.dumps(value, ensure_ascii=False, indent=2)) if value else ""


def changes_table(entry: Entry) -> SafeString | str:
    if not isinstance(entry.changes, dict) or not entry.changes:
        return ""
    rows = format_html_join(
        "\n",
        '<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>',
        (
            (visible(str(name)), _side(pair, "old"), _side(pair, "new"))
            for name, pair in entry.changes.items()
        ),
    )
    return format_html(
        '<table class="changes"><thead><tr><th>{}</th><th>{}</th><th>{}</th></tr></thead>'
        "<tbody>{}</tbody></table>",
        _("Field"),
        _("Before"),
        _("After"),
        rows,
    )


def _side(pair: Any, side: str) -> str:
    return visible(str(pair.get(side, ""))) if isinstance(pair, dict) else visible(str(pair))
