"""/merge: lands the head that was checked, after all gates, once."""

from collections.abc import Sequence

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
from bot.commands.reading import judged, label, read, repository_of, told
from bot.runs.gates import Gate, blocking
from bot.runs.models import RunState
from bot.wording import BLOCKED, DONE, UNKNOWN, duration, escape, lines, sha7
from repos.errors import HeadMoved, OtherHeadMerged, Refused
from repos.forges.resources import Commit, PullRequest, PullState
from repos.models import MergeMethod, Purpose, Service


class Merge(Command):
    spec = Spec(
        verb="merge",
        summary=gettext_lazy("merges a pull request's head after all gates"),
        arguments=(
            Argument("number", Kind.NUMBER, required=True),
            Argument("repository", Kind.REPOSITORY),
            Argument("method", Kind.CHOICE, choices=tuple(MergeMethod.values)),
        ),
        aliases=("合并", "合入"),
        examples=("/merge 233", "/merge 233 shop squash", "/合并 233"),
        changes=True,
    )

    def key(self, call: Call, target: Target) -> str:
        return f"pull:{target.repository}:{target.number}"

    def step(self, attempt: Attempt) -> Step:
        try:
            merged = attempt.effect(
                "merge",
                prepare=lambda: self._prepare(attempt),
                send=lambda facts: self._send(attempt, facts),
                find=lambda facts: self._find(attempt, facts),
                again=Again.SAFE,
            )
        except OtherHeadMerged as worst:
            return self._other_head(attempt, worst)
        except HeadMoved as moved:
            raise Refusal(_moved(attempt, moved), reason="head_moved") from moved
        except Refused as refused:
            pull = read(attempt)
            if pull.state is PullState.OPEN:
                raise
            raise self._by_other(attempt, pull) from refused
        return self._doubtful(attempt) if merged.get("doubtful") else self._told(attempt, merged)

    def _prepare(self, attempt: Attempt) -> Intent:
        pull = read(attempt)
        pinned = attempt.run.progress.get("pinned") or pull.head_sha
        attempt.remember(pinned=pinned)
        attempt.run.sha = pinned
        seen = judged(attempt, pull, pinned_sha=pinned)
        if blocking(seen.gates):
            raise Refusal(blocked(attempt, pull, seen.gates), reason="gates", gates=seen.gates)
        method = attempt.run.arguments.get("method") or repository_of(attempt).merge_method
        facts = {
            "sha": pinned,
            "method": method,
            "base": pull.base_ref,
            "base_sha": pull.base_sha,
            "marker": marker(attempt),
        }
        return Intent(facts, sha=pinned, gates=seen.gates)

    def _send(self, attempt: Attempt, facts: Json) -> Json:
        merged = attempt.forge().merge(
            repository_of(attempt).path,
            attempt.run.number or 0,
            sha=facts["sha"],
            method=facts["method"],
            marker=facts["marker"],
        )
        return {"merge_sha": merged.sha, "base": facts["base"], "method": facts["method"]}

    def _find(self, attempt: Attempt, facts: Json) -> Json | None:
        """None only while the same head is still open: then merging again is right."""
        pull = read(attempt)
        if pull.state is PullState.OPEN and pull.head_sha == facts["sha"]:
            return None
        if pull.state is PullState.OPEN:
            raise HeadMoved("", expected=facts["sha"], found=pull.head_sha)
        known = {"base": facts["base"], "method": facts["method"]}
        if pull.state is PullState.MERGED and facts["method"] == MergeMethod.REBASE:
            return known | {"merge_sha": pull.merge_sha, "doubtful": True}
        landed = self._landed(attempt, pull, facts) if pull.state is PullState.MERGED else None
        if landed is None:
            raise self._by_other(attempt, pull)
        if pull.head_sha != facts["sha"] and facts["sha"] not in landed.parents:
            raise OtherHeadMerged(
                "", expected=facts["sha"], found=pull.head_sha, merge_sha=landed.sha
            )
        return known | {"merge_sha": landed.sha}

    @staticmethod
    def _landed(attempt: Attempt, pull: PullRequest, facts: Json) -> Commit | None:
        """The commit on the base branch that carries our marker."""
        path = repository_of(attempt).path
        since = attempt.forge().compare(path, facts["base_sha"], pull.base_ref).commits
        return next((commit for commit in since if facts["marker"] in commit.message), None)

    @staticmethod
    def _by_other(attempt: Attempt, pull: PullRequest) -> Refusal:
        gates = judged(attempt, pull).gates
        return Refusal(blocked(attempt, pull, gates), reason="done_by_other", gates=gates)

    @staticmethod
    def _doubtful(attempt: Attempt) -> Done:
        """A rebase has no place for our marker, so that ours cannot be told from somebody else's."""
        text = _(
            "%(mark)s Outcome unknown: %(target)s is merged by now, but no answer came to our request, and a"
            " rebase leaves no trace of who did it. Look there yourself before you go on."
        ) % {"mark": UNKNOWN, "target": escape(attempt.run.target)}
        return Done(text, state=RunState.UNKNOWN, reason="outcome_unknown")

    def _told(self, attempt: Attempt, merged: Json) -> Done:
        run = attempt.run
        took = duration((attempt.now - run.accepted_at).total_seconds())
        first = _("%(mark)s Merged %(target)s into %(base)s as %(sha)s · %(method)s · %(took)s") % {
            "mark": DONE,
            "target": escape(run.target),
            "base": escape(merged["base"]),
            "sha": sha7(merged["merge_sha"]),
            "method": merged["method"],
            "took": took,
        }
        return Done(
            lines(first, _next(attempt)),
            reason="merged",
            external={"merge_sha": merged["merge_sha"]},
            observed_sha=run.sha,
        )

    def _other_head(self, attempt: Attempt, worst: OtherHeadMerged) -> Done:
        text = lines(
            _("%(mark)s ATTENTION: another commit than the checked one was merged: %(target)s")
            % {"mark": BLOCKED, "target": escape(attempt.run.target)},
            _(
                "Checked was %(expected)s, merged was %(found)s, as %(merge)s. Someone pushed in between."
            )
            % {
                "expected": sha7(worst.expected),
                "found": sha7(worst.found),
                "merge": sha7(worst.merge_sha),
            },
            _(
                "Look at the difference now; if it should not be there, revert it. Do not deploy before that."
            ),
        )
        return Done(
            text,
            state=RunState.FAILED,
            reason="merged_other_sha",
            external={"merge_sha": worst.merge_sha},
            observed_sha=worst.found,
        )


