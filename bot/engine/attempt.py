"""One turn of a worker on a claimed run: effects are intended before they are sent, and looked for after a crash."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.record import Event, Fact, record
from bot.commands.base import Again, Attempt, Intent, Json, Later, Refusal
from bot.engine.claim import Fenced, lease, write
from bot.engine.wanted import check_still_wanted
from bot.runs.models import Effect, EffectState, Run
from bot.runs.story import fact
from chatops_site.kit.failpoints import reach
from chatops_site.kit.prepared import insert, update
from repos.clients import forge_client, jenkins_client
from repos.errors import HeadMoved, OtherHeadMerged, RemoteError
from repos.forges.base import ForgeClient
from repos.jenkins import Jenkins
from repos.models import JenkinsServer

logger = logging.getLogger(__name__)

# A call takes at most 20 s (kit/http.py), so one that begins this long before the lease ends, ends within it.
LONGEST_CALL = timedelta(seconds=20)
# Two clean searches, RECONCILE_SECONDS apart, before "unknown" is said.
SEARCHES_BEFORE_UNKNOWN = 2
SECONDS_BEFORE_FIRST_SEARCH = 1.0


class LookLater(Exception):
    """The outcome of an effect is not known yet; the step is taken again after a while."""

    def __init__(self, later: Later) -> None:
        super().__init__(later.seconds)
        self.later = later


class OutcomeNeverKnown(Exception):
    """Searched twice, nothing found: only a person can tell now."""

    def __init__(self, effect: Effect) -> None:
        super().__init__(effect.name)
        self.effect = effect


class LiveAttempt(Attempt):
    def __init__(self, run: Run, now: datetime) -> None:
        self.run = run
        self.now = now
        self._effects = (
            {effect.name: effect for effect in run.effects.all()} if run.attempt > 1 else {}
        )
        self._unsaved: list[Effect] = []
        self._facts: list[Fact] = []
        self._may_send_until = self._from_now(settings.LEASE_SECONDS)

    # What commands use.

    def effect(
        self,
        name: str,
        *,
        prepare: Callable[[], Intent],
        send: Callable[[Json], Json],
        find: Callable[[Json], Json | None],
        again: Again,
    ) -> Json:
        effect = self._effects.get(name)
        if effect is None or effect.state == EffectState.REFUSED:
            return self._send(self._intend(name, prepare()), send)
        if effect.state == EffectState.DONE:
            return dict(effect.result)
        if effect.state == EffectState.UNKNOWN:
            raise OutcomeNeverKnown(effect)
        found = self._found(effect, find)
        if found is not None:
            return self._settle(effect, EffectState.DONE, found | {"found_after_doubt": True})
        if again is Again.NEVER:
            return self._search_again(effect)
        return self._send(self._intend_again(effect, prepare), send)

    def settled(self, name: str) -> Json | None:
        effect = self._effects.get(name)
        return dict(effect.result) if effect and effect.state == EffectState.DONE else None

    def remember(self, **facts: Any) -> None:
        self.run.progress = self.run.progress | facts

    def forge(self) -> ForgeClient:
        if self.run.repository is None:
            raise LookupError("this command has no repository")
        return forge_client(self.run.repository.forge)

    def jenkins(self, server: JenkinsServer) -> Jenkins:
        return jenkins_client(server)

    # What the engine uses.

    @property
    def has_open_effect(self) -> bool:
        return any(effect.state == EffectState.INTENDED for effect in self._effects.values())

    @property
    def has_effects(self) -> bool:
        """Whether something was sent; what the other side refused has changed nothing."""
        return any(effect.state != EffectState.REFUSED for effect in self._effects.values())

    def flush(self) -> list[Fact]:
        """Writes what was settled, in the caller's transaction; the facts it owes the record."""
        for effect in self._unsaved:
            _save(effect)
        facts, self._facts, self._unsaved = self._facts, [], []
        return facts

    # How an effect goes.

    def _intend(self, name: str, intent: Intent) -> Effect:
        """Commits the intent and its audit entry; from here on the effect may have happened."""
        now, earlier = timezone.now(), self._effects.get(name)
        again = earlier is not None and earlier.state == EffectState.INTENDED
        effect = Effect(
            pk=earlier.pk if earlier else None,
            run=self.run,
            name=name,
            state=EffectState.INTENDED,
            intent=intent.facts,
            intended_at=now,
            sent_at=now,
            # Each search that found nothing and led to another sending makes the next pause longer.
            searches=earlier.searches + 1 if earlier and again else 0,
        )
        with transaction.atomic():
            self._renew(now, sha=intent.sha, gates=[gate.as_json() for gate in intent.gates])
            owed = self.flush()
            _save(effect)
            intended = self._fact(
                effect, Event.EFFECT_INTENDED, detail="sent again" if earlier else ""
            )
            record(*owed, *self._gate_facts(intent), intended)
        self._effects[name] = effect
        reach("c5")
        return effect

    def _renew(self, now: datetime, **columns: Any) -> None:
        """Prolongs the lease with the same write, so that a call fits into it."""
        if not columns.get("sha"):
            columns.pop("sha", None)
        if not columns.get("gates"):
            columns.pop("gates", None)
        write(self.run, lease_until=now + lease(), progress=self.run.progress, **columns)
        self._may_send_until = self._from_now(settings.LEASE_SECONDS)

    def _send(self, effect: Effect, send: Callable[[Json], Json]) -> Json:
        if time.monotonic() > self._may_send_until:
            raise Fenced
        try:
            result = send(effect.intent)
        except RemoteError as problem:
            if problem.maybe_applied:
                logger.warning(
                    "run %s: %s is in doubt: %s", self.run.pk, effect.name, problem.detail
                )
                pause = SECONDS_BEFORE_FIRST_SEARCH * 2.0 ** min(effect.searches, 5)
                raise LookLater(Later(pause)) from problem
            self._close(effect, problem)
            raise
        reach("c7")
        return self._settle(effect, EffectState.DONE, result)

    def _found(self, effect: Effect, find: Callable[[Json], Json | None]) -> Json | None:
        try:
            return find(effect.intent)
        except (Refusal, HeadMoved) as problem:
            self._close(effect, problem)
            raise

    def _intend_again(self, effect: Effect, prepare: Callable[[], Intent]) -> Effect:
        """It is not there. What forbids it by now (a gate, a right, the time) forbids to repeat it."""
        try:
            check_still_wanted(self.run, timezone.now())
            intent = prepare()
        except (Refusal, HeadMoved) as problem:
            self._close(effect, problem)
            raise
        return self._intend(effect.name, intent)

    def _close(self, effect: Effect, problem: Exception) -> None:
        """Why it did not happen; OtherHeadMerged is the one refusal that comes too late."""
        happened = isinstance(problem, OtherHeadMerged)
        state = EffectState.DONE if happened else EffectState.REFUSED
        self._settle(effect, state, {"detail": str(problem)})

    def _search_again(self, effect: Effect) -> Json:
        now = timezone.now()
        last = effect.searched_at
        if last is None or (now - last).total_seconds() >= settings.RECONCILE_SECONDS:
            effect.searches += 1
            effect.searched_at = now
            self._unsaved.append(effect)
        if effect.searches < SEARCHES_BEFORE_UNKNOWN:
            raise LookLater(Later(settings.RECONCILE_SECONDS))
        self._settle(effect, EffectState.UNKNOWN, {})
        raise OutcomeNeverKnown(effect)

    def _settle(self, effect: Effect, state: EffectState, result: Json) -> Json:
        effect.state = state
        effect.result = result
        effect.settled_at = timezone.now()
        self._unsaved.append(effect)
        event = Event.EFFECT_UNKNOWN if state is EffectState.UNKNOWN else Event.EFFECT_SETTLED
        self._facts.append(self._fact(effect, event, outcome=state.value, external=result))
        return dict(result)

    def _gate_facts(self, intent: Intent) -> list[Fact]:
        if not intent.gates:
            return []
        gates = {gate.name: asdict(gate) for gate in intent.gates}
        return [fact(self.run, Event.GATES_DECIDED, outcome="passed", external=gates)]

    def _fact(self, effect: Effect, event: Event, **more: Any) -> Fact:
        more.setdefault("external", effect.intent)
        return fact(self.run, event, reason=effect.name, **more)

    @staticmethod
    def _from_now(seconds: float) -> float:
        """The moment on the monotonic clock after which no call may begin any more."""
        margin = min(LONGEST_CALL.total_seconds(), seconds / 2)
        return time.monotonic() + seconds - margin


def _save(effect: Effect) -> None:
    if not effect.pk:
        insert([effect])
        return
    columns = ("state", "intent", "result", "intended_at", "sent_at", "searches", "searched_at")
    values = {name: getattr(effect, name) for name in (*columns, "settled_at")}
    update(Effect, {"id": effect.pk}, values)
