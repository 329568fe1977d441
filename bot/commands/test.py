"""/test: runs the repository's test job on a pull request's head; on success marks its tests as passed."""

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
from bot.commands.following import (
    Followed,
    build_link,
    failure,
    follow,
    intend,
    parameters,
    values_of,
)
from bot.commands.reading import label, read, repository_of
from bot.runs.models import RunState
from bot.wording import BLOCKED, DONE, duration, escape, lines, sha7
from repos.builds import Result
from repos.errors import HeadMoved, NotSupported, Refused
from repos.forges.resources import PullState
from repos.models import Job


class Test(Command):
    spec = Spec(
        verb="test",
        summary=gettext_lazy(
            "runs the test job on a pull request's head and marks its tests as passed"
        ),
        arguments=(
            Argument("number", Kind.NUMBER, required=True),
            Argument("repository", Kind.REPOSITORY),
        ),
        aliases=("测试",),
        examples=("/test 233", "/test 233 shop", "/测试 233"),
        changes=True,
    )

    def key(self, call: Call, target: Target) -> str:
        return f"test:{target.repository}:{target.number}"

    def step(self, attempt: Attempt) -> Step:
        job = repository_of(attempt).test_job
        if job is None:
            raise Refusal(_no_job(attempt), reason="no_test_job")
        followed = follow(
            attempt, job, lambda: self._prepare(attempt, job), doing=lambda: self._doing(attempt)
        )
        if not isinstance(followed, Followed):
            return followed
        if followed.build.result is not Result.SUCCESS:
            return self._failed(attempt, job, followed)
        return self._mark(attempt, followed)

    def _prepare(self, attempt: Attempt, job: Job) -> Intent:
        pull = read(attempt)
        if pull.state is not PullState.OPEN:
            text = _("%(mark)s Not tested: %(target)s is not open any more.")
            raise Refusal(
                text % {"mark": BLOCKED, "target": label(attempt, pull)}, reason="not_open"
            )
        seen = attempt.run.progress.get("pinned", pull.head_sha)
        if seen != pull.head_sha:
            raise Refusal(_moved_since(attempt, seen, pull.head_sha), reason="head_moved")
        attempt.run.sha = pull.head_sha
        filled = parameters(job, values_of(attempt, sha=pull.head_sha, ref=pull.head_ref))
        return intend(job, filled, sha=pull.head_sha)

    @staticmethod
    def _doing(attempt: Attempt) -> str:
        return _("Testing %(target)s at %(sha)s") % {
            "target": escape(attempt.run.target),
            "sha": sha7(attempt.run.sha),
        }

    def _failed(self, attempt: Attempt, job: Job, followed: Followed) -> Done:
        run = attempt.run
        first = _("Tests failed: %(target)s at %(sha)s") % {
            "target": escape(run.target),
            "sha": sha7(run.sha),
        }
        again = f"`/test {run.number} {repository_of(attempt).name}` · `/log {run.pk}`"
        return failure(attempt, job, followed, first=first, last=again)

    def _mark(self, attempt: Attempt, followed: Followed) -> Done:
        """The second effect: only for the head that was tested."""
        run = attempt.run
        try:
            attempt.effect(
                "mark",
                prepare=lambda: Intent({"sha": run.sha, "url": followed.build.url}, sha=run.sha),
                send=lambda facts: self._send_mark(attempt, facts),
                find=lambda facts: self._find_mark(attempt, facts),
                again=Again.SAFE,
            )
        except HeadMoved as moved:
            return self._moved(attempt, moved)
        except NotSupported as problem:
            return self._passed(attempt, followed, problem.sentence)
        except Refused as problem:
            return self._not_marked(attempt, problem.sentence)
        return self._passed(attempt, followed)

    @staticmethod
    def _passed(attempt: Attempt, followed: Followed, remark: str = "") -> Done:
        run = attempt.run
        text = _("%(mark)s Tests passed: %(target)s at %(sha)s · %(build)s · %(took)s") % {
            "mark": DONE,
            "target": escape(run.target),
            "sha": sha7(run.sha),
            "build": build_link(followed.build),
            "took": duration(followed.build.duration),
        }
        again = _("Next: %(commands)s") % {
            "commands": f"`/merge {run.number} {repository_of(attempt).name}`"
        }
        return Done(lines(text, remark, again), reason="tests_passed", observed_sha=run.sha)

    def _send_mark(self, attempt: Attempt, facts: Json) -> Json:
        attempt.forge().pass_tests(
            repository_of(attempt).path,
            attempt.run.number or 0,
            sha=facts["sha"],
            name=self._status_name(attempt),
            url=facts["url"],
        )
        return {"sha": facts["sha"]}

    def _find_mark(self, attempt: Attempt, facts: Json) -> Json | None:
        passed = attempt.forge().tests_passed(
            repository_of(attempt).path,
            attempt.run.number or 0,
            sha=facts["sha"],
            name=self._status_name(attempt),
        )
        return {"sha": facts["sha"]} if passed else None

    @staticmethod
    def _status_name(attempt: Attempt) -> str:
        job = repository_of(attempt).test_job
        return job.name if job else "chatops/test"

    def _moved(self, attempt: Attempt, moved: HeadMoved) -> Done:
        text = _(
            "%(mark)s Tests passed on %(old)s, but %(target)s has moved to %(new)s meanwhile; nothing was marked."
            " Test again: `/test %(number)d %(repository)s`"
        ) % {
            "mark": BLOCKED,
            "old": sha7(moved.expected),
            "new": sha7(moved.found),
            "target": escape(attempt.run.target),
            "number": attempt.run.number,
            "repository": repository_of(attempt).name,
        }
        return Done(text, state=RunState.REFUSED, reason="head_moved")

    def _not_marked(self, attempt: Attempt, why: str) -> Done:
        text = lines(
            _("%(mark)s Tests passed, but could not be marked as passed: %(target)s")
            % {"mark": BLOCKED, "target": escape(attempt.run.target)},
            why,
        )
        return Done(text, state=RunState.FAILED, reason="not_marked")


def _no_job(attempt: Attempt) -> str:
    return _(
        "%(mark)s Not tested: %(target)s\nThe repository %(repository)s has no test job yet. An operator sets it"
        " in the portal, under Repositories."
    ) % {
        "mark": BLOCKED,
        "target": escape(attempt.run.target),
        "repository": escape(repository_of(attempt).name),
    }


def _moved_since(attempt: Attempt, old: str, new: str) -> str:
    return _(
        "%(mark)s Not tested: %(target)s has moved from %(old)s to %(new)s since you looked."
        " Look again: `/pr %(number)d %(repository)s`"
    ) % {
        "mark": BLOCKED,
        "target": escape(attempt.run.target),
        "old": sha7(old),
        "new": sha7(new),
        "number": attempt.run.number,
        "repository": repository_of(attempt).name,
    }
