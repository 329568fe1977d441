"""/prs and /pr: open pull requests with what blocks each, and one pull request in full."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.base import Argument, Attempt, Command, Done, Kind, Spec, Step
from bot.commands.offering import pull_offers
from bot.commands.reading import (
    Judged,
    completed,
    judge_completed,
    judged,
    label,
    read,
    repository_of,
    told,
)
from bot.runs.gates import Gate, blocking
from bot.wording import BLOCKED, DONE, escape, lines, link, sha7
from repos.forges.resources import PullRequest, PullState

MOST_SHOWN: Final = 20
MOST_LISTED: Final = 500
STALE_AFTER: Final = timedelta(days=14)


class Pulls(Command):
    spec = Spec(
        verb="prs",
        summary=gettext_lazy("lists open pull requests, each with what blocks it"),
        arguments=(
            Argument("repository", Kind.REPOSITORY),
            Argument("filter", Kind.CHOICE, choices=("mine", "ready", "stale")),
            Argument("page", Kind.PAGE, keyword="page"),
        ),
        aliases=("列表", "待合并"),
        examples=("/prs", "/prs shop", "/prs mine", "/prs shop page 2"),
    )

    def step(self, attempt: Attempt) -> Step:
        wanted = attempt.run.arguments.get("filter") or ""
        page = _filtered(attempt, wanted) if wanted else _newest(attempt)
        return Done(self._text(attempt, page))

    @staticmethod
    def _text(attempt: Attempt, page: "Page") -> str:
        name = repository_of(attempt).name
        only = _("Only the newest %(count)d were looked through.") % {"count": page.looked}
        only = only if page.looked else ""
        if not page.seen:
            nothing = NOTHING[attempt.run.arguments.get("filter") or ""]
            return lines(str(nothing) % {"repository": escape(name)}, only)
        first = _("**%(count)d open in %(repository)s**") % {
            "count": page.total,
            "repository": escape(name),
        }
        hidden = _("%(count)d shown · more: %(command)s") % {
            "count": len(page.seen),
            "command": f"`{_page_after(attempt)}`",
        }
        number = page.seen[0].pull.number
        details = _("%(command)s for details") % {"command": f"`/pr {number} {name}`"}
        return lines(first, *map(line, page.seen), hidden if page.more else "", only, details)


@dataclass(frozen=True)
class Page:
    """What is shown, of how many; looked: how many were looked through, 0 for all."""

    seen: list[Judged]
    total: int
    more: bool
    looked: int = 0


def _newest(attempt: Attempt) -> Page:
    """Reads no more than it shows."""
    end = _end(attempt)
    listed = attempt.forge().pulls(repository_of(attempt).path, limit=end)
    total = len(listed.items) if listed.total is None else listed.total
    seen = _judge(attempt, listed.items[end - MOST_SHOWN : end])
    return Page(seen, total, more=listed.more or total > end)


def _filtered(attempt: Attempt, wanted: str) -> Page:
    """What is filtered has to be looked through."""
    end = _end(attempt)
    listed = attempt.forge().pulls(repository_of(attempt).path, limit=MOST_LISTED)
    kept = [pull for pull in listed.items if KEEP[wanted](attempt, pull)]
    looked = len(listed.items) if listed.more else 0
    if wanted != "ready":
        seen = _judge(attempt, kept[end - MOST_SHOWN : end])
        return Page(seen, len(kept), more=len(kept) > end, looked=looked)
    judged_ones = _judge(attempt, kept)
    ready = [one for one in judged_ones if not blocking(one.gates)]
    if looked or len(judged_ones) < len(kept):
        looked = len(judged_ones)
    return Page(ready[end - MOST_SHOWN : end], len(ready), more=len(ready) > end, looked=looked)


def _end(attempt: Attempt) -> int:
    return int(attempt.run.arguments.get("page") or 1) * MOST_SHOWN


def _judge(attempt: Attempt, pulls: Sequence[PullRequest]) -> list[Judged]:
    """Each with its gates, as many as fit into a step."""
    return [judge_completed(attempt, pull) for pull in completed(attempt, pulls)]


def _page_after(attempt: Attempt) -> str:
    """The command that shows what comes next: /prs shop mine page 2."""
    wanted, page = attempt.run.arguments.get("filter"), attempt.run.arguments.get("page") or 1
    words = ["/prs", repository_of(attempt).name, wanted or "", f"page {int(page) + 1}"]
    return " ".join(word for word in words if word)


def line(seen: Judged) -> str:
    """#233 Fix payment callback · lisi · ✅ ready"""
    pull, blocks = seen.pull, blocking(seen.gates)
    name = link(f"#{pull.number}", pull.url)
    if not blocks:
        verdict = _("%(mark)s ready") % {"mark": DONE}
    else:
        verdict = f"{BLOCKED} " + " · ".join(gate.short or gate.fact for gate in blocks)
    return " · ".join([f"{name} {escape(pull.title)}", escape(pull.author), verdict])


