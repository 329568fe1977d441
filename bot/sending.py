"""Sending what is owed: in each platform's pace, until it arrives, and never a reason to act twice."""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from audit.record import Event, record
from bot.platforms.base import Outgoing, Pace, SendFailed
from bot.platforms.clients import kind_of, platform_for
from bot.platforms.models import Bot
from bot.runs.buttons import buttons_of
from bot.runs.models import UNSENT, Reply, ReplyState
from bot.runs.story import reply_fact
from chatops_site.kit.failpoints import reach
from chatops_site.kit.prepared import Fetch, Select, Update, update

logger = logging.getLogger(__name__)

GIVE_UP_AFTER: Final = timedelta(hours=24)
# Between two tries of one reply; the platform itself may ask for more, up to the other.
LONGEST_PAUSE: Final = 120.0
LONGEST_WISH: Final = 900.0
# So long the other replies of a bot wait when one could not be sent.
HELD_BY_FAILURE: Final = 10.0
HELD_BY_LIMIT: Final = 60.0
# At once; more are moved by those that fail next.
MOST_MOVED: Final = 500
# A bot whose platform does not answer leaves the other senders to the other bots.
AT_ONCE: Final = 2
A_MOMENT: Final = timedelta(seconds=0.5)
_EARLY, _LATE = datetime(1971, 1, 1, tzinfo=UTC), datetime(1972, 1, 1, tzinfo=UTC)


def ready(now: datetime, *, limit: int = 100) -> list[int]:
    return list(_due(now).order_by("due_at", "id").values_list("id", flat=True)[:limit])


def send(reply_id: int) -> None:
    """Sends one reply if it is its turn and nobody else does; a failure is tried again, for a day."""
    now = timezone.now()
    found = _ABOUT.first(reply_id)
    if found is None:
        return
    with _place_for(found[0]) as free:
        if not free:
            _put_off(reply_id, now + A_MOMENT)
        elif _take(reply_id, *found, now=now):
            _send_taken(reply_id, now)


_ABOUT: Final = Select(
    lambda reply_id: Reply.objects.filter(pk=reply_id).values_list(
        "bot_id", "bot__platform", "bot__settings", "place", "kind", "run_id"
    ),
    -1,
)


def _send_taken(reply_id: int, now: datetime) -> None:
    reply = _TAKEN.first(reply_id)
    if reply is None:
        return
    if _is_late(reply):
        Reply.objects.filter(pk=reply.pk).update(state=ReplyState.SUPERSEDED, lease_until=None)
        return
    try:
        external_id = _deliver(reply.bot, reply, now)
    except SendFailed as problem:
        _postpone(reply, problem, now=now)
        return
    reach("c9")
    sent = {"state": ReplyState.SENT, "external_id": external_id, "sent_at": timezone.now()}
    _mark(reply, Event.REPLY_SENT, **sent)
    if reply.attempts > 1:
        _let_others_follow(reply, now)


# The turn --------------------------------------------------------------------------------------

_places: Final[dict[int | None, threading.BoundedSemaphore]] = defaultdict(
    lambda: threading.BoundedSemaphore(AT_ONCE)
)


@contextmanager
def _place_for(bot_id: int | None) -> Iterator[bool]:
    """Whether one of the bot's places in this process is free; it is held meanwhile."""
    place = _places[bot_id]
    free = place.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            place.release()


def _take(
    reply_id: int,
    bot_id: int | None,
    platform: str | None,
    bot_settings: dict[str, Any] | None,
    place: str,
    kind: str,
    run_id: int | None,
    *,
    now: datetime,
) -> bool:
    """Claims it. A reply whose pace is used up, or whose run's earlier one is on its way, waits."""
    paces = kind_of(platform).paces_of(bot_settings or {}) if platform else ()
    with transaction.atomic():
        if bot_id is not None and paces and connection.vendor != "sqlite":
            # One by one: SQLite's transactions are so by themselves.
            Bot.objects.select_for_update().filter(pk=bot_id).values_list("pk").first()
        until = _may_be_sent_at(paces, bot_id, place, kind, now=now)
        if run_id is not None and kind == Reply.Kind.FINAL and _PROGRESS.first(run_id, now):
            until = max(until, now + A_MOMENT)
        if until > now:
            _put_off(reply_id, until)
            return False
        # Twice a run's lease: session, token, API, a new token and the API again may take 50 s.
        lease = now + timedelta(seconds=2 * settings.LEASE_SECONDS)
        return bool(_TAKE.run(reply_id, now, lease))


