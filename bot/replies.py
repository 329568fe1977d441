"""Replies: owed in the same transaction as the outcome they tell. How they get there: bot/sending.py."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from audit.record import Event, record
from bot.platforms.base import Said
from bot.platforms.clients import kind_of
from bot.platforms.models import Bot
from bot.runs.buttons import Offer, as_json
from bot.runs.models import Reply, ReplyState, Run
from bot.runs.story import reply_fact
from bot.wording import UNDER_WAY, lines
from chatops_site.kit.prepared import Update, insert, update
from chatops_site.kit.redaction import redact

# A platform that comes for its replies has so long before they are sent to it.
FETCHED_WITHIN: Final = timedelta(seconds=10)
# WeCom asks for six minutes; the last answer has to say that it is the last.
POLLED_FOR: Final = timedelta(minutes=5, seconds=30)


def owe(
    run: Run,
    kind: Reply.Kind,
    text: str,
    *,
    now: datetime,
    offers: Sequence[Offer] = (),
) -> Reply:
    """A reply to where the run was asked. It replaces what has not been sent yet of the run's progress."""
    if run.pk is not None:
        _SUPERSEDE.run(run.pk)
    reply = Reply(
        run=run,
        bot=run.bot,
        kind=kind,
        route=run.reply_route,
        text=redact(text)[0],
        offers=as_json(offers),
        place=run.conversation,
        due_at=now,
        created_at=now,
    )
    _leave_to_be_fetched(reply, run.message_id)
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


def owe_without_run(
    bot: Bot, text: str, *, route: dict[str, Any], place: str, answers: str, now: datetime
) -> Reply:
    """A reply to a message or a press that led to no run."""
    reply = Reply(
        bot=bot,
        kind=Reply.Kind.FINAL,
        route=route,
        text=text,
        place=place,
        due_at=now,
        created_at=now,
    )
    _leave_to_be_fetched(reply, answers)
    insert([reply])
    return reply


def _leave_to_be_fetched(reply: Reply, message_id: str) -> None:
    """Where the platform comes for it, or takes it in the body of the 200, it is not sent at once."""
    if reply.bot is None:
        return
    kind = kind_of(reply.bot.platform)
    refused = reply.run is None or reply.run.attempt == 0
    # The body of a 200 has no place for buttons.
    plain = reply.kind == Reply.Kind.FINAL and not reply.offers
    if kind.polls or (kind.answers_at_once and refused and plain):
        reply.answers = message_id
        reply.due_at += FETCHED_WITHIN


def said_about(bot: Bot, message_id: str, *, now: datetime) -> Said:
    """What there is to tell of that message by now, for a platform that asks."""
    found = Reply.objects.filter(bot=bot, answers=message_id).order_by("-pk")
    newest = found.select_related("run").first()
    if newest is None:
        return Said()
    if newest.kind == Reply.Kind.FINAL:
        return Said(newest.text, final=True)
    asked_at = newest.run.accepted_at if newest.run else newest.created_at
    if now - asked_at < POLLED_FOR:
        return Said(newest.text)
    with translation.override(bot.language):
        more = _("%(mark)s It goes on; the result comes as a message.") % {"mark": UNDER_WAY}
    return Said(lines(newest.text, more), final=True)


def mark_told(bot: Bot, message_id: str) -> None:
    """The platform has what there is to tell of that message: it is not sent once more."""
    waiting = (ReplyState.WAITING, ReplyState.SENDING)
    found = Reply.objects.filter(bot=bot, answers=message_id, state__in=waiting, attempts=0)
    with transaction.atomic():
        for reply in found.select_related("bot", "run__bot"):
            told = {"state": ReplyState.SENT, "sent_at": timezone.now(), "lease_until": None}
            if update(Reply, {"id": reply.pk, "state": ReplyState.WAITING}, told):
                record(reply_fact(reply, Event.REPLY_SENT))


def send_again(reply: Reply) -> None:
    """Puts a reply back into the queue; asked for by an operator, and recorded by the caller.

    It comes as a message of its own: nobody would see an old one change.
    """
    if reply.run_id is not None:
        Reply.objects.filter(run=reply.run_id).update(external_id="")
    Reply.objects.filter(pk=reply.pk).update(
        state=ReplyState.WAITING, due_at=timezone.now(), lease_until=None, error=""
    )
