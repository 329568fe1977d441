"""Claiming: a conditional UPDATE gives a run to one worker for a while and fences out all earlier ones."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from bot.runs.models import Run, RunState
from chatops_site.kit.prepared import Fetch, Update, update

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
    try:
        if not _TAKE.run(run_id, now, now + lease()):
            return None
    except IntegrityError:
        # PostgreSQL: another run of the key was claimed in the same moment; its index decided.
        return None
    return _CLAIMED.first(run_id)


_CLAIMED: Final = Fetch(
    lambda run_id: (
        Run.objects.filter(pk=run_id)
        .select_related("bot", "person", "repository__forge", "service", "environment")
        .order_by()
    ),
    -1,
)


def _taking(run_id: int, now: datetime, until: datetime) -> tuple[QuerySet[Run], dict[str, Any]]:
    free = Run.objects.filter(_free(now), pk=run_id).filter(Q(key="") | ~_not_first_of_key())
    values = {"state": RunState.RUNNING, "attempt": F("attempt") + 1, "lease_until": until}
    return free, values


_TAKE: Final = Update(
    _taking, -1, datetime(1971, 1, 1, tzinfo=UTC), datetime(1972, 1, 1, tzinfo=UTC)
)


def lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def write(run: Run, **columns: Any) -> None:
    """Updates the claimed run, in the caller's transaction; Fenced when it is not ours any more."""
    ours = {"id": run.pk, "attempt": run.attempt, "state": RunState.RUNNING}
    if not update(Run, ours, columns):
        raise Fenced
    for name, value in columns.items():
        setattr(run, name, value)
