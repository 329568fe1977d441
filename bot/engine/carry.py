"""Carries one run one turn further: claim, authorise again, step, write down what came of it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from audit.record import Event, record
from bot import replies
from bot.commands.base import Done, Later, Refusal, Step
from bot.commands.offering import cancel_of, ends_of
from bot.commands.registry import commands
from bot.engine.attempt import LiveAttempt, LookLater, OutcomeNeverKnown
from bot.engine.claim import Fenced, claim, write
from bot.engine.wanted import check_still_wanted
from bot.runs.models import Reply, Run, RunState
from bot.runs.story import fact
from bot.wording import BLOCKED, UNKNOWN, code, cut, escape, lines
from chatops_site.kit.failpoints import reach
from repos.errors import RateLimited, RemoteError

logger = logging.getLogger(__name__)

MOST_FAILURES: Final = 5
LONGEST_RATE_LIMIT: Final = timedelta(minutes=15)
# How long we go on asking what became of an effect, or following a build, while the other side is silent.
LONGEST_SILENCE: Final = timedelta(hours=1)
LONGEST_FOLLOWING: Final = timedelta(days=1)


@dataclass(frozen=True)
class Carried:
    """One turn's outcome: the run as it is now, and the reply it owes now, if any."""

    run: Run
    reply: Reply | None


def carry(run_id: int) -> Carried | None:
    """One turn. None: somebody else has it, or it is not its turn yet. Safe to call at any time."""
    now = timezone.now()
    run = claim(run_id, now)
    if run is None:
        return None
    reach("c4")
    attempt = LiveAttempt(run, now)
    with translation.override(run.language):
        try:
            step = _turn(attempt)
            reply = _write(attempt, step)
        except Fenced:
            logger.warning("run %s was taken over by another worker; this turn is dropped", run_id)
            return None
    reach("c8")
    return Carried(run, reply)


def _turn(attempt: LiveAttempt) -> Step:
    """The step and what its errors mean; everything but Fenced becomes a Step."""
    run = attempt.run
    try:
        if not attempt.has_effects:
            check_still_wanted(run, attempt.now)
        return commands()[run.command].step(attempt)
    except Refusal as refusal:
        run.gates = [gate.as_json() for gate in refusal.gates] or run.gates
        return Done(refusal.text, state=RunState.REFUSED, reason=refusal.reason)
    except LookLater as look:
        return look.later
    except OutcomeNeverKnown as never:
        return _unknown(run, never)
    except RemoteError as problem:
        return _remote_error(attempt, problem)
    except (Fenced, OperationalError, InterfaceError):
        # A database that does not answer is no fault of the step: the lease ends, and it is taken again.
        raise
    except Exception:
        logger.exception("run %s: its step failed", run.pk)
        return _bug(attempt)


def _unknown(run: Run, never: OutcomeNeverKnown) -> Done:
    sent = (
        timezone.localtime(never.effect.sent_at).strftime("%H:%M:%S")
        if never.effect.sent_at
        else ""
    )
    text = lines(
        _("%(mark)s Outcome unknown: %(target)s") % {"mark": UNKNOWN, "target": escape(run.target)},
        _(
            "The request was sent at %(time)s and no answer came; no trace of run %(run)d was found"
            " in two searches."
        )
        % {"time": sent, "run": run.pk},
        _("Look there yourself, then `/retry %(run)d` or `/cancel %(run)d`.") % {"run": run.pk},
    )
    return Done(text, state=RunState.UNKNOWN, reason="outcome_unknown")


def _remote_error(attempt: LiveAttempt, problem: RemoteError) -> Step:
    run = attempt.run
    age = attempt.now - run.accepted_at
    if isinstance(problem, RateLimited) and age < LONGEST_RATE_LIMIT:
        logger.info("run %s waits: %s", run.pk, problem.detail)
        return Later(_pause(problem, attempt.now), progress=problem.sentence)
    if attempt.has_open_effect and age < LONGEST_SILENCE:
        return Later(min(2.0 ** min(run.attempt, 5), 30))
    if attempt.has_open_effect:
        return Done(
            lines(f"{UNKNOWN} {escape(run.target)}", problem.sentence),
            state=RunState.UNKNOWN,
            reason="silence",
            detail=problem.detail,
        )
    if attempt.has_effects and problem.retryable and age < LONGEST_FOLLOWING:
        return Later(min(2.0 ** min(run.attempt, 5), 30))
    return Done(
        _failed(attempt, problem),
        state=RunState.FAILED,
        reason=type(problem).__name__,
        detail=problem.detail,
    )


