"""How one connection is, in memory: whoever hears a frame only sets it, and another thread writes it down."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

from bot.platforms.models import ConnectionState

# A connection that held so long was a good one: the next failure is the first again.
GOOD_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Told:
    """As it is written down. since: of being connected, of not being so, or of having stopped."""

    state: ConnectionState
    since: datetime
    heard_at: datetime | None = None
    taken: int = 0
    # Without a good connection between them.
    failures: int = 0
    problem: str = ""


class Standing:
    """The signs of a Dialled, and what the supervisor says of it. Costs nothing, from any thread."""

    def __init__(self, now: Callable[[], datetime] = timezone.now) -> None:
        self._now = now
        self._lock = Lock()
        self._told = Told(ConnectionState.CONNECTING, now())
        self._news: list[str] = []

    def told(self) -> Told:
        with self._lock:
            return self._told

    def news(self) -> list[str]:
        """The lines for the operator since the last call."""
        with self._lock:
            news, self._news = self._news, []
        return news

    def connecting(self) -> None:
        with self._lock:
            self._turn(ConnectionState.CONNECTING)

    def connected(self) -> None:
        with self._lock:
            fresh = self._told.state is not ConnectionState.CONNECTED
            self._turn(ConnectionState.CONNECTED)
            self._told = replace(self._told, heard_at=self._now(), problem="")
            if fresh:
                self._news.append(_("connected"))

    def alive(self) -> None:
        with self._lock:
            self._told = replace(self._told, heard_at=self._now())

    def took(self) -> None:
        with self._lock:
            self._told = replace(self._told, taken=self._told.taken + 1)

    def lost(self, problem: str) -> int:
        """How many failures that makes without a good connection between them."""
        with self._lock:
            before = 0 if self._is_good() else self._told.failures
            self._turn(ConnectionState.WAITING)
            self._told = replace(self._told, failures=before + 1, problem=problem[:300])
            self._news.append(_("lost: %(problem)s") % {"problem": problem})
            return before + 1

    def rest(self, reason: str) -> None:
        """Nothing failed, but there is nothing to do for now."""
        with self._lock:
            self._turn(ConnectionState.WAITING)
            self._told = replace(self._told, problem=reason[:300])
            self._news.append(reason)

    def stopped(self) -> None:
        with self._lock:
            self._turn(ConnectionState.STOPPED)
            self._news.append(_("stopped"))

    def _turn(self, state: ConnectionState) -> None:
        """Trying and waiting in turns is one and the same time without a connection."""
        out = (ConnectionState.CONNECTING, ConnectionState.WAITING)
        same = state is self._told.state or (state in out and self._told.state in out)
        since = self._told.since if same else self._now()
        self._told = replace(self._told, state=state, since=since)

    def _is_good(self) -> bool:
        connected = self._told.state is ConnectionState.CONNECTED
        return connected and self._now() - self._told.since >= GOOD_AFTER
