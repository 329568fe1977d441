"""What becomes of a message: parsed, resolved, authorised. Reads only; dispatch writes the verdict down."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from bot import language
from bot.commands.base import Call, Kind, Spec, Target
from bot.commands.offering import choices_of
from bot.commands.registry import commands, specs
from bot.commands.targets import NoSuch, Place, Several, names_of, near, resolve
from bot.people.models import AccessRequest, Person
from bot.people.permissions import (
    Ask,
    Decision,
    GrantFact,
    decide,
    facts_of,
    roles_that_may,
    who_may,
)
from bot.phrasing import Misread, NotACommand
from bot.platforms.base import IncomingMessage
from bot.runs.buttons import Offer
from bot.runs.models import UNFINISHED, Run
from bot.wording import BLOCKED, code, escape, lines, listed, sentences
from chatops_site.kit.prepared import Select

# A command that changes things is not run when its message is older, or when it has waited longer.
CHANGING_FOR: Final = timedelta(minutes=15)
READING_FOR: Final = timedelta(hours=1)
# Nobody needs more at once; /cancel stays open, so that one can make room.
MOST_UNFINISHED: Final = 20
MAKES_ROOM: Final = frozenset({"cancel"})
# So long one notice of it is enough.
NOTICED_FOR: Final = timedelta(minutes=1)
TOO_MANY: Final = "too_many"
# Messages of one account, whatever they ask; strangers, who may be anybody where comments are public, fewer.
MOST_A_MINUTE: Final = 60
MOST_OF_A_STRANGER: Final = 5
STRANGERS_WAIT: Final = timedelta(minutes=10)
TOO_FAST: Final = "too_fast"
NO_CALL: Final = Call("", {}, "")


@dataclass(frozen=True)
class Verdict:
    """refused: the whole reply of a message that is not carried out; "" when it is accepted."""

    call: Call = NO_CALL
    spec: Spec | None = None
    target: Target = field(default_factory=Target)
    refused: str = ""
    reason: str = ""
    rule: str = ""
    retry_of: Run | None = None
    # A stranger asked: an access request is due.
    stranger: bool = False
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True)
class Asker:
    """Who asks from where, as far as the verdict needs it."""

    person: Person | None
    account: str
    conversation: str
    place: Place
    now: datetime


def judge(message: IncomingMessage, asker: Asker) -> Verdict | NotACommand:
    """The verdict on a message; NotACommand when it is to be left without an answer.

    That is when nobody spoke to the bot in its language, or somebody goes on after too many or too fast.
    """
    read = language.parse(message.text, specs())
    if isinstance(read, NotACommand):
        return read
    if _is_too_fast(message, asker):
        return _too_fast(asker)
    if isinstance(read, Misread):
        if asker.person is None:
            return _stranger(message, asker, NO_CALL)
        return Verdict(refused=f"{BLOCKED} {read.sentence}", reason=f"misread_{read.reason}")
    spec = commands()[read.verb].spec
    if asker.person is None and not spec.open_to_all:
        return replace(_stranger(message, asker, read), spec=spec)
    if spec.changes and asker.now - message.sent_at > CHANGING_FOR:
        return Verdict(call=read, spec=spec, refused=_stale(read), reason="stale_command")
    if spec.changes and spec.verb not in MAKES_ROOM and _has_too_many(asker):
        return _too_many(read, spec, asker)
    return _judge_call(read, spec, asker)


def _judge_call(asked: Call, spec: Spec, asker: Asker) -> Verdict:
    grants = facts_of(asker.person.pk if asker.person else None)
    call = asked
    try:
        repeated = _repeated(asked)
        if repeated is not None:
            call, spec = _call_of(repeated), commands()[repeated.command].spec
        target = _target_of(repeated) if repeated else resolve(call, spec, asker.place)
    except NoSuch as unknown:
        return _unknown(asked, spec, unknown, asker, grants)
    except Several as several:
        return _menu(asked, spec, several, asker, grants)
    verdict = Verdict(call=call, spec=spec, target=target, retry_of=repeated)
    ask = _ask(spec.verb, target, asker)
    decision = _decide(ask, asker, grants, open_to_all=spec.open_to_all)
    if not decision.allowed:
        return replace(
            verdict,
            refused=_denied(asked, spec, ask, asker, grants),
            reason=f"denied_{decision.reason}",
            rule=decision.rule,
        )
    objection = commands()[asked.verb].objection(repeated) if repeated else ""
    return replace(
        verdict,
        refused=objection,
        reason="not_repeatable" if objection else "",
        rule=decision.rule,
    )


def _repeated(asked: Call) -> Run | None:
    """The run whose call takes this one's place, if it is of a command that there is."""
    repeated = commands()[asked.verb].stands_for(asked)
    if repeated is not None and repeated.command not in commands():
        raise NoSuch(Kind.RUN, str(repeated.pk))
    return repeated


