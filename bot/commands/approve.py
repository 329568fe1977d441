"""/approve: approves one head at the forge, never one's own."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.base import (
    Again,
    Argument,
    Attempt,
    Call,
    Command,
    Done,
    Intent,
    Json,
    Kind,
    Refusal,
    Spec,
    Step,
    Target,
)
from bot.commands.reading import label, read, repository_of
from bot.runs.models import Run
from bot.wording import BLOCKED, DONE, escape, lines, sha7
from repos.errors import HeadMoved
from repos.forges.resources import PullRequest, PullState


class Approve(Command):
    spec = Spec(
        verb="approve",
        summary=gettext_lazy("approves a pull request's head, never your own"),
        arguments=(
            Argument("number", Kind.NUMBER, required=True),
            Argument("repository", Kind.REPOSITORY),
        ),
        aliases=("批准", "通过", "审批", "lgtm"),
        examples=("/approve 233", "/approve 233 shop", "/批准 233"),
        changes=True,
    )

    def key(self, call: Call, target: Target) -> str:
        return f"pull:{target.repository}:{target.number}"

    def step(self, attempt: Attempt) -> Step:
        try:
            approved = attempt.effect(
                "approve",
                prepare=lambda: self._prepare(attempt),
                send=lambda facts: self._send(attempt, facts),
                find=lambda facts: self._find(attempt, facts),
                again=Again.SAFE,
            )
        except HeadMoved as moved:
            text = moved_text(attempt, old=moved.expected, new=moved.found)
            raise Refusal(lines(text, moved.sentence), reason="head_moved") from moved
        text = _("%(mark)s Approved %(target)s at %(sha)s") % {
            "mark": DONE,
            "target": escape(attempt.run.target),
            "sha": sha7(approved["sha"]),
        }
        again = _("Next: %(commands)s") % {
            "commands": f"`/merge {attempt.run.number} {repository_of(attempt).name}`"
        }
        return Done(lines(text, again), reason="approved", observed_sha=approved["sha"])

    def _prepare(self, attempt: Attempt) -> Intent:
        pull = read(attempt)
        attempt.run.sha = pull.head_sha
        if pull.state is not PullState.OPEN:
            raise Refusal(_not_open(attempt, pull), reason="not_open")
        self._refuse_own(attempt, pull)
        seen = attempt.run.progress.get("pinned") or _last_seen(attempt)
        if seen and seen != pull.head_sha:
            text = moved_text(attempt, old=seen, new=pull.head_sha)
            raise Refusal(text, reason="head_moved")
        return Intent({"sha": pull.head_sha}, sha=pull.head_sha)

    def _refuse_own(self, attempt: Attempt, pull: PullRequest) -> None:
        """Whoever's login at the forge we do not know might be the author, so they may not approve."""
        forge = repository_of(attempt).forge.name
        person = attempt.run.person
        login = person.forge_logins.get(forge) if person else None
        if login is None:
            text = _(
                "%(mark)s Not approved: %(target)s\nYour login at %(forge)s is not known here, so nobody can"
                " tell whether this is your own. Ask an operator to add it to your person."
            ) % {"mark": BLOCKED, "target": label(attempt, pull), "forge": escape(forge)}
            raise Refusal(text, reason="login_unknown")
        if login == pull.author:
            text = _(
                "%(mark)s Not approved: %(target)s\nIt is your own pull request; somebody else has to approve it."
            ) % {"mark": BLOCKED, "target": label(attempt, pull)}
            raise Refusal(text, reason="self_approval")

    def _send(self, attempt: Attempt, facts: Json) -> Json:
        attempt.forge().approve(
            repository_of(attempt).path, attempt.run.number or 0, sha=facts["sha"]
        )
        return {"sha": facts["sha"]}

    def _find(self, attempt: Attempt, facts: Json) -> Json | None:
        pull = read(attempt)
        if pull.head_sha != facts["sha"]:
            raise HeadMoved("", expected=facts["sha"], found=pull.head_sha)
        if pull.state is not PullState.OPEN:
            raise Refusal(_not_open(attempt, pull), reason="not_open")
        path = repository_of(attempt).path
        approved = attempt.forge().approved(path, pull.number, sha=facts["sha"])
        return {"sha": facts["sha"]} if approved else None


def _last_seen(attempt: Attempt) -> str:
    """The head that this person was last shown of this pull request, by any command."""
    run = attempt.run
    earlier = Run.objects.filter(
        person=run.person, repository=run.repository, number=run.number, pk__lt=run.pk
    ).exclude(sha="")
    return earlier.order_by("-pk").values_list("sha", flat=True).first() or ""


def _not_open(attempt: Attempt, pull: PullRequest) -> str:
    words = {PullState.MERGED: _("it is already merged"), PullState.CLOSED: _("it is closed")}
    return _("%(mark)s Not approved: %(target)s, %(why)s.") % {
        "mark": BLOCKED,
        "target": label(attempt, pull),
        "why": words[pull.state],
    }


def moved_text(attempt: Attempt, *, old: str, new: str) -> str:
    return _(
        "%(mark)s Not approved: %(target)s has moved from %(old)s to %(new)s since you looked."
        " Look again: `/pr %(number)d %(repository)s`"
    ) % {
        "mark": BLOCKED,
        "target": escape(attempt.run.target),
        "old": sha7(old),
        "new": sha7(new),
        "number": attempt.run.number,
        "repository": repository_of(attempt).name,
    }
