"""Starting a Jenkins build once and following it to its end: shared by tests, builds and deployments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from bot.commands.base import Again, Attempt, Done, Intent, Json, Later, Refusal, Step
from bot.runs.models import EffectState, RunState
from bot.wording import BLOCKED, UNDER_WAY, UNKNOWN, block, duration, escape, lines, link
from repos.builds import RUN_PARAMETER, Build, Result, Triggered
from repos.errors import BadAnswer, Forbidden, RemoteError, TokenRefused
from repos.jenkins import Jenkins
from repos.models import Job

# A finished queue item is forgotten by Jenkins after 5 minutes; so long we ask for it before we give up.
LONGEST_WITHOUT_TRACE: Final = timedelta(minutes=10)
# So long a build is followed whose server refuses to tell of it.
LONGEST_UNREADABLE: Final = timedelta(hours=2)
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
# So long, in seconds, a build may wait in the queue before the person is told why.
QUIET_FOR: Final = 30
# How long each way of stopping is given before a harder one is tried.
SECONDS_PER_STOP: Final = 15
STOPS: Final = ("stop", "term", "kill")


@dataclass(frozen=True)
class Followed:
    """A build that has ended, with what a failure message needs."""

    build: Build
    joined: bool


def parameters(job: Job, values: Mapping[str, Any]) -> dict[str, str]:
    """The job's templates filled in: {"SHA": "{sha}"} → {"SHA": "4f2a91c…"}. Known fields only."""
    filled = {}
    for name, template in job.parameters.items():
        text = str(template)
        for field, value in values.items():
            text = text.replace("{" + field + "}", str(value))
        filled[name] = text
    return filled


def values_of(attempt: Attempt, **more: Any) -> dict[str, Any]:
    run = attempt.run
    return {
        "run": run.pk,
        "number": run.number or "",
        "pull": run.number or "",
        "repository": run.repository.name if run.repository else "",
        "service": run.service.name if run.service else "",
        "environment": run.environment.name if run.environment else "",
        "person": run.person.username if run.person else "",
        "sha": run.sha,
        "ref": "",
    } | more


def follow(attempt: Attempt, job: Job, intent: Any, *, doing: Callable[[], str]) -> Followed | Step:
    """One turn of following: a Step while it lasts, Followed when the build has ended.

    intent() is called once, before the build is triggered, and gives the Intent whose facts hold
    "path" and "parameters". doing() is the progress line without mark, asked for once the commit is pinned.
    """
    jenkins = attempt.jenkins(job.jenkins)
    trigger = attempt.effect(
        "trigger",
        prepare=lambda: _prepare(attempt, jenkins, intent),
        send=lambda facts: _trigger(jenkins, facts),
        find=lambda facts: _find(jenkins, facts, since=attempt.run.accepted_at),
        again=Again.NEVER,
    )
    # From here on only Jenkins is asked: a slow forge shall not hold its build up, nor the reverse.
    attempt.run.lane = f"jenkins:{job.jenkins.name}"
    line = doing()
    try:
        return _look(attempt, jenkins, job, trigger, doing=line)
    except (BadAnswer, Forbidden, TokenRefused) as problem:
        return _look_again(attempt, problem)


def _look(
    attempt: Attempt, jenkins: Jenkins, job: Job, trigger: Json, *, doing: str
) -> Followed | Step:
    number = attempt.run.progress.get("build") or trigger.get("build")
    if number is None:
        number = _number(attempt, jenkins, job.path, trigger)
        if not isinstance(number, int):
            return number
        attempt.remember(build=number)
    return _watch(attempt, jenkins, job, number, doing=doing, joined=bool(trigger.get("joined")))


def _look_again(attempt: Attempt, problem: RemoteError) -> Step:
    """The build goes on whatever its server says of it now: nothing else may take its place meanwhile."""
    if attempt.now - attempt.run.accepted_at < LONGEST_UNREADABLE:
        return Later(10, progress=f"{UNDER_WAY} {problem.sentence}")
    url = attempt.run.external.get("url", "")
    text = lines(
        _("%(mark)s Outcome unknown: %(target)s")
        % {"mark": UNKNOWN, "target": escape(attempt.run.target)},
        f"{problem.sentence} {link(_('build'), url) if url else ''}".strip(),
        _("Look there yourself, then `/retry %(run)d` or `/cancel %(run)d`.")
        % {"run": attempt.run.pk},
    )
    return Done(text, state=RunState.UNKNOWN, reason="unreadable")