def _may_be_sent_at(
    paces: tuple[Pace, ...], bot_id: int | None, place: str, kind: str, *, now: datetime
) -> datetime:
    """When the platform's limits let one more through; progress leaves half of them to results."""
    until = now
    for pace in paces:
        since = now - timedelta(seconds=pace.seconds)
        tried = Reply.objects.filter(bot=bot_id, tried_at__gt=since)
        if pace.each_conversation:
            tried = tried.filter(place=place)
        most = pace.count if kind == Reply.Kind.FINAL else max(1, pace.count // 2)
        times = list(tried.order_by("-tried_at").values_list("tried_at", flat=True)[:most])
        if len(times) == most and times[-1] is not None:
            until = max(until, times[-1] + timedelta(seconds=pace.seconds))
    return until


def _put_off(reply_id: int, until: datetime) -> None:
    waiting = Reply.objects.filter(pk=reply_id, state=ReplyState.WAITING)
    waiting.update(due_at=until)


_PROGRESS: Final = Select(
    lambda run_id, now: Reply.objects.filter(
        run=run_id, kind=Reply.Kind.PROGRESS, state=ReplyState.SENDING, lease_until__gt=now
    ).values_list("pk")[:1],
    -1,
    _EARLY,
)


def _taking(
    reply_id: int, now: datetime, until: datetime
) -> tuple[QuerySet[Reply], dict[str, Any]]:
    values = {
        "state": ReplyState.SENDING,
        "attempts": F("attempts") + 1,
        "tried_at": now,
        "lease_until": until,
    }
    return _due(now).filter(pk=reply_id), values


_TAKE: Final = Update(_taking, -1, _EARLY, _LATE)
_TAKEN: Final = Fetch(
    lambda reply_id: Reply.objects.filter(pk=reply_id).select_related(
        "bot", "run__bot", "run__repository", "run__service", "run__environment"
    ),
    -1,
)


def _due(now: datetime) -> QuerySet[Reply]:
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    return Reply.objects.filter(free, state__in=UNSENT, due_at__lte=now)


def _is_late(reply: Reply) -> bool:
    """Progress that failed to be sent before, while the result came to be: nobody needs it any more."""
    later = Reply.objects.filter(run=reply.run_id, kind=Reply.Kind.FINAL)
    return reply.kind == Reply.Kind.PROGRESS and later.exists()


# On the way ------------------------------------------------------------------------------------


def _deliver(bot: Bot | None, reply: Reply, now: datetime) -> str:
    """The console has no bot: manage.py say reads its replies from the table."""
    if bot is None:
        return ""
    platform = platform_for(bot)
    message = Outgoing(
        reply.text,
        final=reply.kind == Reply.Kind.FINAL,
        buttons=buttons_of(reply, now) if platform.has_buttons else (),
        key=_key(reply),
    )
    earlier = _earlier(reply) if platform.updates_in_place else ""
    if earlier:
        return platform.update(reply.route, earlier, message, now=now)
    return platform.send(reply.route, message, now=now)


def _key(reply: Reply) -> str:
    """The number alone would not do: a restored database counts on from an older one."""
    return f"chatops-{reply.pk}-{int(reply.created_at.timestamp() * 1_000_000)}"


def _earlier(reply: Reply) -> str:
    """The platform's id of what this run was told last."""
    if reply.run_id is None:
        return ""
    sent = Reply.objects.filter(run=reply.run_id, state=ReplyState.SENT).exclude(external_id="")
    return sent.order_by("-pk").values_list("external_id", flat=True).first() or ""


# What came of it -------------------------------------------------------------------------------


def _postpone(reply: Reply, problem: SendFailed, *, now: datetime) -> None:
    tired = now - reply.created_at > GIVE_UP_AFTER
    if not problem.retryable or tired:
        logger.warning("reply %s of run %s was not delivered: %s", reply.pk, reply.run_id, problem)
        _mark(reply, Event.REPLY_FAILED, state=ReplyState.FAILED, error=problem.sentence[:300])
        return
    pause = min(problem.retry_after or min(2.0**reply.attempts, LONGEST_PAUSE), LONGEST_WISH)
    Reply.objects.filter(pk=reply.pk, state=ReplyState.SENDING).update(
        state=ReplyState.WAITING,
        due_at=now + timedelta(seconds=pause),
        lease_until=None,
        error=problem.sentence[:300],
    )
    most = HELD_BY_LIMIT if problem.retry_after else HELD_BY_FAILURE
    until = now + timedelta(seconds=min(pause, most))
    _move(_waiting().filter(due_at__lt=until), reply, until)


def _let_others_follow(reply: Reply, now: datetime) -> None:
    """The platform answers again: what has failed meanwhile need not wait for the end of its pause."""
    _move(_waiting().filter(due_at__gt=now, attempts__gt=0), reply, now)


def _waiting() -> QuerySet[Reply]:
    return Reply.objects.filter(state__in=UNSENT, lease_until=None)


def _move(waiting: QuerySet[Reply], reply: Reply, due_at: datetime) -> None:
    """The others of its bot. Chosen here: asked for the bot, SQLite would look through all it ever said."""
    found = waiting.order_by("due_at").values_list("pk", "bot_id")[:MOST_MOVED]
    keys = [key for key, bot_id in found if bot_id == reply.bot_id]
    Reply.objects.filter(pk__in=keys, state=ReplyState.WAITING).update(due_at=due_at)


def _mark(reply: Reply, event: Event, **columns: Any) -> None:
    with transaction.atomic():
        update(Reply, {"id": reply.pk}, {"lease_until": None, **columns})
        record(reply_fact(reply, event, detail=columns.get("error", "")))
