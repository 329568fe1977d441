"""/metrics: what a monitoring system reads, asked of the database each time, so that all processes say the same.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import hmac
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import Error
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit.models import Entry, Event
from bot.connect import reports
from bot.runs.models import UNFINISHED, UNSENT, Heartbeat, Reply, Run, RunState

# Of what may be very many, only so many are looked at.
MOST_READ: Final = 1000
LATELY: Final = timedelta(days=1)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not _may_read(request):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry()
    registry.register(_Portal())
    try:
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    except Error:
        return HttpResponse(status=503)


def _may_read(request: HttpRequest) -> bool:
    wanted = settings.METRICS_TOKEN
    if not wanted:
        return True
    shown = request.headers.get("Authorization", "").encode("utf-8", "replace")
    return hmac.compare_digest(shown, f"Bearer {wanted}".encode())


class _Portal(Collector):
    """Each query reads an index or a small table, or stops after MOST_READ rows."""

    def collect(self) -> Iterable[Metric]:
        now = timezone.now()
        yield from _runs(now)
        yield from _replies(now)
        yield from _worker(now)
        yield from _connections(now)
        yield from _record()


def _runs(now: datetime) -> Iterator[Metric]:
    states = GaugeMetricFamily("chatops_runs", "Runs that are not finished.", labels=["state"])
    counted = Run.objects.filter(state__in=UNFINISHED).order_by().values_list("state")
    counts = dict(counted.annotate(Count("pk")))
    for state in UNFINISHED:
        states.add_metric([state], counts.get(state, 0))
    yield states
    queued = Run.objects.filter(state=RunState.QUEUED).order_by("id")
    yield GaugeMetricFamily(
        "chatops_oldest_waiting_run_seconds",
        "How long the oldest queued run has been waiting; 0 when none is.",
        value=_age(queued.values_list("accepted_at", flat=True).first(), now),
    )


def _replies(now: datetime) -> Iterator[Metric]:
    waiting = Reply.objects.filter(state__in=UNSENT)
    yield GaugeMetricFamily(
        "chatops_replies_waiting",
        "Replies that are not sent yet.",
        value=waiting.order_by().count(),
    )
    first = waiting.order_by("due_at", "id").values_list("created_at", flat=True)[:MOST_READ]
    yield GaugeMetricFamily(
        "chatops_oldest_waiting_reply_seconds",
        f"How old the oldest of the next {MOST_READ} replies is; 0 when none waits.",
        value=_age(min(first, default=None), now),
    )
    failed = Entry.objects.filter(event=Event.REPLY_FAILED).order_by("-seq")
    newest = failed.values_list("at", flat=True)[:MOST_READ]
    yield GaugeMetricFamily(
        "chatops_replies_failed",
        f"Replies given up in the last 24 hours; counted up to {MOST_READ}.",
        value=sum(now - at < LATELY for at in newest),
    )


def _worker(now: datetime) -> Iterator[Metric]:
    newest = Heartbeat.objects.aggregate(newest=Max("at"))["newest"]
    yield GaugeMetricFamily(
        "chatops_worker_heartbeat_age_seconds",
        "Since the newest sign of life of a worker; +Inf when there was none.",
        value=_age(newest, now) if newest else math.inf,
    )


def _connections(now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "chatops_connection_up",
        "1 when a process is connected for the bot; no line when it was stopped on purpose.",
        labels=["bot"],
    )
    silent = GaugeMetricFamily(
        "chatops_connection_silent_seconds",
        "Since something last came over the bot's connections; +Inf when nothing did.",
        labels=["bot"],
    )
    taken = CounterMetricFamily(
        "chatops_messages_taken",
        "Messages and pressed buttons that a process wrote down.",
        labels=["bot", "holder"],
    )
    for report in reports.of_bots(now):
        for row in report.rows:
            taken.add_metric([report.bot, row.holder], row.taken)
        if report.wanted:
            since = report.silent_since
            up.add_metric([report.bot], float(report.connected))
            silent.add_metric([report.bot], _age(since, now) if since else math.inf)
    yield from (up, silent, taken)


def _record() -> Iterator[Metric]:
    newest = Entry.objects.order_by("-seq").values_list("seq", flat=True).first()
    yield GaugeMetricFamily(
        "chatops_audit_entries", "The number of the newest audit entry.", value=newest or 0
    )


def _age(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0
