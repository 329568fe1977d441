"""/jenkins: jobs by purpose and service, or by name with typed parameters."""

from collections.abc import Callable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.base import (
    Argument,
    Attempt,
    Call,
    Command,
    Done,
    Intent,
    Kind,
    Refusal,
    Spec,
    Step,
    Target,
)
from bot.commands.following import (
    Followed,
    build_link,
    failure,
    follow,
    intend,
    parameters,
    values_of,
)
from bot.commands.reading import may
from bot.wording import BLOCKED, DONE, code, duration, escape, lines, link
from repos.builds import JobDescription, Parameter, Result
from repos.models import Job, Purpose

MOST_JOBS = 30


class Jobs(Command):
    spec = Spec(
        verb="jenkins jobs",
        summary=gettext_lazy("lists the Jenkins jobs the portal knows"),
        aliases=("jobs", "任务"),
        examples=("/jenkins jobs",),
    )

    def step(self, attempt: Attempt) -> Step:
        known = Job.objects.select_related("service__repository", "environment", "jenkins")
        jobs = [job for job in known if _may_see(attempt, job)]
        if not jobs:
            return Done(_("No jobs yet. An operator adds them in the portal, under Jobs."))
        first = _("**%(count)d jobs**") % {"count": len(jobs)}
        shown = [self._line(job) for job in jobs[:MOST_JOBS]]
        hint = _("%(command)s for parameters") % {"command": f"`/jenkins describe {jobs[0].name}`"}
        return Done(lines(first, *shown, hint))

    @staticmethod
    def _line(job: Job) -> str:
        parts = [f"**{escape(job.name)}**", job.get_purpose_display()]
        parts += [escape(thing.name) for thing in (job.service, job.environment) if thing]
        return " · ".join([*parts, escape(job.path)])


class Describe(Command):
    spec = Spec(
        verb="jenkins describe",
        summary=gettext_lazy("shows a job's parameters with their defaults and choices"),
        arguments=(Argument("job", Kind.JOB, required=True),),
        examples=("/jenkins describe shop-test",),
    )

    def step(self, attempt: Attempt) -> Step:
        job = job_of(attempt)
        told = attempt.jenkins(job.jenkins).describe(job.path)
        first = f"**{link(escape(job.name), told.url)}** · {escape(told.path)}"
        state = (
            ""
            if told.buildable
            else _("%(mark)s The job is disabled in Jenkins") % {"mark": BLOCKED}
        )
        shown = [self._line(parameter) for parameter in told.parameters]
        none = "" if shown else _("It takes no parameters.")
        return Done(lines(first, state, *shown, none, self._hint(job, told)))

    @staticmethod
    def _line(parameter: Parameter) -> str:
        parts = [f"· {code(parameter.name)} {parameter.kind}"]
        if parameter.choices:
            parts.append(
                _("one of %(choices)s") % {"choices": escape(", ".join(parameter.choices))}
            )
        if parameter.default:
            parts.append(_("default %(value)s") % {"value": escape(parameter.default)})
        if parameter.description:
            parts.append(escape(parameter.description))
        return " · ".join(parts)

    @staticmethod
    def _hint(job: Job, told: JobDescription) -> str:
        """The whole line to fill in, without what the portal fills in itself."""
        words = [
            f"{p.name}={p.default or '…'}"
            for p in told.parameters[:4]
            if p.kind != "password" and "{run}" not in str(job.parameters.get(p.name))
        ]
        return code(" ".join([f"/jenkins build {job.name}", *words]))


class Building(Command):
    """What both share: a build of a job, followed to its end."""

    def follow_job(self, attempt: Attempt, job: Job, intent: Callable[[], Intent]) -> Step:
        followed = follow(
            attempt,
            job,
            intent,
            doing=lambda: _("Building %(job)s") % {"job": escape(job.name)},
        )
        if not isinstance(followed, Followed):
            return followed
        build = followed.build
        if build.result is not Result.SUCCESS:
            first = _("Build failed: %(job)s") % {"job": escape(job.name)}
            again = f"`/log {attempt.run.pk}` · `/retry {attempt.run.pk}`"
            return failure(attempt, job, followed, first=first, last=again)
        text = _("%(mark)s Built %(job)s · %(build)s · %(took)s") % {
            "mark": DONE,
            "job": escape(job.name),
            "build": build_link(build),
            "took": duration(build.duration),
        }
        joined = _("It had been queued already; this is the same build.") if followed.joined else ""
        return Done(lines(text, joined), reason="built")


class TestService(Building):
    spec = Spec(
        verb="jenkins test",
        summary=gettext_lazy("runs a service's test job on its default branch"),
        arguments=(Argument("service", Kind.SERVICE, required=True),),
        examples=("/jenkins test myservice",),
        changes=True,
    )

    def step(self, attempt: Attempt) -> Step:
        job = (
            Job.objects.select_related("jenkins")
            .filter(purpose=Purpose.TEST, service=attempt.run.service)
            .first()
        )
        if job is None:
            text = _(
                "%(mark)s Not tested: %(service)s has no test job yet. An operator adds it under Jobs."
            )
            raise Refusal(
                text % {"mark": BLOCKED, "service": escape(attempt.run.target)},
                reason="no_test_job",
            )
        return self.follow_job(attempt, job, lambda: self._pin(attempt, job))

    @staticmethod
    def _pin(attempt: Attempt, job: Job) -> Intent:
        """On the newest commit of the default branch, if the service has a repository."""
        run = attempt.run
        if run.repository is not None:
            forge, path = attempt.forge(), run.repository.path
            run.sha = forge.commit(path, forge.repository(path).default_branch).sha
        filled = parameters(job, values_of(attempt, sha=run.sha, ref=run.sha))
        return intend(job, filled, sha=run.sha)


class BuildJob(Building):
    spec = Spec(
        verb="jenkins build",
        summary=gettext_lazy("builds a job with the parameters you give"),
        arguments=(
            Argument("job", Kind.JOB, required=True),
            Argument("parameters", Kind.PARAMETERS),
        ),
        aliases=("build", "构建"),
        examples=("/jenkins build shop-test PR=233", "/构建 nightly"),
        changes=True,
    )

    def key(self, call: Call, target: Target) -> str:
        """A job that deploys waits for the deployments to its place, and they for it."""
        return f"deploy:{target.service}:{target.environment}" if target.environment else ""

    def step(self, attempt: Attempt) -> Step:
        job = job_of(attempt)
        typed: dict[str, str] = attempt.run.arguments.get("parameters") or {}
        ours = {name: value for name, value in job.parameters.items() if "{run}" in str(value)}
        values = parameters(job, values_of(attempt))
        filled = typed | {name: values[name] for name in ours}
        return self.follow_job(attempt, job, lambda: intend(job, filled))


def _may_see(attempt: Attempt, job: Job) -> bool:
    return may(
        attempt,
        repository=job.service.repository if job.service else None,
        service=job.service,
        environment=job.environment,
    )


def job_of(attempt: Attempt) -> Job:
    """By the portal's name of it; dispatch has made sure that it is one."""
    name = attempt.run.arguments["job"]
    job = Job.objects.select_related("jenkins").filter(name=name).first()
    if job is None:
        text = _("%(mark)s There is no job %(job)s. `/jenkins jobs` lists them.")
        raise Refusal(text % {"mark": BLOCKED, "job": code(name)}, reason="no_such_job")
    return job
