"""/deploy and /rollback: one pinned commit, one deployment of a service and environment at a time."""

from abc import abstractmethod
from typing import Any

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
from bot.commands.live import last_good, live
from bot.runs.models import Run, RunState
from bot.wording import BLOCKED, DONE, duration, escape, lines, sentences, sha7
from repos.builds import Result
from repos.models import Environment, Job, Purpose, Service


class Deployment(Command):
    """What both share: which job, the pinned commit, the build, and what is said of its end."""

    def key(self, call: Call, target: Target) -> str:
        return f"deploy:{target.service}:{target.environment}"

    @abstractmethod
    def pin(self, attempt: Attempt) -> tuple[str, str]:
        """The full sha to deploy, and the ref it was asked by."""

    def step(self, attempt: Attempt) -> Step:
        job = deploy_job(attempt)
        followed = follow(
            attempt,
            job,
            lambda: self._prepare(attempt, job),
            doing=lambda: self._doing() % self._names(attempt),
        )
        if not isinstance(followed, Followed):
            return followed
        if followed.build.result is not Result.SUCCESS:
            return self._failed(attempt, job, followed)
        return self._deployed(attempt, job, followed)

    @staticmethod
    def _doing() -> str:
        return _("Deploying %(service)s %(sha)s to %(environment)s")

    def _prepare(self, attempt: Attempt, job: Job) -> Intent:
        sha, ref = self.pin(attempt)
        attempt.run.sha = sha
        attempt.remember(ref=ref)
        return intend(job, parameters(job, values_of(attempt, sha=sha, ref=ref or sha)), sha=sha)

    def _deployed(self, attempt: Attempt, job: Job, followed: Followed) -> Done:
        other = _other_sha(attempt.run, job, followed)
        if other:
            text = _(
                "%(mark)s ATTENTION: Jenkins deployed %(found)s, not %(sha)s: %(service)s to %(environment)s"
            )
            names = self._names(attempt) | {"mark": BLOCKED, "found": sha7(other)}
            return Done(
                text % names, state=RunState.FAILED, reason="deployed_other_sha", observed_sha=other
            )
        text = _(
            "%(mark)s Deployed %(service)s %(sha)s to %(environment)s · %(build)s · %(took)s"
        ) % (
            self._names(attempt)
            | {
                "mark": DONE,
                "build": build_link(followed.build),
                "took": duration(followed.build.duration),
            }
        )
        back = _("Back: %(command)s") % {"command": f"`/rollback {self._where(attempt)}`"}
        earlier = live(*service_and_environment(attempt))
        changed = earlier is not None and earlier.sha != attempt.run.sha
        return Done(
            lines(text, back if changed else ""), reason="deployed", observed_sha=attempt.run.sha
        )

    def _failed(self, attempt: Attempt, job: Job, followed: Followed) -> Done:
        first = _("Deployment failed: %(service)s %(sha)s to %(environment)s") % self._names(
            attempt
        )
        now_live = live(*service_and_environment(attempt))
        still = _("Live is still %(sha)s.") % {"sha": sha7(now_live.sha)} if now_live else ""
        other = now_live and now_live.sha != attempt.run.sha
        back = f" · `/rollback {self._where(attempt)}`" if other else ""
        again = f"`/retry {attempt.run.pk}`{back}"
        return failure(attempt, job, followed, first=first, last=sentences(still, again))

    @staticmethod
    def _where(attempt: Attempt) -> str:
        service, environment = service_and_environment(attempt)
        return f"{service.name} to {environment.name}"

    @staticmethod
    def _names(attempt: Attempt) -> dict[str, Any]:
        service, environment = service_and_environment(attempt)
        return {
            "service": escape(service.name),
            "environment": escape(environment.name),
            "sha": sha7(attempt.run.sha),
        }


class Deploy(Deployment):
    spec = Spec(
        verb="deploy",
        summary=gettext_lazy("deploys one commit of a service through its Jenkins job"),
        arguments=(
            Argument("service", Kind.SERVICE, required=True),
            Argument("ref", Kind.REF),
            Argument("environment", Kind.ENVIRONMENT, keyword="to"),
        ),
        aliases=("部署", "发布", "上线"),
        examples=("/deploy myservice", "/deploy myservice v1.4.2 to staging", "/部署 myservice"),
        changes=True,
    )

    def pin(self, attempt: Attempt) -> tuple[str, str]:
        """A retry deploys the very commit that was announced; else the ref, or the default branch, is resolved."""
        run = attempt.run
        if run.retry_of is not None and run.retry_of.sha:
            return run.retry_of.sha, str(run.retry_of.progress.get("ref", ""))
        service, _environment = service_and_environment(attempt)
        if service.repository is None or run.repository is None:
            raise Refusal(_no_repository(service), reason="no_repository")
        forge, path = attempt.forge(), run.repository.path
        ref = run.arguments.get("ref") or forge.repository(path).default_branch
        return forge.commit(path, ref).sha, ref


class Rollback(Deployment):
    spec = Spec(
        verb="rollback",
        summary=gettext_lazy("deploys the last good commit before the live one"),
        arguments=(
            Argument("service", Kind.SERVICE, required=True),
            Argument("environment", Kind.ENVIRONMENT, keyword="to"),
        ),
        aliases=("回滚",),
        examples=("/rollback myservice", "/rollback myservice to staging", "/回滚 myservice"),
        changes=True,
    )

    def pin(self, attempt: Attempt) -> tuple[str, str]:
        if attempt.run.retry_of is not None and attempt.run.retry_of.sha:
            return attempt.run.retry_of.sha, ""
        earlier = last_good(*service_and_environment(attempt))
        if earlier is None:
            text = _(
                "%(mark)s Not rolled back: %(target)s\nThe portal knows no earlier deployment of another commit there."
                " `/deploy SERVICE REF` deploys any commit."
            ) % {"mark": BLOCKED, "target": escape(attempt.run.target)}
            raise Refusal(text, reason="nothing_to_roll_back_to")
        return earlier.sha, str(earlier.progress.get("ref", ""))


def service_and_environment(attempt: Attempt) -> tuple[Service, Environment]:
    run = attempt.run
    if run.service is None or run.environment is None:
        raise LookupError("the service or environment of this run is gone")
    return run.service, run.environment


def deploy_job(attempt: Attempt) -> Job:
    service, environment = service_and_environment(attempt)
    job = (
        Job.objects.select_related("jenkins")
        .filter(purpose=Purpose.DEPLOY, service=service, environment=environment)
        .first()
    )
    if job is None:
        text = _(
            "%(mark)s Not deployed: %(service)s has no deploy job for %(environment)s any more."
        ) % {
            "mark": BLOCKED,
            "service": escape(service.name),
            "environment": escape(environment.name),
        }
        raise Refusal(text, reason="no_deploy_job")
    return job


def _other_sha(run: Run, job: Job, followed: Followed) -> str:
    """The commit that the build says it had, where it is another one than was announced."""
    for name, template in job.parameters.items():
        reported = followed.build.parameters.get(name, run.sha)
        if template == "{sha}" and reported != run.sha:
            return reported
    return ""


def _no_repository(service: Service) -> str:
    return _(
        "%(mark)s Not deployed: %(service)s\nIt has no repository in the portal, so its commit cannot be pinned."
        " An operator sets it under Services."
    ) % {"mark": BLOCKED, "service": escape(service.name)}