def _mine(attempt: Attempt, pull: PullRequest) -> bool:
    person = attempt.run.person
    logins = person.forge_logins if person else {}
    own = str(logins.get(repository_of(attempt).forge.name, ""))
    return bool(own) and pull.author.casefold() == own.casefold()


def _stale(attempt: Attempt, pull: PullRequest) -> bool:
    return pull.updated_at is not None and attempt.now - pull.updated_at > STALE_AFTER


def _any(attempt: Attempt, pull: PullRequest) -> bool:
    return True


KEEP: Final[dict[str, Callable[[Attempt, PullRequest], bool]]] = {
    "": _any,
    "ready": _any,
    "mine": _mine,
    "stale": _stale,
}


NOTHING: Final = {
    "": gettext_lazy("Nothing is open in %(repository)s."),
    "ready": gettext_lazy("Nothing is ready to merge in %(repository)s."),
    "mine": gettext_lazy("Nothing of yours is open in %(repository)s."),
    "stale": gettext_lazy("Nothing in %(repository)s has waited longer than two weeks."),
}


class Pull(Command):
    spec = Spec(
        verb="pr",
        summary=gettext_lazy(
            "shows one pull request: author, head, checks, approvals, what blocks it"
        ),
        arguments=(
            Argument("number", Kind.NUMBER, required=True),
            Argument("repository", Kind.REPOSITORY),
        ),
        aliases=("查看",),
        examples=("/pr 233", "/pr shop#233"),
    )

    def step(self, attempt: Attempt) -> Step:
        pull = read(attempt)
        attempt.run.sha = pull.head_sha
        seen = judged(attempt, pull)
        head = _("%(author)s · %(head)s → %(base)s · %(sha)s") % {
            "author": escape(pull.author),
            "head": escape(pull.head_ref),
            "base": escape(pull.base_ref),
            "sha": sha7(pull.head_sha),
        }
        first = f"**{label(attempt, pull)}** {escape(pull.title)}"
        text = lines(first, head, *_gates(seen.gates), self._next(attempt, seen))
        return Done(text, offers=pull_offers(attempt, seen.pull))

    @staticmethod
    def _next(attempt: Attempt, seen: Judged) -> str:
        if seen.pull.state is not PullState.OPEN or blocking(seen.gates):
            return ""
        command = f"`/merge {seen.pull.number} {repository_of(attempt).name}`"
        return _("Next: %(commands)s") % {"commands": command}


def _gates(gates: Sequence[Gate]) -> list[str]:
    """What blocks, each with its way out, and all that is fine in one line; the head is told above."""
    fine = [gate.fact for gate in gates if gate.passed and gate.name != "head_unchanged"]
    shown = [f"{BLOCKED} {told(gate)}" for gate in blocking(gates)]
    return [*shown, f"{DONE} {' · '.join(fine)}" if fine else ""]