def _prepare(attempt: Attempt, jenkins: Jenkins, intent: Callable[[], Intent]) -> Intent:
    """A retry of what may have run: if its build has come to light meanwhile, there is nothing to repeat."""
    earlier = attempt.run.retry_of
    doubtful = earlier and earlier.effects.filter(name="trigger", state=EffectState.UNKNOWN).first()
    found = doubtful and earlier and _find(jenkins, doubtful.intent, since=earlier.accepted_at)
    if not (earlier and doubtful and found):
        return intent()
    build = jenkins.build(doubtful.intent["path"], found["build"]) if "build" in found else None
    text = _(
        "%(mark)s Not repeated: %(target)s\nRun %(run)d did reach Jenkins: %(build)s. Look at it first;"
        " to do it all the same, give the command anew."
    ) % {
        "mark": BLOCKED,
        "target": escape(attempt.run.target),
        "run": earlier.pk,
        "build": build_link(build) if build else _("it is in the queue"),
    }
    raise Refusal(text, reason="ran_after_all")


def intend(job: Job, filled: dict[str, str], *, sha: str = "") -> Intent:
    return Intent({"path": job.path, "server": job.jenkins.name, "parameters": filled}, sha=sha)


def _trigger(jenkins: Jenkins, facts: Json) -> Json:
    triggered = jenkins.trigger(facts["path"], facts["parameters"])
    return {"queue_id": triggered.queue_id, "joined": triggered.joined}


def _find(jenkins: Jenkins, facts: Json, *, since: datetime) -> Json | None:
    """A queue item or build with this run's id; an old build of an earlier portal does not count."""
    value = facts["parameters"].get(RUN_PARAMETER)
    if not value:
        return None
    found = jenkins.find(facts["path"], RUN_PARAMETER, value)
    if isinstance(found, Triggered):
        return {"queue_id": found.queue_id, "joined": False}
    if found is None or (found.started_at and found.started_at < since - CLOCK_TOLERANCE):
        return None
    return {"queue_id": found.queue_id, "build": found.number, "joined": False}


def _number(attempt: Attempt, jenkins: Jenkins, path: str, trigger: Json) -> int | Step:
    """The build's number once Jenkins has made one of the queue item; never guessed by lastBuild."""
    queue_id = trigger["queue_id"]
    item = jenkins.queue_item(queue_id)
    if item is None:
        build = jenkins.build_of(path, queue_id)
        return build.number if build else _lost(attempt)
    if item.cancelled:
        text = _("%(mark)s Cancelled in Jenkins's queue: %(target)s") % {
            "mark": BLOCKED,
            "target": escape(attempt.run.target),
        }
        return Done(text, state=RunState.CANCELLED, reason="queue_item_cancelled")
    if item.build_number is not None:
        return item.build_number
    if attempt.run.cancel_requested_by:
        jenkins.cancel_item(queue_id)
        return Later(1)
    return Later(settings.FOLLOW_SECONDS, progress=_waiting(attempt, item.why))


def _waiting(attempt: Attempt, why: str) -> str:
    """Said once, when it has waited a while, in Jenkins's own words; those change from look to look."""
    now, progress = attempt.now.timestamp(), attempt.run.progress
    if "queued_at" not in progress:
        attempt.remember(queued_at=now)
    elif now - progress["queued_at"] > QUIET_FOR and "queue_told" not in progress:
        attempt.remember(queue_told=True)
        return _("%(mark)s In Jenkins's queue: %(target)s · %(why)s · run %(run)d") % {
            "mark": UNDER_WAY,
            "target": escape(attempt.run.target),
            "why": escape(why) or "?",
            "run": attempt.run.pk,
        }
    return ""


def _lost(attempt: Attempt) -> Step:
    if attempt.now - attempt.run.accepted_at < LONGEST_WITHOUT_TRACE:
        return Later(10)
    text = lines(
        _("%(mark)s Outcome unknown: %(target)s")
        % {"mark": UNKNOWN, "target": escape(attempt.run.target)},
        _(
            "Jenkins took the request, but has forgotten it: no queue item and no build with its id are left."
        ),
        _("Look there yourself, then `/retry %(run)d` or `/cancel %(run)d`.")
        % {"run": attempt.run.pk},
    )
    return Done(text, state=RunState.UNKNOWN, reason="queue_item_lost")