def _is_too_fast(message: IncomingMessage, asker: Asker) -> bool:
    """Whether the last so many of this account came within the time; the console is an operator's."""
    if message.platform == "console":
        return False
    sender = message.sender
    known = asker.person is not None
    last, within = (_SIXTIETH, NOTICED_FOR) if known else (_FIFTH, STRANGERS_WAIT)
    found = last.first(message.platform, sender.tenant, sender.id)
    return found is not None and asker.now - found[0] < within


def _nth_last(number: int) -> Select:
    """When the run was accepted that is so many back, of (platform, tenant, account)."""
    return Select(
        lambda platform, tenant, account: (
            Run.objects.filter(platform=platform, tenant=tenant, account=account)
            .order_by("-id")
            .values_list("accepted_at")[number - 1 : number]
        ),
        "a platform",
        "a tenant",
        "an account",
    )


_SIXTIETH: Final = _nth_last(MOST_A_MINUTE)
_FIFTH: Final = _nth_last(MOST_OF_A_STRANGER)


def _has_too_many(asker: Asker) -> bool:
    if asker.person is None:
        return False
    return len(_UNFINISHED_OF.rows(asker.person.pk)) >= MOST_UNFINISHED


_UNFINISHED_OF: Final = Select(
    lambda person: (
        Run.objects.filter(person=person, state__in=UNFINISHED, changes_things=True)
        .order_by()
        .values_list("pk")[:MOST_UNFINISHED]
    ),
    -1,
)


def _too_many(call: Call, spec: Spec, asker: Asker) -> Verdict | NotACommand:
    """One notice a minute: whoever sends a thousand commands is not sent a thousand refusals."""
    if _noticed(asker, TOO_MANY):
        return NotACommand(TOO_MANY)
    text = _(
        "%(mark)s Not done: %(what)s\nYou have %(count)d commands under way; wait for some of them,"
        " or end one with `/cancel RUN`. Until then more of them are left without an answer."
    ) % {"mark": BLOCKED, "what": code(call.canonical), "count": MOST_UNFINISHED}
    return Verdict(call=call, spec=spec, refused=text, reason=TOO_MANY)


def _too_fast(asker: Asker) -> Verdict | NotACommand:
    """Likewise; strangers are told nothing more."""
    if asker.person is None or _noticed(asker, TOO_FAST):
        return NotACommand(TOO_FAST)
    text = _(
        "%(mark)s You have sent more than %(count)d commands within a minute."
        " Wait a moment: until then more of them are left without an answer."
    ) % {"mark": BLOCKED, "count": MOST_A_MINUTE}
    return Verdict(refused=text, reason=TOO_FAST)


def _noticed(asker: Asker, reason: str) -> bool:
    since = asker.now - NOTICED_FOR
    told = Run.objects.filter(person=asker.person, reason=reason, accepted_at__gt=since)
    return told.exists()


