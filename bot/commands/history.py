"""/status, /log, /history and /why: what is live where, a run, who did what, and the gates that decided."""

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.base import Argument, Attempt, Command, Done, Kind, Refusal, Spec, Step
from bot.commands.live import live
from bot.commands.reading import may
from bot.runs.models import Run, RunState
from bot.wording import (
    BLOCKED,
    DONE,
    UNDER_WAY,
    UNKNOWN,
    block,
    code,
    duration,
    escape,
    lines,
    link,
    sha7,
)
from repos.models import Environment, JenkinsServer, Job, Purpose, Service

MARKS = {
    RunState.SUCCEEDED: DONE,
    RunState.UNKNOWN: UNKNOWN,
    RunState.QUEUED: UNDER_WAY,
    RunState.RUNNING: UNDER_WAY,
    RunState.AWAITING: UNDER_WAY,
}
MOST_SHOWN = 10
MOST_SEARCHED = 200


class Status(Command):
    spec = Spec(
        verb="status",
        summary=gettext_lazy("shows what is live where and what is under way, or one run"),
        arguments=(
            Argument("run", Kind.RUN),
            Argument("service", Kind.SERVICE),
        ),
        aliases=("状态",),
        examples=("/status", "/status myservice", "/status 1850"),
    )

    def step(self, attempt: Attempt) -> Step:
        if attempt.run.arguments.get("run"):
            run = named_run(attempt)
            return Done(lines(run_line(run), when(run), run.summary if run.finished else ""))
        if attempt.run.service:
            return Done(_of_service(attempt.run.service, attempt))
        shown = [
            _live_lines(service) for service in Service.objects.all() if _may_see(attempt, service)
        ]
        first = _("**What is live**")
        return Done(lines(first, *[one for some in shown for one in some], *_under_way(attempt)))


def _of_service(service: Service, attempt: Attempt) -> str:
    first = f"**{escape(service.name)}**"
    return lines(first, *_live_lines(service), *_under_way(attempt, service=service))


def _live_lines(service: Service) -> list[str]:
    jobs = Job.objects.filter(service=service, purpose=Purpose.DEPLOY).select_related("environment")
    return [_live_line(service, job.environment) for job in jobs if job.environment]


def _live_line(service: Service, environment: Environment) -> str:
    where = f"{escape(service.name)} → {escape(environment.name)}"
    now_live = live(service, environment)
    if now_live is None:
        return _("· %(where)s: nothing deployed through the portal yet") % {"where": where}
    return _("· %(where)s: %(sha)s %(ref)s· %(actor)s · %(at)s · run %(run)d") % {
        "where": where,
        "sha": sha7(now_live.sha),
        "ref": f"({escape(now_live.ref)}) " if now_live.ref else "",
        "actor": escape(now_live.actor),
        "at": clock(now_live.at) if now_live.at else "",
        "run": now_live.run,
    }


def _under_way(attempt: Attempt, *, service: Service | None = None) -> list[str]:
    running = Run.objects.filter(
        state__in=(RunState.QUEUED, RunState.RUNNING), changes_things=True
    ).order_by("pk")
    if service is not None:
        running = running.filter(service=service)
    seen = [run for run in running[:MOST_SEARCHED] if may_see_run(attempt, run)]
    return [_("**Under way**"), *map(run_line, seen[:MOST_SHOWN])] if seen else []


def _may_see(attempt: Attempt, service: Service) -> bool:
    return may(attempt, repository=service.repository, service=service)


def may_see_run(attempt: Attempt, run: Run) -> bool:
    """One's own runs, and those on what one may give this command on; what was about nothing is private."""
    if run.person_id is not None and run.person_id == attempt.run.person_id:
        return True
    if not (run.repository or run.service or run.environment):
        return False
    return may(attempt, repository=run.repository, service=run.service, environment=run.environment)


def named_run(attempt: Attempt) -> Run:
    """The run that the command names, if it is one that this person may see."""
    wanted = attempt.run.arguments["run"]
    run = (
        Run.objects.select_related("bot", "repository", "service", "environment")
        .filter(pk=wanted)
        .first()
    )
    if run is None or not may_see_run(attempt, run):
        text = _("%(mark)s There is no run %(name)s that you may see.") % {
            "mark": BLOCKED,
            "name": code(str(wanted)),
        }
        raise Refusal(text, reason="no_such_run")
    return run