def _pause(problem: RateLimited, now: datetime) -> float:
    if problem.until is None:
        return 30.0
    return min(max((problem.until - now).total_seconds(), 1.0), LONGEST_RATE_LIMIT.total_seconds())


def _failed(attempt: LiveAttempt, problem: RemoteError) -> str:
    run = attempt.run
    logger.warning("run %s failed: %s", run.pk, problem.detail or problem)
    first = _("%(mark)s Not done: %(what)s") % {"mark": BLOCKED, "what": code(run.canonical)}
    again = _("Nothing was changed; to try again: `/retry %(run)d`") % {"run": run.pk}
    return lines(
        first, problem.sentence, again if run.changes_things and not attempt.has_effects else ""
    )


def _bug(attempt: LiveAttempt) -> Step:
    """Our own fault: tried a few times, since it may be a passing one, then said plainly."""
    run = attempt.run
    run.failures += 1
    if run.failures < MOST_FAILURES:
        return Later(2.0**run.failures)
    state = RunState.UNKNOWN if attempt.has_open_effect else RunState.FAILED
    text = lines(
        _("%(mark)s The portal itself failed at: %(what)s")
        % {"mark": BLOCKED, "what": code(run.canonical)},
        _("Tell an operator: run %(run)d; the portal's log has the reason.") % {"run": run.pk},
    )
    return Done(text, state=state, reason="internal_error")


def _write(attempt: LiveAttempt, step: Step) -> Reply | None:
    if isinstance(step, Done):
        return _finish(attempt, step)
    return _postpone(attempt, step)


def _postpone(attempt: LiveAttempt, later: Later) -> Reply | None:
    run, now = attempt.run, timezone.now()
    tells = bool(later.progress) and run.progress.get("told") != later.progress
    if tells:
        run.progress = run.progress | {"told": later.progress}
    with transaction.atomic():
        write(
            run,
            due_at=now + timedelta(seconds=later.seconds),
            lease_until=None,
            progress=run.progress,
            external=run.external,
            failures=run.failures,
        )
        owed = attempt.flush()
        reply = _progress(run, later, now) if tells else None
        record(*owed)
    return reply


def _progress(run: Run, later: Later, now: datetime) -> Reply:
    return replies.owe(run, Reply.Kind.PROGRESS, later.progress, now=now, offers=cancel_of(run))


def _finish(attempt: LiveAttempt, done: Done) -> Reply:
    run, now = attempt.run, timezone.now()
    with transaction.atomic():
        write(run, **_outcome(run, done, now))
        owed = attempt.flush()
        offers = done.offers or ends_of(run)
        reply = replies.owe(run, Reply.Kind.FINAL, run.summary, now=now, offers=offers)
        finished = fact(
            run,
            Event.RUN_FINISHED,
            outcome=run.state,
            reason=done.reason,
            observed_sha=done.observed_sha,
            external=done.external,
            detail="\n".join(filter(None, (run.summary.split("\n", 1)[0].rstrip(), done.detail))),
            duration_ms=int((now - run.accepted_at).total_seconds() * 1000),
        )
        record(*owed, finished)
    return reply


STATE_OF_REASON: Final = {"expired": RunState.EXPIRED, "cancelled": RunState.CANCELLED}


def _outcome(run: Run, done: Done, now: datetime) -> dict[str, Any]:
    return {
        "state": STATE_OF_REASON.get(done.reason, done.state),
        "lease_until": None,
        "finished_at": now,
        "reason": done.reason,
        "summary": cut(done.text),
        "gates": run.gates,
        "external": run.external | done.external,
        "progress": run.progress,
        "sha": run.sha,
    }
