"""The gates: what must hold before a pull request is merged. A list of small functions, each says its fact."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext as _

from bot.wording import escape, link, listed, sha7
from repos.forges.resources import Check, CheckState, PullRequest, PullState


@dataclass(frozen=True)
class Gate:
    """One gate's verdict for people. fact: what was found; remedy: who or what can lift it; short: for lists."""

    name: str
    passed: bool
    fact: str
    remedy: str = ""
    short: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class MergeFacts:
    """All that the merge gates look at; nothing else decides."""

    repository: str
    # With its checks and reviews.
    pull: PullRequest
    # Names of people who approved the current head, at the forge or through us; never the author.
    approvers: frozenset[str]
    approvals_required: int
    # "all", "required" (by the forge), "none" or the names that must be green.
    checks_required: str | list[str]
    # The head this run was asked for; "" before it is pinned.
    pinned_sha: str = ""

    @property
    def number(self) -> int:
        return self.pull.number


def head_unchanged(facts: MergeFacts) -> Gate:
    moved = bool(facts.pinned_sha) and facts.pinned_sha != facts.pull.head_sha
    if not moved:
        return Gate("head_unchanged", True, sha7(facts.pull.head_sha))
    fact = _("moved from %(old)s to %(new)s since you asked") % {
        "old": sha7(facts.pinned_sha),
        "new": sha7(facts.pull.head_sha),
    }
    return Gate("head_unchanged", False, fact, f"`/pr {facts.number} {facts.repository}`")


def still_open(facts: MergeFacts) -> Gate:
    words = {
        PullState.OPEN: _("open"),
        PullState.MERGED: _("already merged"),
        PullState.CLOSED: _("closed"),
    }
    is_open = facts.pull.state is PullState.OPEN
    can_reopen = facts.pull.state is PullState.CLOSED
    remedy = f"`/reopen {facts.number} {facts.repository}`" if can_reopen else ""
    return Gate("open", is_open, words[facts.pull.state], remedy)


def not_a_draft(facts: MergeFacts) -> Gate:
    if not facts.pull.draft:
        return Gate("not_a_draft", True, _("not a draft"))
    remedy = _("%(author)s can mark it ready") % {"author": escape(facts.pull.author)}
    return Gate("not_a_draft", False, _("draft"), remedy)


def mergeable(facts: MergeFacts) -> Gate:
    if facts.pull.mergeable is None:
        return Gate(
            "mergeable",
            False,
            _("the forge is still working out whether it merges"),
            _("ask again in a moment"),
        )
    if facts.pull.mergeable:
        return Gate("mergeable", True, _("no conflicts"))
    remedy = _("%(author)s resolves them and pushes") % {"author": escape(facts.pull.author)}
    return Gate("mergeable", False, _("conflicts"), remedy)


def checks_green(facts: MergeFacts) -> Gate:
    """Unknown is closed: a named check that is not there does not pass."""
    if facts.checks_required == "none":
        return Gate("checks_green", True, _("checks are not required"))
    if facts.checks_required == "required" and facts.pull.required_checks is None:
        fact = _("the forge does not tell which checks it requires")
        remedy = _("an operator chooses all checks, or names them, in the portal")
        return Gate("checks_green", False, fact, remedy)
    wanted, missing = _wanted_checks(facts)
    bad = [check for check in wanted if check.state is not CheckState.SUCCESS]
    if not bad and not missing:
        return Gate("checks_green", True, _("checks green"))
    parts = [_check_fact(check, facts) for check in bad]
    parts += [_("check %(name)s has not run") % {"name": escape(name)} for name in missing]
    remedy = _("`/test %(number)d %(repository)s` runs the test job again") % {
        "number": facts.number,
        "repository": facts.repository,
    }
    names = listed([*(escape(check.name) for check in bad), *map(escape, missing)])
    short = _("checks not green (%(names)s)") % {"names": names}
    return Gate("checks_green", False, "; ".join(parts), remedy, short)


