"""Access tokens that survive a restart and are renewed once for all processes and threads."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

from bot.platforms.base import SendFailed
from bot.platforms.models import Bot, PlatformToken

# One about to end is no use on the way.
MARGIN: Final = 300.0
LONGEST: Final = 86_400.0
# Whoever renews one has so long; the others look again that often.
RENEWAL: Final = 15.0
LOOK_EVERY: Final = 0.1


@dataclass(frozen=True)
class Granted:
    """A token as the platform gave it; seconds: how long it lasts."""

    token: str
    seconds: float


class Tokens:
    """One token of one bot. fetch asks the platform for a new one, or raises SendFailed."""

    def __init__(self, bot: Bot, fetch: Callable[[], Granted], *, name: str = "access") -> None:
        self._bot_id: int | None = bot.pk
        self._mark = _mark(bot)
        self._fetch, self._name = fetch, name
        # Of a bot that is not stored yet: its form is being tested.
        self._lock = Lock()
        self._own, self._own_until = "", 0.0

    def current(self) -> str:
        if self._bot_id is None:
            return self._current_here()
        end = time.monotonic() + RENEWAL
        while True:
            known = self._known()
            if known is not None:
                return known
            if self._begin_renewal():
                return self._renew()
            if time.monotonic() > end:
                sentence = _("Another process has been renewing the token for too long.")
                raise SendFailed(sentence, retryable=True)
            time.sleep(LOOK_EVERY)

    def forget(self, token: str) -> None:
        """The platform does not take that token any more; a newer one stays."""
        with self._lock:
            if self._own == token:
                self._own_until = 0.0
        if self._bot_id is None:
            return
        row = self._row()
        if row is not None and row.value == token:
            PlatformToken.objects.filter(pk=row.pk, until=row.until).update(until=timezone.now())

    def _known(self) -> str | None:
        row = self._row()
        if row is None or row.mark != self._mark or row.until <= timezone.now():
            return None
        return row.value

    def _row(self) -> PlatformToken | None:
        return PlatformToken.objects.filter(bot=self._bot_id, name=self._name).first()

    def _begin_renewal(self) -> bool:
        now = timezone.now()
        row, made = PlatformToken.objects.get_or_create(  # type: ignore[misc]  # looked at by current()
            bot_id=self._bot_id,
            name=self._name,
            defaults={"mark": self._mark, "until": now, "renewed_by": _after(now, RENEWAL)},
        )
        if made:
            return True
        # Only the one that was looked at: somebody else may have renewed it since.
        seen = PlatformToken.objects.filter(
            pk=row.pk, until=row.until, renewed_by=row.renewed_by, mark=row.mark
        )
        fresh = row.mark == self._mark and row.until > now
        free = row.renewed_by is None or row.renewed_by <= now
        return not fresh and free and bool(seen.update(renewed_by=_after(now, RENEWAL)))

    def _renew(self) -> str:
        row = PlatformToken.objects.filter(bot=self._bot_id, name=self._name)
        try:
            granted = self._fetch()
        except BaseException:
            row.update(renewed_by=None)
            raise
        row.update(
            value=granted.token,
            mark=self._mark,
            until=_after(timezone.now(), _usable(granted.seconds)),
            renewed_by=None,
        )
        return granted.token

    def _current_here(self) -> str:
        with self._lock:
            if time.monotonic() >= self._own_until:
                granted = self._fetch()
                self._own = granted.token
                self._own_until = time.monotonic() + _usable(granted.seconds)
            return self._own


def _usable(seconds: float) -> float:
    lasts = min(seconds, LONGEST)
    return max(lasts - MARGIN, lasts / 2)


def _after(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def _mark(bot: Bot) -> str:
    told = json.dumps([bot.platform, bot.settings, bot.secrets], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
