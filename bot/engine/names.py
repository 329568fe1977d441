"""Asks platforms what they call a stranger whose messages told no name, for the operator who decides."""

import logging
import unicodedata
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from bot.people.models import AccessRequest
from bot.platforms import PLATFORMS
from bot.platforms.base import SendFailed
from bot.platforms.clients import platform_for

logger = logging.getLogger(__name__)

# So long after the request it is asked again; the last time is the end of it.
TRIES: Final = (timedelta(0), timedelta(seconds=30), timedelta(minutes=5))
LONGEST_NAME: Final = 100
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def ready(now: datetime) -> list[int]:
    return list(_due(now).order_by("at").values_list("pk", flat=True)[:20])


def ask(request_id: int) -> None:
    """Asks for one, if nobody else does; what the platform does not tell now is asked again twice."""
    now = timezone.now()
    request = _due(now).select_related("bot").filter(pk=request_id).first()
    if request is None or not _take(request, now):
        return
    name, again = _told(request)
    if not again:
        _note(request, asked_at=max(now, request.at + TRIES[-1]), name=name)


def _due(now: datetime) -> QuerySet[AccessRequest]:
    """Of each try whose time has come, those that were not asked since then."""
    times = Q(name_asked_at__isnull=True)
    for pause in TRIES[1:]:
        times |= Q(at__lte=now - pause, name_asked_at__lt=F("at") + pause)
    return AccessRequest.objects.filter(
        times,
        state=AccessRequest.State.WAITING,
        shown_name="",
        bot__enabled=True,
        bot__platform__in=PLATFORMS,
    )


def _take(request: AccessRequest, now: datetime) -> bool:
    """The time of asking is also the mark that this try is somebody's."""
    same = AccessRequest.objects.filter(pk=request.pk, name_asked_at=request.name_asked_at)
    if request.name_asked_at is None:
        same = AccessRequest.objects.filter(pk=request.pk, name_asked_at__isnull=True)
    return bool(same.update(name_asked_at=now))


def _told(request: AccessRequest) -> tuple[str, bool]:
    """The name, "" when it tells none, and whether to ask again."""
    try:
        name = platform_for(request.bot).name_of(request.external_id)
    except SendFailed as problem:
        logger.warning("no name for access request %s: %s", request.pk, problem.sentence)
        return "", problem.retryable
    return _cleaned(name), False


def _note(request: AccessRequest, *, asked_at: datetime, name: str) -> None:
    """A name that a later message told meanwhile stays."""
    AccessRequest.objects.filter(pk=request.pk).update(name_asked_at=asked_at)
    if name:
        AccessRequest.objects.filter(pk=request.pk, shown_name="").update(shown_name=name)


def _cleaned(name: str) -> str:
    """One short line without what is not seen: the other side may have written anything there."""
    seen = "".join(c for c in name[:1000] if c.isspace() or unicodedata.category(c) not in _UNSEEN)
    return " ".join(seen.split())[:LONGEST_NAME]