def _ask(verb: str, target: Target, asker: Asker) -> Ask:
    belongs = bool(target.repository or target.service or target.environment)
    return Ask(
        verb,
        repository=target.repository,
        service=target.service,
        environment=target.environment,
        conversation=asker.conversation,
        everything=not belongs and commands()[verb].spec.names_a_job,
    )


def _decide(
    ask: Ask, asker: Asker, grants: tuple[GrantFact, ...], *, open_to_all: bool = False
) -> Decision:
    active = asker.person is not None and asker.person.active
    return decide(active, grants, ask, open_to_all=open_to_all, now=asker.now)


def _call_of(run: Run) -> Call:
    return Call(run.command, run.arguments, run.canonical)


def _target_of(run: Run) -> Target:
    return Target(
        repository_id=run.repository_id,
        repository=run.repository.name if run.repository else "",
        service_id=run.service_id,
        service=run.service.name if run.service else "",
        environment_id=run.environment_id,
        environment=run.environment.name if run.environment else "",
        number=run.number,
        label=run.target,
        lane=run.lane,
    )


def _stranger(message: IncomingMessage, asker: Asker, call: Call) -> Verdict:
    text = _(
        "%(mark)s I do not know this account yet: %(account)s."
        " An access request is waiting for an operator."
    )
    own_way = _("Or link it yourself: portal → Link a chat account.")
    if not _may_request(message):
        text = _("%(mark)s I do not know this account: %(account)s. An operator can link it.")
        own_way = ""
    if message.platform == "comments":
        # There a code would be read by everybody.
        own_way = ""
    known = text % {"mark": BLOCKED, "account": escape(asker.account)}
    return Verdict(
        call=call,
        refused=sentences(known, own_way),
        reason="stranger",
        rule="unknown account",
        stranger=True,
    )


def _may_request(message: IncomingMessage) -> bool:
    """Nobody can be asked for without an id, and whom an operator has declined does not wait."""
    sender = message.sender
    declined = AccessRequest.objects.filter(
        platform=message.platform,
        tenant=sender.tenant,
        external_id=sender.id,
        state=AccessRequest.State.DECLINED,
    )
    return bool(sender.id) and message.platform != "console" and not declined.exists()


def _stale(call: Call) -> str:
    return _(
        "%(mark)s Not done: %(what)s\nThe message is older than 15 minutes and may no longer be what"
        " you want. Send it again."
    ) % {"mark": BLOCKED, "what": code(call.canonical)}


def _unknown(
    call: Call, spec: Spec, unknown: NoSuch, asker: Asker, grants: tuple[GrantFact, ...]
) -> Verdict:
    """Also what one may not see is answered so; a name is suggested only from what one may use."""
    if unknown.of is not None and not _may_see(
        _ask(spec.verb, unknown.of, asker), grants, asker.now
    ):
        unknown = NoSuch(*_named(call))
    return Verdict(
        call=call,
        spec=spec,
        refused=_no_such(call, spec, unknown, asker, grants),
        reason=f"unknown_{unknown.kind}",
    )


def _no_such(
    call: Call, spec: Spec, unknown: NoSuch, asker: Asker, grants: tuple[GrantFact, ...]
) -> str:
    names = {"mark": BLOCKED, "name": code(unknown.name), "what": code(call.canonical)}
    if not unknown.name:
        account = _("Your account: %(account)s.") % {"account": escape(asker.account)}
        return lines(_("%(mark)s You may not %(what)s here.") % names, account)
    words: Mapping[Kind, str] = {
        Kind.REPOSITORY: _("%(mark)s There is no repository %(name)s that you may use here."),
        Kind.SERVICE: _("%(mark)s There is no service %(name)s that you may use here."),
        Kind.ENVIRONMENT: _("%(mark)s There is no deployment of %(name)s that you may use here."),
        Kind.JOB: _("%(mark)s There is no job %(name)s that you may use here."),
        Kind.RUN: _("%(mark)s There is no run %(name)s that you may see."),
    }
    suggestion = near(unknown.name, _usable_names(unknown.kind, spec, asker, grants))
    if not suggestion:
        return words[unknown.kind] % names
    corrected = call.canonical.replace(unknown.name, suggestion, 1)
    meant = _("Did you mean %(command)s?") % {"command": code(corrected)}
    return lines(words[unknown.kind] % names, meant)


