"""Replies: owed in the same transaction as the outcome they tell, sent by workers, told again never for the effect."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from audit.record import Event, Fact, record
from bot.platforms.base import Outgoing, SendFailed
from bot.platforms.clients import platform_for
from bot.platforms.models import Bot
from bot.runs.models import Reply, ReplyState, Run
from bot.runs.story import fact
from chatops_site.kit.failpoints import reach
from chatops_site.kit.prepared import Fetch, Update, insert, update
from chatops_site.kit.redaction import redact

logger = logging.getLogger(__name__)

GIVE_UP_AFTER: Final = timedelta(hours=24)
LONGEST_PAUSE: Final = 900.0


def owe(
    run: Run, kind: Reply.Kind, text: str, *, now: datetime, delay: timedelta = timedelta()
) -> Reply:
    """A reply to where the run was asked. A result replaces what has not been sent of its progress."""
    if kind is Reply.Kind.FINAL and run.pk is not None:
        _SUPERSEDE.run(run.pk)
    reply = Reply(
        run=run,
        bot=run.bot,
        kind=kind,
        route=run.reply_route,
        text=redact(text)[0],
        due_at=now + delay,
        created_at=now,
    )
    insert([reply])
    return reply


_SUPERSEDE: Final = Update(
    lambda run_id: (
        Reply.objects.filter(
            run=run_id, kind=Reply.Kind.PROGRESS, state=ReplyState.WAITING, attempts=0
        ),
        {"state": ReplyState.SUPERSEDED},
    ),
    -1,
)


def owe_without_run(bot: Bot, route: dict[str, Any], text: str, *, now: datetime) -> Reply:
    """A reply to a message that asked for nothing that could be run."""
    return Reply.objects.create(
        bot=bot, kind=Reply.Kind.FINAL, route=route, text=text, due_at=now, created_at=now
    )


def ready(now: datetime, *, limit: int = 100) -> list[int]:
    return list(_due(now).order_by("due_at", "id").values_list("id", flat=True)[:limit])


def send(reply_id: int) -> None:
    """Sends one reply if nobody else does; a failure is tried again later, for a day."""
    now = timezone.now()
    # Twice a run's lease: session, token, API, a new token and the API again may take 50 s.
    if not _TAKE.run(reply_id, now, now + timedelta(seconds=2 * settings.LEASE_SECONDS)):
        return
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
    _mark(
        reply,
        Event.REPLY_SENT,
        state=ReplyState.SENT,
        external_id=external_id,
        sent_at=timezone.now(),
    )


def _taking(
    reply_id: int, now: datetime, until: datetime
) -> tuple[QuerySet[Reply], dict[str, Any]]:
    values = {
        "state": ReplyState.SENDING,
        "attempts": F("attempts") + 1,
        "lease_until": until,
    }
    return _due(now).filter(pk=reply_id), values


_TAKE: Final = Update(
    _taking, -1, datetime(1971, 1, 1, tzinfo=UTC), datetime(1972, 1, 1, tzinfo=UTC)
)
_TAKEN: Final = Fetch(
    lambda reply_id: Reply.objects.filter(pk=reply_id).select_related(
        "bot", "run__bot", "run__repository", "run__service", "run__environment"
    ),
    -1,
)


def send_again(reply: Reply) -> None:
    """Puts a reply back into the queue; asked for by an operator, and recorded by the caller."""
    Reply.objects.filter(pk=reply.pk).update(
        state=ReplyState.WAITING, due_at=timezone.now(), lease_until=None, error=""
    )


def _due(now: datetime) -> QuerySet[Reply]:
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    states = (ReplyState.WAITING, ReplyState.SENDING)
    return Reply.objects.filter(free, state__in=states, due_at__lte=now)


def _is_late(reply: Reply) -> bool:
    """Progress that failed to be sent before, while the result came to be: nobody needs it any more."""
    later = Reply.objects.filter(run=reply.run_id, kind=Reply.Kind.FINAL)
    return reply.kind == Reply.Kind.PROGRESS and later.exists()


def _deliver(bot: Bot | None, reply: Reply, now: datetime) -> str:
    """The console has no bot: manage.py say reads its replies from the table."""
    if bot is None:
        return ""
    platform = platform_for(bot)
    message = Outgoing(reply.text, final=reply.kind == Reply.Kind.FINAL, key=f"chatops-{reply.pk}")
    earlier = _earlier(reply) if platform.updates_in_place else ""
    if earlier:
        return platform.update(reply.route, earlier, message, now=now)
    return platform.send(reply.route, message, now=now)


def _earlier(reply: Reply) -> str:
    """The platform's id of what this run was told last."""
    if reply.run_id is None:
        return ""
    sent = Reply.objects.filter(run=reply.run_id, state=ReplyState.SENT).exclude(external_id="")
    return sent.order_by("-pk").values_list("external_id", flat=True).first() or ""


def _postpone(reply: Reply, problem: SendFailed, *, now: datetime) -> None:
    tired = now - reply.created_at > GIVE_UP_AFTER
    if not problem.retryable or tired:
        logger.warning("reply %s of run %s was not delivered: %s", reply.pk, reply.run_id, problem)
        _mark(reply, Event.REPLY_FAILED, state=ReplyState.FAILED, error=problem.sentence[:300])
        return
    pause = problem.retry_after or min(2.0**reply.attempts, LONGEST_PAUSE)
    Reply.objects.filter(pk=reply.pk, state=ReplyState.SENDING).update(
        state=ReplyState.WAITING,
        due_at=now + timedelta(seconds=min(pause, LONGEST_PAUSE)),
        lease_until=None,
        error=problem.sentence[:300],
    )


def _mark(reply: Reply, event: Event, **columns: Any) -> None:
    with transaction.atomic():
        update(Reply, {"id": reply.pk}, {"lease_until": None, **columns})
        record(_fact(reply, event, detail=columns.get("error", "")))


def _fact(reply: Reply, event: Event, *, detail: str) -> Fact:
    if reply.run is None:
        return Fact(event=event, detail=detail)
    return fact(reply.run, event, outcome=reply.kind, detail=detail, text="")
