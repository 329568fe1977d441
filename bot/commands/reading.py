"""What several commands read first: a pull request with its gates, and its name as people type it."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from bot.commands.base import Attempt
from bot.people.permissions import Ask, decide, facts_of
from bot.runs.approvals import approvers
from bot.runs.gates import Gate, MergeFacts, judge
from bot.wording import escape, link
from repos.forges.resources import PullRequest
from repos.models import Environment, Repository, Service

# Of a step's 20 s.
SECONDS_TO_READ: Final = 12.0
READ_AT_ONCE: Final = 4


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


def completed(attempt: Attempt, pulls: Sequence[PullRequest]) -> list[PullRequest]:
    """With what the gates look at, of as many as SECONDS_TO_READ allow; asks for what is not told yet.

    A few at a time: a slow forge shortens the list, never holds up the portal.
    """
    repository, forge = repository_of(attempt), attempt.forge()
    path, policy, language = repository.path, repository.checks, get_language()
    end = time.monotonic() + SECONDS_TO_READ

    def complete(pull: PullRequest) -> PullRequest | None:
        """In a thread of its own, which is not to touch the database."""
        if time.monotonic() > end:
            return None
        # Where the forge requires none by name, none is looked at.
        checks = bool(pull.required_checks) if policy == "required" else policy != "none"
        with override(language):
            return forge.complete(path, pull, checks=checks, reviews=True)

    known = _with_required(attempt, pulls)
    pool = ThreadPoolExecutor(READ_AT_ONCE)
    try:
        return [pull for pull in pool.map(complete, known) if pull is not None]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _with_required(attempt: Attempt, pulls: Sequence[PullRequest]) -> list[PullRequest]:
    """With the checks that the forge requires, if they matter: asked once for each branch."""
    repository, forge = repository_of(attempt), attempt.forge()
    if repository.checks != "required":
        return list(pulls)
    open_to = {pull.base_ref for pull in pulls if pull.required_checks is None}
    required = {branch: forge.required_checks(repository.path, branch) for branch in open_to}
    return [
        replace(pull, required_checks=required[pull.base_ref])
        if pull.required_checks is None
        else pull
        for pull in pulls
    ]


def judged(attempt: Attempt, pull: PullRequest, *, pinned_sha: str = "") -> Judged:
    """The pull request with every gate's verdict on its current head."""
    (pull,) = completed(attempt, [pull])
    return judge_completed(attempt, pull, pinned_sha=pinned_sha)


def judge_completed(attempt: Attempt, pull: PullRequest, *, pinned_sha: str = "") -> Judged:
    repository, forge = repository_of(attempt), attempt.forge()
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