def _usable_names(kind: Kind, spec: Spec, asker: Asker, grants: tuple[GrantFact, ...]) -> list[str]:
    fields = {Kind.REPOSITORY: "repository", Kind.SERVICE: "service"}
    if kind not in fields:
        return []
    asks = {
        name: Ask(spec.verb, **{fields[kind]: name}, conversation=asker.conversation)
        for name in names_of(kind)
    }
    return [name for name, ask in asks.items() if _decide(ask, asker, grants).allowed]


def _menu(
    call: Call, spec: Spec, several: Several, asker: Asker, grants: tuple[GrantFact, ...]
) -> Verdict:
    """A numbered list of complete commands, those only that the person may give."""
    allowed = {
        choice: target
        for choice, target in zip(several.choices, several.targets, strict=True)
        if _decide(_ask(spec.verb, target, asker), asker, grants).allowed
    }
    if not allowed:
        refused = _denied(call, spec, _ask(spec.verb, several.targets[0], asker), asker, grants)
        return Verdict(call=call, spec=spec, refused=refused, reason="denied_no_grant")
    first = _("%(mark)s %(what)s could mean several. Which one?") % {
        "mark": BLOCKED,
        "what": code(call.canonical),
    }
    menu = [f"{place}. {code(choice)}" for place, choice in enumerate(allowed, start=1)]
    return Verdict(
        call=call,
        spec=spec,
        refused=lines(first, *menu),
        reason="several",
        offers=choices_of(list(allowed), list(allowed.values())),
    )


def _denied(call: Call, spec: Spec, ask: Ask, asker: Asker, grants: tuple[GrantFact, ...]) -> str:
    """Names the missing role and whom to ask, but only of things that the person may see at all."""
    if _names_something(ask) and not _may_see(ask, grants, asker.now):
        return _no_such(call, spec, NoSuch(*_named(call)), asker, grants)
    roles = listed(roles_that_may(ask)) or _("one with this command")
    people = listed(who_may(ask))
    decision = _decide(ask, asker, grants)
    first = _("%(mark)s You may not %(what)s: it takes the role %(roles)s here.") % {
        "mark": BLOCKED,
        "what": code(call.canonical),
        "roles": escape(roles),
    }
    elsewhere = _("You have %(roles)s, but not for this, here and now.") % {
        "roles": escape(listed(decision.missing_roles))
    }
    account = _("Your account: %(account)s.") % {"account": escape(asker.account)}
    whom = (
        _("Ask %(people)s.") % {"people": escape(people)}
        if people
        else _("Ask an operator of the portal.")
    )
    return lines(first, elsewhere if decision.missing_roles else "", sentences(account, whom))


def _names_something(ask: Ask) -> bool:
    return bool(ask.repository or ask.service or ask.environment)


def _may_see(ask: Ask, grants: tuple[GrantFact, ...], now: datetime) -> bool:
    """Whoever has any role on a thing may know that it is there."""
    return any(
        decide(True, grants, replace(ask, command=verb), open_to_all=False, now=now).allowed
        for verb in {verb for grant in grants for verb in grant.commands}
    )


def _named(call: Call) -> tuple[Kind, str]:
    """What the person named, in the words an unknown name is answered with."""
    typed: dict[str, Any] = dict(call.arguments)
    for field_name, kind in (("run", Kind.RUN), ("service", Kind.SERVICE), ("job", Kind.JOB)):
        if typed.get(field_name):
            return kind, str(typed[field_name])
    return Kind.REPOSITORY, str(typed.get("repository") or "")