def _wanted_checks(facts: MergeFacts) -> tuple[list[Check], list[str]]:
    checks, names = facts.pull.checks or (), facts.checks_required
    if names == "required":
        names = list(facts.pull.required_checks or ())
    if not isinstance(names, list):
        return list(checks), []
    there = {check.name for check in checks}
    wanted = [check for check in checks if check.name in names]
    return wanted, [name for name in names if name not in there]


def _check_fact(check: Check, facts: MergeFacts) -> str:
    name = link(escape(check.name), check.url)
    words = {
        CheckState.FAILURE: _("check %(name)s failed on %(sha)s"),
        CheckState.PENDING: _("check %(name)s is still running on %(sha)s"),
    }
    return words[check.state] % {"name": name, "sha": sha7(facts.pull.head_sha)}


def approvals(facts: MergeFacts) -> Gate:
    missing = facts.approvals_required - len(facts.approvers)
    if missing <= 0:
        if not facts.approvers:
            return Gate("approvals", True, _("no approval needed"))
        names = listed(sorted(facts.approvers))
        return Gate("approvals", True, _("approved by %(names)s") % {"names": escape(names)})
    remedy = _(
        "anyone with the right, but not the author: `/approve %(number)d %(repository)s`"
    ) % {
        "number": facts.number,
        "repository": facts.repository,
    }
    if missing == 1:
        return Gate("approvals", False, _("1 approval missing"), remedy)
    return Gate("approvals", False, _("%(count)d approvals missing") % {"count": missing}, remedy)


def tests_passed(facts: MergeFacts) -> Gate:
    """The forge's own test review (only Gitee has one): asked for, but not passed."""
    passed = sum(review.accepted for review in facts.pull.tests)
    if not (passed or facts.pull.tests_required):
        return Gate("tests_passed", True, _("no test needed"))
    if passed >= facts.pull.tests_required:
        return Gate("tests_passed", True, _("tests passed"))
    remedy = _("`/test %(number)d %(repository)s` runs the test job and marks them") % {
        "number": facts.number,
        "repository": facts.repository,
    }
    return Gate("tests_passed", False, _("tests not marked as passed"), remedy)


def nobody_objects(facts: MergeFacts) -> Gate:
    names = [escape(review.login) for review in facts.pull.reviews or () if review.objects]
    if not names:
        return Gate("nobody_objects", True, _("nobody asked for changes"))
    fact = _("%(names)s asked for changes") % {"names": listed(names)}
    return Gate("nobody_objects", False, fact, _("they look at it again, or withdraw it"))


def discussions_resolved(facts: MergeFacts) -> Gate:
    count = facts.pull.unresolved
    if not count:
        return Gate("discussions_resolved", True, _("no open discussions"))
    fact = _("%(count)d discussions not resolved") % {"count": count}
    if count == 1:
        fact = _("1 discussion not resolved")
    return Gate(
        "discussions_resolved", False, fact, _("whoever opened it, or the author, at the forge")
    )


def forge_agrees(facts: MergeFacts) -> Gate:
    """What the forge itself says and no other gate looks at."""
    if not facts.pull.blocks:
        return Gate("forge_agrees", True, _("nothing at the forge against it"))
    return Gate("forge_agrees", False, "; ".join(facts.pull.blocks))


MERGE_GATES: tuple[Callable[[MergeFacts], Gate], ...] = (
    still_open,
    head_unchanged,
    not_a_draft,
    mergeable,
    checks_green,
    tests_passed,
    approvals,
)
# Told only when they block: most pull requests have neither objections nor discussions.
OBJECTIONS: tuple[Callable[[MergeFacts], Gate], ...] = (
    nobody_objects,
    discussions_resolved,
    forge_agrees,
)


def judge(facts: MergeFacts) -> tuple[Gate, ...]:
    """Every gate's verdict, all of them, so that a person learns at once what blocks."""
    if facts.pull.state is not PullState.OPEN:
        return (still_open(facts),)
    against = blocking([gate(facts) for gate in OBJECTIONS])
    return (*(gate(facts) for gate in MERGE_GATES), *against)


def blocking(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    return tuple(gate for gate in gates if not gate.passed)
