"""What several commands read first: a pull request with its gates, and its name as people type it."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from bot.commands.base import Attempt
from bot.people.permissions import Ask, decide, facts_of
from bot.runs.approvals import approvers
from bot.runs.gates import Gate, MergeFacts, judge
from bot.wording import escape, link
from repos.forges.resources import PullRequest
from repos.models import Environment, Repository, Service


@dataclass(frozen=True)
class Judged:
    pull: PullRequest
    gates: tuple[Gate, ...]


def repository_of(attempt: Attempt) -> Repository:
    """The run's repository; dispatch has resolved it, so its absence means it was deleted meanwhile."""
    if attempt.run.repository is None:
        raise LookupError("the repository of this run is gone")
    return attempt.run.repository


def read(attempt: Attempt) -> PullRequest:
    return attempt.forge().pull(repository_of(attempt).path, attempt.run.number or 0)


def judged(attempt: Attempt, pull: PullRequest, *, pinned_sha: str = "") -> Judged:
    """The pull request with every gate's verdict on its current head."""
    repository, forge = repository_of(attempt), attempt.forge()
    pull = forge.complete(
        repository.path,
        pull,
        checks=repository.checks != "none",
        required=repository.checks == "required",
        reviews=True,
    )
    facts = MergeFacts(
        repository=repository.name,
        pull=pull,
        approvers=approvers(repository, pull, own_login=forge.own_login()),
        approvals_required=max(repository.approvals, 0),
        checks_required=repository.checks or "all",
        pinned_sha=pinned_sha,
    )
    return Judged(pull, judge(facts))


def label(attempt: Attempt, pull: PullRequest) -> str:
    """shop#233 as a link."""
    return link(f"{escape(repository_of(attempt).name)}#{pull.number}", pull.url)


def may(
    attempt: Attempt,
    *,
    repository: Repository | None = None,
    service: Service | None = None,
    environment: Environment | None = None,
) -> bool:
    """Whether this run's person may give this run's command on those, here and now."""
    ask = Ask(
        attempt.run.command,
        repository=repository.name if repository else "",
        service=service.name if service else "",
        environment=environment.name if environment else "",
        conversation=attempt.run.conversation,
        everything=not (repository or service or environment),
    )
    grants = facts_of(attempt.run.person_id)
    return decide(True, grants, ask, open_to_all=False, now=attempt.now).allowed


def told(gate: Gate) -> str:
    """A gate's fact, and in brackets who or what can lift it."""
    return gate.fact + (_(" (%(remedy)s)") % {"remedy": gate.remedy} if gate.remedy else "")