def _watch(
    attempt: Attempt, jenkins: Jenkins, job: Job, number: int, *, doing: str, joined: bool
) -> Followed | Step:
    build = jenkins.build(job.path, number)
    attempt.run.external = attempt.run.external | {
        "build": number,
        "url": build.url,
        "job": job.path,
    }
    if not build.building:
        return Followed(build, joined)
    if attempt.run.cancel_requested_by:
        return _stop(attempt, jenkins, job.path, number)
    return Later(settings.FOLLOW_SECONDS, progress=_progress(attempt, build, doing=doing))


def _progress(attempt: Attempt, build: Build, *, doing: str) -> str:
    parts = [f"{UNDER_WAY} {doing}", build_link(build)]
    if build.estimated and build.estimated > 0:
        parts.append(_("usually %(time)s") % {"time": duration(build.estimated)})
    return " · ".join([*parts, _("run %(run)d") % {"run": attempt.run.pk}])


def build_link(build: Build) -> str:
    return link(_("build %(number)d") % {"number": build.number}, build.url)


def _stop(attempt: Attempt, jenkins: Jenkins, path: str, number: int) -> Step:
    """Asks politely, then harder: each way gets 15 seconds; that it worked is seen by polling only."""
    progress = attempt.run.progress
    tried, at = progress.get("stops", 0), progress.get("stopped_at", 0.0)
    now = timezone.now().timestamp()
    if tried < len(STOPS) and now - at >= (SECONDS_PER_STOP if tried else 0):
        attempt.remember(stops=tried + 1, stopped_at=now)
        try:
            getattr(jenkins, STOPS[tried])(path, number)
        except RemoteError as problem:
            # The build goes on, and so does following it: a job may know no harder way, or we may not stop it.
            return Later(1, progress=f"{BLOCKED} {problem.sentence}")
    return Later(1)


def failure(attempt: Attempt, job: Job, followed: Followed, *, first: str, last: str) -> Done:
    """What went wrong: the stage, how long it took, the last log lines, and what one can do next."""
    build, run = followed.build, attempt.run
    if run.cancel_requested_by and build.result is Result.ABORTED:
        text = _("%(mark)s Cancelled by %(actor)s: %(target)s · %(build)s") % {
            "mark": BLOCKED,
            "actor": escape(run.cancel_requested_by),
            "target": escape(run.target),
            "build": build_link(build),
        }
        return Done(text, state=RunState.CANCELLED, reason="cancelled")
    jenkins = attempt.jenkins(job.jenkins)
    stage = _failed_stage(jenkins, job.path, build)
    head = f"{BLOCKED} {first}"
    if stage:
        head += _(", stage %(stage)s") % {"stage": escape(stage)}
    head += _(", after %(time)s") % {"time": duration(build.duration)}
    word = "" if build.result is Result.FAILURE else result_word(build.result)
    parts = [part for part in (head, word, build_link(build)) if part]
    tail = _log_tail(jenkins, job.path, build)
    text = "\n".join(part for part in (" · ".join(parts), tail, last) if part)
    return Done(text, state=RunState.FAILED, reason="build_failed")


def _log_tail(jenkins: Jenkins, path: str, build: Build) -> str:
    """ "" where it cannot be read: the result does not wait for what illustrates it."""
    try:
        return block(jenkins.log_tail(path, build.number, lines=20))
    except RemoteError:
        return ""


def _failed_stage(jenkins: Jenkins, path: str, build: Build) -> str:
    try:
        stages = jenkins.stages(path, build.number)
    except RemoteError:
        return ""
    failed = [stage.name for stage in stages if stage.status in {"FAILED", "UNSTABLE", "ABORTED"}]
    return failed[0] if failed else ""


def result_word(result: Result | None) -> str:
    words = {
        Result.SUCCESS: _("succeeded"),
        Result.UNSTABLE: _("unstable"),
        Result.FAILURE: _("failed"),
        Result.NOT_BUILT: _("not built"),
        Result.ABORTED: _("aborted"),
    }
    return words[result] if result else _("without a result")
