"""A bot's outgoing connections in sentences, for its page and the list of bots."""

from datetime import datetime
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from audit.display import DONE, FAILED, UNDER_WAY, WAITING, when
from bot.connect.reports import is_gone
from bot.desk.marks import pill
from bot.platforms.models import Bot, Connection, ConnectionState

MOST_SHOWN: Final = 10
TONES: Final[dict[str, str]] = {
    ConnectionState.CONNECTING: UNDER_WAY,
    ConnectionState.CONNECTED: DONE,
    ConnectionState.WAITING: UNDER_WAY,
    ConnectionState.STOPPED: WAITING,
}


def told(bot: Bot, now: datetime) -> SafeString | str:
    """A line a process, newest sign of life first; or how to start one."""
    rows = bot.connections.order_by("-at")[:MOST_SHOWN]
    if not rows:
        sentence = _("None. To open one where the platform cannot reach the portal: %(line)s")
        return sentence % {"line": f"manage.py connect {bot.name}"}
    return format_html_join(
        "", "<p>{} {}</p>", ((state_pill(row, now), _line(row)) for row in rows)
    )


def newest_pill(bot: Bot, now: datetime) -> SafeString | str:
    """Of the process that stands best; bot.connections is read once for the whole list."""
    rows = list(bot.connections.all())
    if not rows:
        return "–"
    best = max(
        rows,
        key=lambda row: (row.state == ConnectionState.CONNECTED and not is_gone(row, now), row.at),
    )
    return state_pill(best, now)


def state_pill(row: Connection, now: datetime) -> SafeString:
    if is_gone(row, now):
        return pill(FAILED, _("gone"))
    return pill(TONES.get(row.state, UNDER_WAY), row.get_state_display())


def _line(row: Connection) -> SafeString:
    sentence = _(
        "process {holder}; changed {since}, last sign of life {at}, last heard {heard}; taken: {taken}."
    )
    heard = when(row.heard_at) if row.heard_at else _("never")
    about = {"holder": row.holder, "since": when(row.since), "at": when(row.at)}
    told = format_html(sentence, heard=heard, taken=row.taken, **about)
    return format_html("{} {}", told, row.problem) if row.problem else told
