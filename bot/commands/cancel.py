"""/cancel: ends a run that waits, stops the build of one that runs, closes one whose outcome is unknown."""

from collections.abc import Callable
from typing import Final

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.record import Event, record
from bot import replies
from bot.commands.base import Argument, Attempt, Command, Done, Kind, Refusal, Spec, Step
from bot.commands.history import named_run, run_line
from bot.runs import wake
from bot.runs.models import Reply, Run, RunState
from bot.runs.story import fact
from bot.wording import BLOCKED, DONE, UNDER_WAY, escape, lines


class Cancel(Command):
    spec = Spec(
        verb="cancel",
        summary=gettext_lazy("ends a run: takes it out of the queue or stops its build"),
        arguments=(Argument("run", Kind.RUN, required=True),),
        aliases=("取消", "停止"),
        examples=("/cancel 1850", "/取消 1850"),
        changes=True,
    )

    def step(self, attempt: Attempt) -> Step:
        run = named_run(attempt)
        return WAYS.get(RunState(run.state), _too_late)(run, attempt.run.actor)


def _take_out(run: Run, actor: str) -> Done:
    """A queued run has done nothing; whoever claims it in this very moment sees the request instead."""
    if not _taken_out(run, actor):
        return _ask_to_stop(run, actor)
    text = _("%(mark)s Cancelled before it began: run %(run)d") % {"mark": DONE, "run": run.pk}
    return Done(lines(text, run_line(run)), reason="cancelled_queued")


def _taken_out(run: Run, actor: str) -> bool:
    """Whoever asked for it is told too, in their conversation and language; what waited for it goes on."""
    now = timezone.now()
    with translation.override(run.language):
        summary = lines(
            _("%(mark)s Cancelled by %(actor)s before it began")
            % {"mark": BLOCKED, "actor": escape(actor)},
            run_line(run),
        )
    with transaction.atomic():
        taken = Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(
            state=RunState.CANCELLED,
            finished_at=now,
            reason="cancelled",
            cancel_requested_by=actor,
            summary=summary,
        )
        if taken:
            ended = {"outcome": RunState.CANCELLED, "reason": "cancelled", "detail": actor}
            record(fact(run, Event.RUN_FINISHED, **ended))
            replies.owe(run, Reply.Kind.FINAL, summary, now=now)
            transaction.on_commit(lambda: wake.ready(0))
    return bool(taken)


def _ask_to_stop(run: Run, actor: str) -> Done:
    Run.objects.filter(pk=run.pk, state=RunState.RUNNING).update(
        cancel_requested_by=actor, due_at=timezone.now()
    )
    transaction.on_commit(lambda: wake.ready(run.pk))
    text = _("%(mark)s Stopping run %(run)d; its own message tells how it ended.") % {
        "mark": UNDER_WAY,
        "run": run.pk,
    }
    return Done(lines(text, run_line(run)), reason="stop_requested")


def _close(run: Run, actor: str) -> Done:
    with transaction.atomic():
        Run.objects.filter(pk=run.pk, state=RunState.UNKNOWN).update(
            state=RunState.CANCELLED, reason="closed_by_hand", cancel_requested_by=actor
        )
        record(
            fact(
                run,
                Event.RUN_FINISHED,
                outcome=RunState.CANCELLED,
                reason="closed_by_hand",
                detail=actor,
            )
        )
    text = _(
        "%(mark)s Closed: run %(run)d. Its outcome stays unknown; nothing was changed by this."
    )
    return Done(text % {"mark": DONE, "run": run.pk}, reason="closed_by_hand")


def _too_late(run: Run, actor: str) -> Done:
    text = _("%(mark)s Run %(run)d has ended already.") % {"mark": BLOCKED, "run": run.pk}
    raise Refusal(lines(text, run_line(run)), reason="already_ended")


WAYS: Final[dict[RunState, Callable[[Run, str], Done]]] = {
    RunState.AWAITING: _take_out,
    RunState.QUEUED: _take_out,
    RunState.RUNNING: _ask_to_stop,
    RunState.UNKNOWN: _close,
}
