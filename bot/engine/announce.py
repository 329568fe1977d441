"""Tells the conversation that its command is under way, once it takes longer than a moment."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import translation
from django.utils.translation import gettext as _

from bot import replies
from bot.commands.offering import cancel_of
from bot.engine.claim import CARRIED
from bot.runs.models import Effect, EffectState, Reply, Run
from bot.wording import UNDER_WAY, code, lines, sha7

MOMENT: Final = timedelta(seconds=2)
PATIENCE: Final = timedelta(seconds=10)
TOO_LATE: Final = timedelta(hours=1)
# A look, each second: a burst of a thousand is carried out rather than commented on.
MOST: Final = 20


def announce(now: datetime) -> None:
    """Owes a progress reply to every changing run that has waited a moment and was told nothing yet."""
    told = Reply.objects.filter(run=OuterRef("pk"))
    # A build was triggered: its own message with its link comes in a moment.
    speaks_soon = Effect.objects.filter(
        run=OuterRef("pk"), state=EffectState.DONE, settled_at__gt=now - PATIENCE
    )
    silent = Run.objects.filter(
        ~Exists(told),
        ~Exists(speaks_soon),
        state__in=CARRIED,
        changes_things=True,
        accepted_at__lt=now - MOMENT,
        accepted_at__gt=now - TOO_LATE,
    )
    waiting = list(silent.order_by("pk").values_list("pk", flat=True)[:MOST])
    if waiting:
        _tell(waiting, now)


def _tell(run_ids: Sequence[int], now: datetime) -> None:
    """Looks again under a lock: another worker, or the result itself, may have been faster."""
    with transaction.atomic():
        waiting = Run.objects.select_related("bot").filter(pk__in=run_ids, state__in=CARRIED)
        runs = list(waiting.select_for_update(of=("self",)).order_by("pk"))
        told = set(Reply.objects.filter(run__in=runs).values_list("run", flat=True))
        ahead = _ahead(runs)
        for run in runs:
            if run.pk in told:
                continue
            with translation.override(run.language):
                replies.owe(
                    run,
                    Reply.Kind.PROGRESS,
                    _text(run, ahead.get(run.pk)),
                    now=now,
                    offers=cancel_of(run),
                )


def _ahead(runs: Sequence[Run]) -> dict[int, Run]:
    """By run: the first of its key, if that is another one."""
    keys = {run.key for run in runs} - {""}
    first: dict[str, Run] = {}
    for run in Run.objects.filter(key__in=keys, state__in=CARRIED).order_by("pk"):
        first.setdefault(run.key, run)
    return {run.pk: first[run.key] for run in runs if first.get(run.key, run).pk != run.pk}


def _text(run: Run, ahead: Run | None) -> str:
    at = _(" at %(sha)s") % {"sha": sha7(run.sha)} if run.sha else ""
    first = _("%(mark)s %(what)s%(at)s · run %(run)d") % {
        "mark": UNDER_WAY,
        "what": code(run.canonical),
        "at": at,
        "run": run.pk,
    }
    return lines(first, _behind(ahead) if ahead else "")


def _behind(ahead: Run) -> str:
    return _("Waiting for run %(run)d by %(actor)s: %(what)s") % {
        "run": ahead.pk,
        "actor": ahead.actor,
        "what": code(ahead.canonical),
    }
