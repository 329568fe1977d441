"""/link: the account it is typed from belongs, from then on, to the person whose code it is."""

from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.changes import Change, differences
from audit.record import Event, Fact, record
from bot.commands.base import (
    Argument,
    Attempt,
    Call,
    Command,
    Done,
    Kind,
    Refusal,
    Spec,
    Step,
    Target,
)
from bot.people.linking import MOST_TRIES, Result, Use, Where, end_code, name_of, use_code
from bot.people.models import Person
from bot.runs.models import Run, RunState
from bot.runs.story import fact
from bot.wording import BLOCKED, DONE, escape, lines

# So long an account that has typed too many wrong codes waits.
WAITS: Final = timedelta(minutes=10)
# Comments are read by everybody who sees the repository; on the console nobody has an account.
NOT_FROM: Final = frozenset({"comments", "console"})


class Link(Command):
    """Changes nothing outside, so it is no `changes`: its ten minutes are the code's own.

    There is nothing to try again either: a code works once, and is taken out of the run.
    """

    spec = Spec(
        verb="link",
        summary=gettext_lazy("links this chat account to you, with a code from the portal"),
        arguments=(Argument("code", Kind.TEXT, word="CODE"),),
        aliases=("绑定", "关联"),
        examples=("/link K7MQ-2RTX", "/绑定 K7MQ-2RTX"),
        open_to_all=True,
    )

    def key(self, call: Call, target: Target) -> str:
        """Whoever reads a code in a group and types it too comes after whoever typed it first."""
        return f"link:{name_of(str(call.arguments.get('code', '')))}"

    def step(self, attempt: Attempt) -> Step:
        run = attempt.run
        if "link" not in run.progress:
            self._use(attempt, str(run.arguments.get("code", "")))
        return _told(run)

    @staticmethod
    def _use(attempt: Attempt, typed: str) -> None:
        run = attempt.run
        with transaction.atomic():
            outcome, facts = _outcome(run, typed)
            attempt.remember(link=outcome)
            _take_out_code(run)
            record(*facts)


def _outcome(run: Run, typed: str) -> tuple[dict[str, str], list[Fact]]:
    """The outcome for the reply, also of a later turn, and what the record is told of it."""
    if not typed:
        return {"result": "no_code"}, []
    if run.platform in NOT_FROM or not run.account:
        end_code(typed)
        return {"result": "not_here"}, []
    if _has_tried_too_often(run):
        return {"result": "too_many_codes"}, []
    use = use_code(typed, Where(run.platform, run.tenant, run.account))
    told = {"result": use.result.value}
    if use.person is not None and use.result is not Result.WRONG:
        told["person"] = use.person.name
    return told, _facts(run, use)


def _has_tried_too_often(run: Run) -> bool:
    tries = Run.objects.filter(
        platform=run.platform,
        tenant=run.tenant,
        account=run.account,
        command=run.command,
        reason=Result.WRONG,
        accepted_at__gt=timezone.now() - WAITS,
    )
    return tries.exclude(pk=run.pk).count() >= MOST_TRIES


def _take_out_code(run: Run) -> None:
    """In one transaction with its use: a crash keeps both or neither."""
    ours = Run.objects.filter(pk=run.pk, attempt=run.attempt, state=RunState.RUNNING)
    if not ours.update(arguments={}, progress=run.progress):
        raise LookupError("another worker has taken this run over")
    run.arguments = {}


def _facts(run: Run, use: Use) -> list[Fact]:
    """As an operator's edit is recorded, by the person whose code it was; and what was refused."""
    if use.person is not None and use.changes:
        return [_changed(run, use.person, change) for change in use.changes]
    if use.result is Result.YOURS:
        return []
    about = {"target_kind": "person", "target": use.person.name} if use.person else {}
    columns = {"outcome": "denied", "rule": "link code", "text": "", **about}
    return [fact(run, Event.ACCESS_DENIED, reason=use.result.value, **columns)]


def _changed(run: Run, person: Person, change: Change) -> Fact:
    return fact(
        run,
        Event.CONFIG_CHANGED,
        person=person.name,
        target_kind=change.target_kind,
        target=change.target,
        reason=change.reason,
        changes=differences(change.before, change.after),
        detail="one-time code",
        text="",
    )


def _told(run: Run) -> Done:
    """The reply; in a group everybody reads it, so it says whose account it is and no more."""
    told = run.progress["link"]
    names = {"mark": DONE, "person": escape(told.get("person", ""))}
    if told["result"] == Result.LINKED:
        first = _("%(mark)s This account now belongs to %(person)s") % names
        account = f"{run.platform} {escape(run.account)}"
        return Done(lines(first, account, _next()), reason=told["result"])
    if told["result"] == Result.YOURS:
        text = _("%(mark)s This account belongs to %(person)s already") % names
        return Done(lines(text, _next()), reason=told["result"])
    raise Refusal(_refused(told["result"]), reason=told["result"])


def _next() -> str:
    return _("Next: %(commands)s") % {"commands": "`/help`"}


def _refused(result: str) -> str:
    way = _("Sign in to the portal, open Link a chat account, and type here what it shows.")
    texts = {
        "no_code": (_("%(mark)s Not linked: that takes a one-time code"), way),
        "not_here": (
            _("%(mark)s Not linked: a code works only in chat, never in a comment"),
            _("If it was a right one, it has ended now. Make a new one."),
        ),
        "too_many_codes": (
            _("%(mark)s Not linked: %(count)d wrong codes came from this account"),
            _("Wait 10 minutes, then make a new one."),
        ),
        Result.TAKEN: (
            _("%(mark)s Not linked: this account belongs to somebody else already"),
            _("An operator can move it. The code has ended."),
        ),
    }
    wrong = (_("%(mark)s Not linked: the code is wrong, used, or older than 10 minutes"), way)
    text, more = texts.get(result, wrong)
    return lines(text % {"mark": BLOCKED, "count": MOST_TRIES}, more)
