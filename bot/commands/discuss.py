"""/comment, /close and /reopen: small changes of a pull request, each recognised again after a crash."""

from abc import abstractmethod
from typing import ClassVar

from django.utils.functional import Promise
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
from bot.wording import BLOCKED, DONE, escape, link
from repos.forges.resources import PullState

PULL = (
    Argument("number", Kind.NUMBER, required=True),
    Argument("repository", Kind.REPOSITORY),
)


class OnPull(Command):
    def key(self, call: Call, target: Target) -> str:
        return f"pull:{target.repository}:{target.number}"


class Comment(OnPull):
    spec = Spec(
        verb="comment",
        summary=gettext_lazy("comments on a pull request in your name"),
        arguments=(
            Argument("number", Kind.NUMBER, required=True),
            Argument("text", Kind.TEXT, required=True),
            Argument("repository", Kind.REPOSITORY),
        ),
        aliases=("评论",),
        examples=(
            "/comment 233 please add a test",
            "/comment shop#233 done",
            "/评论 233 请补一个测试",
        ),
        changes=True,
    )

    def step(self, attempt: Attempt) -> Step:
        comment = attempt.effect(
            "comment",
            prepare=lambda: Intent({"body": self._body(attempt), "sign": _sign(attempt)}),
            send=lambda facts: self._send(attempt, facts),
            find=lambda facts: self._find(attempt, facts),
            again=Again.SAFE,
        )
        text = _("%(mark)s Commented on %(target)s") % {
            "mark": DONE,
            "target": link(escape(attempt.run.target), comment["url"]),
        }
        return Done(text, reason="commented", external={"url": comment["url"]})

    @staticmethod
    def _body(attempt: Attempt) -> str:
        return f"{attempt.run.arguments['text']}\n\n{_sign(attempt)}"

    def _send(self, attempt: Attempt, facts: Json) -> Json:
        made = attempt.forge().comment(
            repository_of(attempt).path, attempt.run.number or 0, facts["body"]
        )
        return {"id": made.id, "url": made.url}

    def _find(self, attempt: Attempt, facts: Json) -> Json | None:
        newest = attempt.forge().comments(repository_of(attempt).path, attempt.run.number or 0)
        ours = [comment for comment in newest if facts["sign"] in comment.body]
        return {"id": ours[0].id, "url": ours[0].url} if ours else None


def _sign(attempt: Attempt) -> str:
    run = attempt.run
    return f"— {run.actor} · ChatOps run {run.pk} · {run.accepted_at:%Y-%m-%d %H:%M:%S} UTC"


class ChangeState(OnPull):
    """Closing and reopening: the wanted state is its own trace."""

    wanted: ClassVar[PullState]
    done: ClassVar[str | Promise]

    @abstractmethod
    def change(self, attempt: Attempt, path: str, number: int) -> None: ...

    def step(self, attempt: Attempt) -> Step:
        attempt.effect(
            "state",
            prepare=lambda: self._prepare(attempt),
            send=lambda facts: self._send(attempt),
            find=lambda facts: self._find(attempt),
            again=Again.SAFE,
        )
        return Done(
            str(self.done) % {"mark": DONE, "target": escape(attempt.run.target)},
            reason=self.spec.verb,
        )

    def _prepare(self, attempt: Attempt) -> Intent:
        pull = read(attempt)
        if pull.state in {self.wanted, PullState.MERGED}:
            words = {
                PullState.OPEN: _("%(mark)s Nothing to do: %(target)s is open."),
                PullState.CLOSED: _("%(mark)s Nothing to do: %(target)s is closed."),
                PullState.MERGED: _("%(mark)s Nothing to do: %(target)s is merged."),
            }
            text = words[pull.state] % {"mark": BLOCKED, "target": label(attempt, pull)}
            raise Refusal(text, reason="nothing_to_do")
        return Intent({"wanted": self.wanted}, sha=pull.head_sha)

    def _send(self, attempt: Attempt) -> Json:
        self.change(attempt, repository_of(attempt).path, attempt.run.number or 0)
        return {"state": self.wanted}

    def _find(self, attempt: Attempt) -> Json | None:
        return {"state": self.wanted} if read(attempt).state is self.wanted else None


class Close(ChangeState):
    spec = Spec(
        verb="close",
        summary=gettext_lazy("closes a pull request without merging it"),
        arguments=PULL,
        aliases=("关闭",),
        examples=("/close 233", "/关闭 233"),
        changes=True,
    )
    wanted = PullState.CLOSED
    done = gettext_lazy("%(mark)s Closed %(target)s")

    def change(self, attempt: Attempt, path: str, number: int) -> None:
        attempt.forge().close(path, number)


class Reopen(ChangeState):
    spec = Spec(
        verb="reopen",
        summary=gettext_lazy("opens a closed pull request again"),
        arguments=PULL,
        aliases=("重新打开",),
        examples=("/reopen 233", "/重新打开 233"),
        changes=True,
    )
    wanted = PullState.OPEN
    done = gettext_lazy("%(mark)s Reopened %(target)s")

    def change(self, attempt: Attempt, path: str, number: int) -> None:
        attempt.forge().reopen(path, number)
