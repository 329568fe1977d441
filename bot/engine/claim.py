"""Claiming: a conditional UPDATE gives a run to one worker for a while and fences out all earlier ones."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from bot.runs.models import Run, RunState

CARRIED = (RunState.QUEUED, RunState.RUNNING)


class Fenced(Exception):
    """Another worker has claimed the run meanwhile: write nothing, send nothing, leave."""


def _free(now: datetime) -> Q:
    return Q(state__in=CARRIED, due_at__lte=now) & (
        Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    )


def _not_first_of_key() -> Q:
    earlier = Run.objects.filter(key=OuterRef("key"), pk__lt=OuterRef("pk"), state__in=CARRIED)
    running = Run.objects.filter(key=OuterRef("key"), state=RunState.RUNNING)
    return Q(Exists(earlier.exclude(key=""))) | Q(
        Exists(running.exclude(key="").exclude(pk=OuterRef("pk")))
    )


def ready(now: datetime, *, limit: int = 200) -> list[tuple[int, str]]:
    """Runs that a worker could claim now, oldest first, with their lanes."""
    found = Run.objects.filter(_free(now)).exclude(_not_first_of_key()).order_by("id")
    return list(found.values_list("id", "lane")[:limit])


def claim(run_id: int, now: datetime) -> Run | None:
    """The run, if it could be had: nobody works on it, it is due, and it is the first of its key."""
    free = Run.objects.filter(_free(now), pk=run_id).filter(Q(key="") | ~Q(_not_first_of_key()))
    taken = free.update(state=RunState.RUNNING, attempt=F("attempt") + 1, lease_until=now + lease())
    if not taken:
        return None
    return (
        Run.objects.select_related("bot", "person", "repository__forge", "service", "environment")
        .prefetch_related("effects")
        .get(pk=run_id)
    )


def lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def held(run: Run) -> QuerySet[Run]:
    return Run.objects.filter(pk=run.pk, attempt=run.attempt, state=RunState.RUNNING)


def write(run: Run, **columns: Any) -> None:
    """Updates the claimed run, in the caller's transaction; Fenced when it is not ours any more."""
    if not held(run).update(**columns):
        raise Fenced
    for name, value in columns.items():
        setattr(run, name, value)
