"""A run told from top to bottom: asked, decided, queued, each call with its answer, outcome, replies."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.display import DONE, FAILED, SHAPES, UNDER_WAY, UNSURE, WAITING, block
from audit.models import Entry, Event
from bot.desk.marks import REPLY_TONES, TONES, pill
from bot.desk.markup import folded, line_html, link_html, reply_html, value_html
from bot.runs.models import EffectState, Reply, ReplyState, Run, RunState
from bot.wording import duration

MOST_ENTRIES: Final = 500
# Effects by their names in the commands; one that is not here is called by its name.
EFFECTS: Final[dict[str, Any]] = {
    "approve": gettext_lazy("approve at the forge"),
    "comment": gettext_lazy("comment at the forge"),
    "mark": gettext_lazy("mark the tests at the forge"),
    "merge": gettext_lazy("merge at the forge"),
    "state": gettext_lazy("close or reopen at the forge"),
    "trigger": gettext_lazy("start the build in Jenkins"),
}
EFFECT_TONES: Final[dict[str, str]] = {
    EffectState.DONE: DONE,
    EffectState.REFUSED: FAILED,
    EffectState.UNKNOWN: UNSURE,
}


@dataclass(frozen=True)
class GateLine:
    passed: bool
    fact: SafeString
    remedy: SafeString

    @property
    def pill(self) -> SafeString:
        return pill(DONE, _("passes")) if self.passed else pill(FAILED, _("blocks"))


@dataclass(frozen=True)
class Moment:
    """One step of the story. facts: label and value."""

    title: str
    tone: str
    at: datetime | None = None
    facts: tuple[tuple[str, Any], ...] = ()
    gates: tuple[GateLine, ...] = ()
    body: SafeString | str = ""
    folded_body: SafeString | str = ""
    has_build: bool = False

    @property
    def shape(self) -> str:
        return SHAPES[self.tone]


@dataclass
class _Story:
    """What has been told so far, as far as later moments refer to it."""

    run: Run
    intended: dict[str, datetime] = field(default_factory=dict)
    told_gates: bool = False


def timeline(run: Run) -> list[Moment]:
    """The moments of the run, oldest first."""
    entries = Entry.objects.filter(run=run.pk).order_by("seq")[:MOST_ENTRIES]
    story = _Story(run)
    moments = [moment for entry in entries for moment in _told(entry, story)]
    if not run.finished:
        moments.append(_now(run))
    return [*moments, *map(_reply, run.replies.order_by("created_at", "pk"))]


def may_send_again(reply: Reply) -> bool:
    """Not while it is being sent for the first time, nor when a later one has taken its place."""
    tried = reply.state == ReplyState.WAITING and reply.attempts > 0
    return tried or reply.state in (ReplyState.FAILED, ReplyState.SENT)


def _told(entry: Entry, story: _Story) -> Iterator[Moment]:
    teller = TELLERS.get(entry.event)
    if teller is None:
        return
    for moment in teller(entry, story):
        yield replace(moment, at=moment.at or entry.at)


def _asked(entry: Entry, story: _Story) -> Iterator[Moment]:
    account = " ".join(part for part in (entry.platform, entry.account) if part)
    understood = entry.canonical if entry.canonical != entry.text else ""
    facts = (
        (_("who"), entry.person or entry.account_name or story.run.actor),
        (_("account"), account),
        (_("where"), entry.conversation_name or entry.conversation),
        (_("understood as"), value_html(understood) if understood else ""),
        (_("pressed"), entry.external.get("button", "")),
        (_("from"), entry.source_ip),
    )
    yield Moment(_("Asked"), DONE, facts=_full(facts), body=block(entry.text))


def _allowed(entry: Entry, story: _Story) -> Iterator[Moment]:
    yield Moment(_("Allowed"), DONE, facts=_full(((_("rule"), entry.rule),)))
    key = story.run.key
    facts = ((_("one at a time"), value_html(key)),) if key else ()
    yield Moment(_("Queued"), DONE, facts=facts)


def _refused(entry: Entry, story: _Story) -> Iterator[Moment]:
    facts = ((_("rule"), entry.rule), (_("reason"), value_html(entry.reason)))
    yield Moment(_("Refused"), FAILED, facts=_full(facts), body=reply_html(story.run.summary))


def _decided(entry: Entry, story: _Story) -> Iterator[Moment]:
    story.told_gates = True
    gates = _gates(entry.external.values() if isinstance(entry.external, Mapping) else ())
    yield Moment(_("Decided: nothing blocks"), DONE, gates=gates)


def _intended(entry: Entry, story: _Story) -> Iterator[Moment]:
    story.intended[entry.reason] = entry.at
    title = _("Called: %(name)s") % {"name": EFFECTS.get(entry.reason, entry.reason)}
    attempt = ((_("attempt"), entry.attempt),) if entry.attempt else ()
    note = ((_("note"), entry.detail),) if entry.detail else ()
    yield Moment(title, UNDER_WAY, facts=(*attempt, *note, *_values(entry.external, story)))


def _settled(entry: Entry, story: _Story) -> Iterator[Moment]:
    words = {
        EffectState.DONE: _("Answered: %(name)s done"),
        EffectState.REFUSED: _("Answered: %(name)s refused"),
        EffectState.UNKNOWN: _("No answer: what became of %(name)s is unknown"),
    }
    word = words.get(EffectState(entry.outcome)) if entry.outcome in words else None
    title = (word or _("Answered: %(name)s")) % {"name": EFFECTS.get(entry.reason, entry.reason)}
    before = story.intended.get(entry.reason)
    took = _took((entry.at - before).total_seconds()) if before else ""
    facts = _full(((_("after"), took),))
    tone = EFFECT_TONES.get(entry.outcome, UNDER_WAY)
    yield Moment(title, tone, facts=(*facts, *_values(entry.external, story)))


def _took(seconds: float) -> str:
    """Calls are short: below a second the milliseconds count."""
    return duration(seconds) if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _finished(entry: Entry, story: _Story) -> Iterator[Moment]:
    run = story.run
    if run.gates and not story.told_gates:
        gates = _gates(run.gates)
        blocked = any(not gate.passed for gate in gates)
        title = _("Decided: blocked") if blocked else _("Decided: nothing blocks")
        yield Moment(title, FAILED if blocked else DONE, gates=gates)
    words = dict(RunState.choices)
    title = _("Outcome: %(state)s") % {"state": words.get(entry.outcome, entry.outcome)}
    facts = _full(
        (
            (_("reason"), value_html(entry.reason) if entry.reason else ""),
            (_("took"), duration(entry.duration_ms / 1000) if entry.duration_ms else ""),
            (_("commit found"), value_html(entry.observed_sha) if entry.observed_sha else ""),
        )
    )
    yield Moment(
        title,
        TONES.get(entry.outcome, UNDER_WAY),
        facts=(*facts, *_values(run.external, story)),
        body=reply_html(run.summary),
        has_build="build" in run.external,
    )


def _put_back(entry: Entry, story: _Story) -> Iterator[Moment]:
    facts = _full(((_("who"), entry.username or entry.person),))
    yield Moment(_("Reply put back into the queue"), DONE, facts=facts)


TELLERS: Final[dict[str, Callable[[Entry, _Story], Iterator[Moment]]]] = {
    Event.COMMAND_RECEIVED: _asked,
    Event.ACCESS_ALLOWED: _allowed,
    Event.ACCESS_DENIED: _refused,
    Event.COMMAND_REFUSED: _refused,
    Event.GATES_DECIDED: _decided,
    Event.EFFECT_INTENDED: _intended,
    Event.EFFECT_SETTLED: _settled,
    Event.EFFECT_UNKNOWN: _settled,
    Event.RUN_FINISHED: _finished,
    Event.CONFIG_CHANGED: _put_back,
}


def _now(run: Run) -> Moment:
    facts = [(_("attempt"), run.attempt or ""), (_("stop asked for by"), run.cancel_requested_by)]
    words = {
        RunState.QUEUED: _("Now: in the queue"),
        RunState.RUNNING: _("Now: under way"),
        RunState.AWAITING: _("Now: waiting for a person"),
    }
    tone = WAITING if run.state == RunState.AWAITING else UNDER_WAY
    return Moment(
        words[RunState(run.state)],
        tone,
        facts=(*_full(facts), *_values(run.external, _Story(run))),
        has_build="build" in run.external,
    )


def _reply(reply: Reply) -> Moment:
    title = _("Reply (%(kind)s): %(state)s") % {
        "kind": reply.get_kind_display(),
        "state": reply.get_state_display(),
    }
    facts = _full(
        (
            (_("tries"), reply.attempts or ""),
            (_("message id"), value_html(reply.external_id) if reply.external_id else ""),
            (_("problem"), reply.error),
        )
    )
    return Moment(
        title,
        REPLY_TONES.get(reply.state, UNDER_WAY),
        at=reply.sent_at or reply.created_at,
        facts=facts,
        folded_body=reply_html(reply.text),
    )


def _gates(gates: Iterable[Any]) -> tuple[GateLine, ...]:
    return tuple(
        GateLine(
            bool(gate.get("passed")),
            line_html(str(gate.get("fact", ""))),
            line_html(str(gate.get("remedy", ""))),
        )
        for gate in gates
        if isinstance(gate, Mapping)
    )


def _values(external: Any, story: _Story) -> tuple[tuple[str, Any], ...]:
    """What another system told, one line each; a build's number leads to its page."""
    if not isinstance(external, Mapping):
        return ()
    known = {**external, "url": external.get("url") or story.run.external.get("url", "")}
    return tuple(
        (str(name), _value(str(name), value, str(known["url"])))
        for name, value in external.items()
        if value and not (name == "url" and "build" in external)
    )


def _value(name: str, value: Any, url: str) -> SafeString:
    if name == "build" and url:
        return link_html(url, value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {text}" for key, text in value.items())
        return format_html("<code>{}</code>", pairs)
    return value_html(value)


def _full(facts: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, value) for name, value in facts if value not in ("", None))


def log_html(lines: Iterable[str]) -> SafeString:
    return folded(list(lines))
