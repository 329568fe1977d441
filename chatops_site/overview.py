"""What the first page shows: what needs a decision, what is running, what went wrong lately."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from audit import display
from bot.desk.marks import pill, run_pill
from bot.desk.markup import plain_line
from bot.engine import heartbeat
from bot.people.models import AccessRequest
from bot.runs.models import Heartbeat, Reply, ReplyState, Run, RunState

MOST_SHOWN: Final = 8
LATELY: Final = timedelta(hours=24)
UNDELIVERED_SINCE: Final = timedelta(days=7)


@dataclass(frozen=True)
class Line:
    """One thing to look at: its state, what it is, more about it, when, and the page that it leads to."""

    pill: SafeString
    what: str
    more: str
    at: datetime | None
    url: str = ""

    @property
    def when(self) -> SafeString | str:
        return display.when(self.at)


@dataclass(frozen=True)
class Section:
    """more_url: the list with the rest, when there is one."""

    name: str
    title: str
    lines: tuple[Line, ...]
    nothing: str
    more_url: str = ""


def overview(request: HttpRequest) -> list[Section]:
    """The sections, of what the user may see."""
    now = timezone.now()
    return [section(request, now) for section in (_decisions, _running, _wrong)]


def _decisions(request: HttpRequest, now: datetime) -> Section:
    lines = [
        *_silence(request, now),
        *_requests(request),
        *_unknown(request),
        *_undelivered(request, now),
    ]
    return Section("decide", _("Needs a decision"), tuple(lines), _("Nothing waits for you."))


def _silence(request: HttpRequest, now: datetime) -> list[Line]:
    """Without a worker, commands are accepted and nothing happens."""
    if heartbeat.alive(now):
        return []
    last = Heartbeat.objects.order_by("-at").first()
    more = _("Commands are accepted and wait. Start one: manage.py worker")
    what = _("No worker is running")
    return [Line(pill(display.FAILED, _("down")), what, more, last.at if last else None)]


def _requests(request: HttpRequest) -> list[Line]:
    if not request.user.has_perm("bot.view_accessrequest"):
        return []
    waiting = AccessRequest.objects.filter(state=AccessRequest.State.WAITING)
    return [
        Line(
            pill(display.WAITING, _("access")),
            _("%(name)s wants to speak to the bot")
            % {"name": display.excerpt(wanted.shown_name or wanted.external_id)},
            display.excerpt(f"{wanted.platform} {wanted.external_id} · {wanted.conversation}"),
            wanted.at,
            reverse("admin:bot_accessrequest_change", args=[wanted.pk]),
        )
        for wanted in waiting[:MOST_SHOWN]
    ]


def _unknown(request: HttpRequest) -> list[Line]:
    return _run_lines(
        request, lambda runs: runs.filter(state__in=(RunState.UNKNOWN, RunState.AWAITING))
    )


def _undelivered(request: HttpRequest, now: datetime) -> list[Line]:
    if not request.user.has_perm("bot.view_reply"):
        return []
    failed = Reply.objects.filter(state=ReplyState.FAILED, created_at__gt=now - UNDELIVERED_SINCE)
    return [
        Line(
            pill(display.FAILED, _("not delivered")),
            display.excerpt(plain_line(reply.text)),
            display.excerpt(reply.error),
            reply.created_at,
            reverse("admin:bot_reply_change", args=[reply.pk]),
        )
        for reply in failed.order_by("-pk")[:MOST_SHOWN]
    ]


def _running(request: HttpRequest, now: datetime) -> Section:
    states = (RunState.RUNNING, RunState.QUEUED)
    lines = _run_lines(request, lambda runs: runs.filter(state__in=states))
    return Section(
        "running",
        _("Under way"),
        tuple(lines),
        _("Nothing is running."),
        _runs_url(RunState.RUNNING) if lines else "",
    )


def _wrong(request: HttpRequest, now: datetime) -> Section:
    states = (RunState.FAILED, RunState.EXPIRED)
    lines = _run_lines(
        request, lambda runs: runs.filter(state__in=states, accepted_at__gt=now - LATELY)
    )
    return Section(
        "wrong",
        _("Went wrong in the last 24 hours"),
        tuple(lines),
        _("Nothing went wrong."),
        _runs_url(RunState.FAILED) if lines else "",
    )


def _run_lines(
    request: HttpRequest, choose: Callable[["QuerySet[Run]"], Iterable[Any]]
) -> list[Line]:
    if not request.user.has_perm("bot.view_run"):
        return []
    chosen: Any = choose(Run.objects.order_by("-pk"))
    return [_run_line(run) for run in chosen[:MOST_SHOWN]]


def _run_line(run: Run) -> Line:
    said = plain_line(run.summary) if run.finished else run.conversation_name
    more = " · ".join(part for part in (run.actor, said) if part)
    return Line(
        run_pill(run),
        display.excerpt(run.canonical or run.text),
        display.excerpt(more),
        run.accepted_at,
        reverse("admin:bot_run_change", args=[run.pk]),
    )


def _runs_url(state: str) -> str:
    return f"{reverse('admin:bot_run_changelist')}?state={state}"
