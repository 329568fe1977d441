"""Accepts a message: everything it leads to is on disk in one transaction before the platform gets its 200."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from audit.record import Event, Fact, printable, record
from bot import language, replies
from bot.commands.base import Target
from bot.commands.registry import commands, specs
from bot.commands.targets import Place
from bot.people.logins import with_login
from bot.people.models import AccessRequest, Account, Person
from bot.phrasing import NotACommand
from bot.platforms.base import Ignored, IncomingMessage, Proof
from bot.platforms.models import Bot, Conversation
from bot.runs import wake
from bot.runs.buttons import AlreadyTaken, take
from bot.runs.models import Button, Delivery, Reply, Run, RunState
from bot.runs.story import fact
from bot.verdict import CHANGING_FOR, READING_FOR, Asker, Verdict, judge
from bot.wording import BLOCKED, cut
from chatops_site.kit.failpoints import reach
from chatops_site.kit.prepared import Select, insert
from chatops_site.kit.redaction import redact
from chatops_site.kit.together import Together

TEXT_KEPT: Final = 1000
# The platform of comments at forges; its tenants are the forges, its accounts logins there.
COMMENTS: Final = "comments"


class Answer(StrEnum):
    ACCEPTED = "accepted"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    SIGNATURE_REUSED = "signature_reused"


@dataclass(frozen=True)
class Accepted:
    """said: what the platform may tell of it at once; "" when that is left to a reply."""

    answer: Answer
    run: Run | None = None
    said: str = ""


def accept(bot: Bot | None, message: IncomingMessage, *, button: Button | None = None) -> Accepted:
    """Writes down the delivery, the run and its audit entries; repeats and swapped bodies change nothing.

    bot is None for the console, whose messages are not delivered twice. button: the one that was
    pressed instead of typing the text; raises AlreadyTaken if that was done before.
    """
    now = timezone.now()
    with translation.override(bot.language if bot else settings.LANGUAGE_CODE):
        message = _with_slash(message)
        asker, person = _asker(bot, message, now)
        verdict = judge(message, asker)
        if isinstance(verdict, NotACommand):
            return _ignore(bot, message, verdict.reason, now)
        run = _run(bot, message, verdict, person, now)
        if button is not None and button.sha:
            run.progress = {"pinned": button.sha}
        try:
            _acceptances.commit(_Acceptance(bot, message, verdict, run, button))
        except AlreadyTaken:
            raise
        except IntegrityError as problem:
            return _repeated(bot, message, problem)
    reach("c2")
    if verdict.refused:
        wake.ready(0)
    else:
        wake.ready(run.pk)
    reach("c3")
    return Accepted(Answer.ACCEPTED, run, said=run.summary)


def _with_slash(message: IncomingMessage) -> IncomingMessage:
    """A slash command that a platform knows itself: one of ours, or only the way to speak to the bot."""
    if message.slash and language.names_a_command(message.slash, specs()):
        return replace(message, text=f"{message.slash} {message.text}".strip())
    return message


def ignore(bot: Bot, ignored: Ignored) -> Answer:
    """Authentic, but nothing to run: only the record knows, and nothing else comes under its signature."""
    try:
        with transaction.atomic():
            if ignored.proof is not None:
                _insert_proof(bot, ignored.proof, timezone.now())
            record(_ignored_fact(bot, message_id=ignored.message_id, reason=ignored.reason))
    except IntegrityError:
        return _of_used(bot, ignored.proof)
    return Answer.IGNORED


def remember(bot: Bot, proof: Proof) -> None:
    """The signature of a message that was refused for another reason: no other body may use it."""
    with contextlib.suppress(IntegrityError), transaction.atomic():
        _insert_proof(bot, proof, timezone.now())


def _insert_proof(bot: Bot, proof: Proof, now: datetime) -> None:
    insert([delivery(bot, f"signature {proof.signature_digest}", proof, now)])


def _ignore(bot: Bot | None, message: IncomingMessage, reason: str, now: datetime) -> Accepted:
    try:
        with transaction.atomic():
            if bot is not None:
                insert([delivery(bot, message.message_id, message.proof, now)])
            hinted = bot is not None and message.private and reason == "text"
            if bot is not None and hinted:
                replies.owe_without_run(
                    bot,
                    _hint(),
                    route=message.route,
                    place=message.conversation,
                    answers=message.message_id,
                    now=now,
                )
            record(
                _ignored_fact(bot, message_id=message.message_id, reason=reason, message=message)
            )
    except IntegrityError as problem:
        return _repeated(bot, message, problem)
    if hinted:
        wake.ready(0)
    return Accepted(Answer.IGNORED, said=_hint() if hinted else "")


def _hint() -> str:
    """In private every message is to the bot; in groups it keeps out of what others say."""
    return _("%(mark)s That is no command. `/help` shows what you may do here.") % {"mark": BLOCKED}


def _ignored_fact(
    bot: Bot | None, *, message_id: str, reason: str, message: IncomingMessage | None = None
) -> Fact:
    more: dict[str, Any] = {}
    if message is not None:
        more = {
            "tenant": message.sender.tenant,
            "account": message.sender.id,
            "account_name": message.sender.name,
            "conversation": message.conversation,
            "text": message.text,
            "source_ip": message.source_ip,
        }
    return Fact(
        event=Event.MESSAGE_IGNORED,
        actor_kind="chat",
        bot=bot.name if bot else "",
        platform=bot.platform if bot else "console",
        message_id=message_id,
        reason=reason,
        **more,
    )


def _asker(bot: Bot | None, message: IncomingMessage, now: datetime) -> tuple[Asker, Person | None]:
    person = _person(message)
    bound = None
    if bot is not None and message.conversation:
        bound = _BOUND.first(bot.pk, message.conversation)
    here = message.repository_id or (bound[0] if bound else None)
    place = Place(here, person.repository_id if person else None)
    platform = message.sender.tenant if message.platform == COMMENTS else message.platform
    account = f"{platform} {message.sender.id or _('(none told by the platform)')}"
    return Asker(person, account, message.conversation, place, now), person


def _person(message: IncomingMessage) -> Person | None:
    """By (platform, tenant, stable id), never by a name; the console's account is a person's user name."""
    if not message.sender.id:
        return None
    if message.platform == "console":
        return Person.objects.filter(username=message.sender.id, active=True).first()
    sender = message.sender
    if message.platform == COMMENTS and (known := with_login(sender.tenant, sender.id)):
        return known
    found = _PERSON.first(message.platform, sender.tenant, sender.id)
    return Person(**dict(zip(_PERSON_COLUMNS, found, strict=True))) if found else None


_PERSON_COLUMNS: Final = ("id", "name", "username", "active", "repository_id")
_PERSON: Final = Select(
    lambda platform, tenant, account: Account.objects.filter(
        platform=platform, tenant=tenant, external_id=account
    ).values_list(*(f"person__{column}" for column in _PERSON_COLUMNS)),
    "a platform",
    "a tenant",
    "an account",
)
_BOUND: Final = Select(
    lambda bot, place: (
        Conversation.objects.filter(bot=bot, external_id=place)
        .order_by()
        .values_list("repository_id")
    ),
    -1,
    "a conversation",
)


def _run(
    bot: Bot | None,
    message: IncomingMessage,
    verdict: Verdict,
    person: Person | None,
    now: datetime,
) -> Run:
    changes = bool(verdict.spec and verdict.spec.changes)
    call = verdict.call
    run = Run(
        bot=bot,
        platform=message.platform,
        tenant=message.sender.tenant,
        account=message.sender.id,
        person=person,
        actor=person.name if person else message.sender.name[:100],
        conversation=message.conversation,
        conversation_name=message.conversation_name[:200],
        message_id=message.message_id,
        reply_route=message.route,
        language=bot.language if bot else settings.LANGUAGE_CODE,
        text=redact(printable(message.text[:TEXT_KEPT]))[0],
        command=call.verb,
        arguments=dict(call.arguments),
        canonical=redact(call.canonical)[0][:300],
        changes_things=changes,
        retry_of=verdict.retry_of,
        accepted_at=now,
        due_at=now,
        deadline_at=message.sent_at + (CHANGING_FOR if changes else READING_FOR),
        **_target_columns(verdict.target),
    )
    if verdict.refused:
        return _refused(run, verdict, now)
    run.state = RunState.QUEUED
    run.key = commands()[call.verb].key(call, verdict.target)
    return run


def _target_columns(target: Target) -> dict[str, Any]:
    return {
        "target": target.label,
        "repository_id": target.repository_id,
        "service_id": target.service_id,
        "environment_id": target.environment_id,
        "number": target.number,
        "lane": target.lane,
    }


def _refused(run: Run, verdict: Verdict, now: datetime) -> Run:
    run.state = RunState.REFUSED
    run.finished_at = now
    run.reason = verdict.reason
    run.summary = cut(redact(printable(verdict.refused))[0])
    return run


@dataclass(frozen=True)
class _Acceptance:
    bot: Bot | None
    message: IncomingMessage
    verdict: Verdict
    run: Run
    button: Button | None = None


def _write(accepted: Sequence[_Acceptance]) -> None:
    """The whole of it, in one transaction; the record comes last."""
    deliveries = [
        delivery(one.bot, one.message.message_id, one.message.proof, one.run.accepted_at)
        for one in accepted
        if one.bot
    ]
    if deliveries:
        insert(deliveries)
    insert([one.run for one in accepted])
    for one in accepted:
        if one.verdict.refused:
            _owe_refusal(one.run, one.verdict)
        elif one.button is not None and one.run.changes_things:
            take(one.button, one.run)
        if one.verdict.stranger and one.bot is not None and one.message.sender.id:
            _request_access(one.bot, one.message)
    record(*(told for one in accepted for told in _facts(one)))
    reach("c1")


_acceptances: Final = Together(_write)


def _owe_refusal(run: Run, verdict: Verdict) -> None:
    kind, now = Reply.Kind.FINAL, run.accepted_at
    replies.owe(run, kind, run.summary, now=now, offers=verdict.offers)


def delivery(bot: Bot, message_id: str, proof: Proof | None, now: datetime) -> Delivery:
    """What a platform delivered, as it is written down: once."""
    return Delivery(
        bot=bot,
        message_id=message_id,
        signature_digest=proof.signature_digest if proof else None,
        body_digest=proof.body_digest if proof else "",
        at=now,
    )


def _request_access(bot: Bot, message: IncomingMessage) -> None:
    AccessRequest.objects.get_or_create(
        platform=message.platform,
        tenant=message.sender.tenant,
        external_id=message.sender.id,
        defaults={
            "bot": bot,
            "shown_name": message.sender.name[:100],
            "conversation": message.conversation_name[:200] or message.conversation,
        },
    )


def _facts(accepted: _Acceptance) -> list[Fact]:
    message, verdict, run = accepted.message, accepted.verdict, accepted.run
    pressed = {"button": accepted.button.label} if accepted.button else {}
    named = {
        "repository": verdict.target.repository,
        "service": verdict.target.service,
        "environment": verdict.target.environment,
    }
    received = fact(
        run,
        Event.COMMAND_RECEIVED,
        text=message.text,
        account_name=message.sender.name,
        source_ip=message.source_ip,
        platform_at=message.sent_at,
        external=pressed,
        **named,
    )
    if not verdict.refused:
        allowed = fact(
            run, Event.ACCESS_ALLOWED, rule=verdict.rule, outcome="allowed", text="", **named
        )
        return [received, allowed]
    denied = verdict.stranger or verdict.reason.startswith("denied")
    event = Event.ACCESS_DENIED if denied else Event.COMMAND_REFUSED
    return [
        received,
        fact(
            run,
            event,
            rule=verdict.rule,
            reason=verdict.reason,
            outcome="denied" if denied else "refused",
            detail=run.summary.split("\n", 1)[0],
            text="",
            **named,
        ),
    ]


def _repeated(bot: Bot | None, message: IncomingMessage, problem: IntegrityError) -> Accepted:
    """Which constraint it was: another body under a used signature, the same message again, or a bug."""
    deliveries = Delivery.objects.filter(bot=bot)
    if _of_used(bot, message.proof) is Answer.SIGNATURE_REUSED:
        return Accepted(Answer.SIGNATURE_REUSED)
    if deliveries.filter(message_id=message.message_id).exists():
        return Accepted(Answer.DUPLICATE)
    raise problem


def _of_used(bot: Bot | None, proof: Proof | None) -> Answer:
    """What a signature that was used before makes of a message: a repeat, or another body under it."""
    if proof is None:
        return Answer.DUPLICATE
    used = Delivery.objects.filter(bot=bot, signature_digest=proof.signature_digest).first()
    if used is not None and used.body_digest != proof.body_digest:
        return Answer.SIGNATURE_REUSED
    return Answer.DUPLICATE
