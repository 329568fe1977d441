"""What replies offer to be pressed, each as the line that one could type instead."""

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _

from bot.commands.base import Attempt, Target
from bot.commands.reading import repository_of
from bot.runs.buttons import Offer
from bot.runs.models import Run, RunState
from repos.forges.resources import PullRequest, PullState

PRIMARY: Final = "primary"
DANGER: Final = "danger"


def cancel_of(run: Run) -> tuple[Offer, ...]:
    """While it is under way; what only reads ends by itself."""
    if not run.changes_things:
        return ()
    return (Offer(_("Cancel"), f"/cancel {run.pk}", tone=DANGER), *_log_of(run))


def ends_of(run: Run) -> tuple[Offer, ...]:
    """When it is over: once more, if it came to nothing, and its log, if it had a build."""
    if not run.changes_things:
        return ()
    again = Offer(_("Try again"), f"/retry {run.pk}")
    return (*(() if run.state == RunState.SUCCEEDED else (again,)), *_log_of(run))


def _log_of(run: Run) -> tuple[Offer, ...]:
    return (Offer(_("Show log"), f"/log {run.pk}"),) if run.external.get("build") else ()


def pull_offers(attempt: Attempt, pull: PullRequest) -> tuple[Offer, ...]:
    """What one does with an open pull request; each for the head that was shown."""
    if pull.state is not PullState.OPEN:
        return ()
    repository = repository_of(attempt)
    where, sha = f"{pull.number} {repository.name}", pull.head_sha
    approve = Offer(_("Approve"), f"/approve {where}", sha)
    test = Offer(_("Test"), f"/test {where}", sha)
    merge = Offer(_("Merge"), f"/merge {where}", sha, PRIMARY)
    return (approve, *((test,) if repository.test_job_id else ()), merge)


def choices_of(lines: Sequence[str], targets: Sequence[Target]) -> tuple[Offer, ...]:
    """A numbered menu's lines, under the numbers that stand before them."""
    return tuple(
        Offer(f"{place}. {target.label}", line)
        for place, (line, target) in enumerate(zip(lines, targets, strict=True), start=1)
    )
