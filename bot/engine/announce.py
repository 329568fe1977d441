"""Tells the conversation that its command is under way, once it takes longer than a moment."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import translation
from django.utils.translation import gettext as _

from bot import replies
from bot.engine.claim import CARRIED
from bot.runs.models import Effect, EffectState, Reply, Run
from bot.wording import UNDER_WAY, code, lines, sha7

MOMENT: Final = timedelta(seconds=2)
PATIENCE: Final = timedelta(seconds=10)
TOO_LATE: Final = timedelta(hours=1)


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
    for run_id in silent.values_list("pk", flat=True)[:50]:
        _tell(run_id, now)


def _tell(run_id: int, now: datetime) -> None:
    """Looks again under a lock: another worker, or the result itself, may have been faster."""
    waiting = Run.objects.select_related("bot").filter(pk=run_id, state__in=CARRIED)
    with transaction.atomic():
        run = waiting.select_for_update(of=("self",)).first()
        if run is None or run.replies.exists():
            return
        with translation.override(run.language):
            replies.owe(run, Reply.Kind.PROGRESS, _text(run), now=now)


def _text(run: Run) -> str:
    at = _(" at %(sha)s") % {"sha": sha7(run.sha)} if run.sha else ""
    first = _("%(mark)s %(what)s%(at)s · run %(run)d") % {
        "mark": UNDER_WAY,
        "what": code(run.canonical),
        "at": at,
        "run": run.pk,
    }
    return lines(first, _behind(run))


def _behind(run: Run) -> str:
    if not run.key:
        return ""
    earlier = (
        Run.objects.filter(key=run.key, pk__lt=run.pk, state__in=CARRIED).order_by("pk").first()
    )
    if earlier is None:
        return ""
    return _("Waiting for run %(run)d by %(actor)s: %(what)s") % {
        "run": earlier.pk,
        "actor": earlier.actor,
        "what": code(earlier.canonical),
    }