def run_line(run: Run) -> str:
    mark = MARKS.get(RunState(run.state), BLOCKED)
    what = code(run.canonical or run.command)
    return f"{mark} {run.pk} · {escape(run.actor)} · {what} · {run.get_state_display()} · {clock(run.accepted_at)}"


def when(run: Run) -> str:
    if run.finished_at is None:
        waiting = (timezone.now() - run.accepted_at).total_seconds()
        return _("Asked %(time)s ago") % {"time": duration(waiting)}
    return _("Took %(time)s") % {
        "time": duration((run.finished_at - run.accepted_at).total_seconds())
    }


def clock(at: object) -> str:
    """11-23 22:58, in the portal's time zone."""
    return f"{timezone.localtime(at):%m-%d %H:%M}"  # type: ignore[arg-type]


class Log(Command):
    spec = Spec(
        verb="log",
        summary=gettext_lazy("shows the last lines of a run's build log"),
        arguments=(Argument("run", Kind.RUN, required=True),),
        aliases=("日志",),
        examples=("/log 1850", "/日志 1850"),
    )

    def step(self, attempt: Attempt) -> Step:
        run = named_run(attempt)
        build, path = run.external.get("build"), run.external.get("job")
        job = Job.objects.select_related("jenkins").filter(path=path).first() if path else None
        if build is None or job is None:
            text = _("%(mark)s Run %(run)d has no build, so it has no log.") % {
                "mark": BLOCKED,
                "run": run.pk,
            }
            raise Refusal(text, reason="no_log")
        server: JenkinsServer = job.jenkins
        tail = attempt.jenkins(server).log_tail(job.path, build, lines=20)
        name = link(_("build %(number)d") % {"number": build}, str(run.external.get("url", "")))
        return Done("\n".join([f"{run_line(run)} · {name}", block(tail)]))


class History(Command):
    spec = Spec(
        verb="history",
        summary=gettext_lazy("shows who did what: yours, a service's, or everybody's"),
        arguments=(
            Argument("whose", Kind.CHOICE, choices=("me",)),
            Argument("service", Kind.SERVICE),
        ),
        aliases=("历史", "记录"),
        examples=("/history", "/history me", "/history myservice"),
    )

    def step(self, attempt: Attempt) -> Step:
        runs = Run.objects.select_related("repository", "service", "environment")
        runs = runs.filter(changes_things=True).exclude(pk=attempt.run.pk)
        if attempt.run.arguments.get("whose"):
            runs = runs.filter(person=attempt.run.person)
        if attempt.run.service:
            runs = runs.filter(service=attempt.run.service)
        seen = [run for run in runs[:MOST_SEARCHED] if may_see_run(attempt, run)][:MOST_SHOWN]
        if not seen:
            return Done(_("Nothing yet. Commands that change something show up here."))
        hint = _("%(command)s shows why it ended so") % {"command": f"`/why {seen[0].pk}`"}
        return Done(
            lines(_("**The last %(count)d**") % {"count": len(seen)}, *map(run_line, seen), hint)
        )


class Why(Command):
    spec = Spec(
        verb="why",
        summary=gettext_lazy("shows the gates that decided a run, and its effects"),
        arguments=(Argument("run", Kind.RUN, required=True),),
        aliases=("为什么",),
        examples=("/why 1842", "/为什么 1842"),
    )

    def step(self, attempt: Attempt) -> Step:
        run = named_run(attempt)
        gates = [
            f"{DONE if gate['passed'] else BLOCKED} {gate['fact']}"
            for gate in run.gates
            if not (gate["passed"] and gate["name"] == "head_unchanged")
        ]
        effects = [
            f"· {effect.name}: {effect.get_state_display()} · {clock(effect.intended_at)}"
            for effect in run.effects.order_by("pk")
        ]
        why = run.summary if not gates else ""
        return Done(lines(run_line(run), *gates, *effects, why))