def marker(attempt: Attempt) -> str:
    """Left in the merge commit's message, so that the merge can be recognised as this run's."""
    run = attempt.run
    return f"Merged for {run.actor} by ChatOps run {run.pk} of {run.accepted_at:%Y-%m-%dT%H:%M:%S}"


def blocked(attempt: Attempt, pull: PullRequest, gates: Sequence[Gate]) -> str:
    """Everything that blocks, at once, each with who or what can lift it."""
    first = _("%(mark)s Not merged: %(target)s") % {"mark": BLOCKED, "target": label(attempt, pull)}
    return lines(first, *[f"· {told(gate)}" for gate in blocking(gates)])


def _moved(attempt: Attempt, moved: HeadMoved) -> str:
    run = attempt.run
    return _(
        "%(mark)s Not merged: %(target)s has moved from %(old)s to %(new)s since you asked."
        " Look again: `/pr %(number)d %(repository)s`"
    ) % {
        "mark": BLOCKED,
        "target": escape(run.target),
        "old": sha7(moved.expected),
        "new": sha7(moved.found),
        "number": run.number,
        "repository": repository_of(attempt).name,
    }


def _next(attempt: Attempt) -> str:
    """The deployment of what was merged, if a service of this repository can be deployed."""
    services = Service.objects.filter(
        repository=repository_of(attempt), job__purpose=Purpose.DEPLOY
    ).distinct()
    names = [service.name for service in services[:3]]
    return (
        _("Next: %(commands)s") % {"commands": " · ".join(f"`/deploy {n}`" for n in names)}
        if names
        else ""
    )
