"""What is live where, by the runs that put it there."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from bot.runs.models import UNFINISHED, EffectState, Run, RunState
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


def last_good(service: Service, environment: Environment) -> Run | None:
    """The deployment to go back to: of the newest commit that was live there and was not given up since.

    Given up are the commit of the newest deployment that reached Jenkins, however it ended, and the
    commits that the newest rollbacks left.
    """
    done = deployments(service, environment)
    given_up = {newest.sha} if (newest := _newest_sent(service, environment)) else set()
    for run, left in pairwise(done):
        if run.command != "rollback":
            break
        given_up |= {run.sha, left.sha}
    return next((run for run in done if run.sha not in given_up), None)


def _newest_sent(service: Service, environment: Environment) -> Run | None:
    sent = Run.objects.filter(
        command__in=DEPLOYING,
        service=service,
        environment=environment,
        effects__name="trigger",
        effects__state__in=(EffectState.DONE, EffectState.UNKNOWN),
    )
    return sent.exclude(state__in=UNFINISHED).order_by("-pk").first()


def _live_of(run: Run, environment: Environment) -> Live:
    return Live(
        environment=environment.name,
        sha=run.sha,
        ref=str(run.progress.get("ref", "")),
        run=run.pk,
        actor=run.actor,
        at=run.finished_at,
    )
