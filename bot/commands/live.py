"""What is live where, by the runs that put it there."""

from dataclasses import dataclass
from datetime import datetime

from bot.runs.models import Run, RunState
from repos.models import Environment, Service

DEPLOYING = ("deploy", "rollback")


@dataclass(frozen=True)
class Live:
    environment: str
    sha: str
    ref: str
    run: int
    actor: str
    at: datetime | None


def deployments(service: Service, environment: Environment) -> list[Run]:
    """Successful ones, newest first."""
    return list(
        Run.objects.filter(
            command__in=DEPLOYING,
            service=service,
            environment=environment,
            state=RunState.SUCCEEDED,
        ).order_by("-pk")[:50]
    )


def live(service: Service, environment: Environment) -> Live | None:
    """What the newest successful deployment put there; None when there was none."""
    newest = deployments(service, environment)[:1]
    return _live_of(newest[0], environment) if newest else None


def before(service: Service, environment: Environment) -> Run | None:
    """The newest successful deployment of another commit than the live one."""
    done = deployments(service, environment)
    return next((run for run in done if run.sha != done[0].sha), None)


def _live_of(run: Run, environment: Environment) -> Live:
    return Live(
        environment=environment.name,
        sha=run.sha,
        ref=str(run.progress.get("ref", "")),
        run=run.pk,
        actor=run.actor,
        at=run.finished_at,
    )
