"""Beside a connection: writes down how it is, and notices when its bot is another one than before."""

import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from threading import Event
from typing import Final

from django.db import Error, close_old_connections, connection
from django.utils import timezone

from bot.connect.standing import Standing, Told
from bot.platforms.models import Bot, Connection

logger = logging.getLogger(__name__)

FORGOTTEN_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True)
class Times:
    """In seconds. write_every: without a change; write_after: at the earliest, with one."""

    write_every: float = 5.0
    write_after: float = 1.0
    look_every: float = 5.0
    tick: float = 0.2


def holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def mark_of(bot: Bot | None) -> str:
    """A digest of all that a connection depends on; "" where there is no bot."""
    if bot is None:
        return ""
    told = [bot.name, bot.platform, bot.settings, bot.secrets, bot.language, bot.enabled]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Keeper:
    """One process's row. noticed gets the mark of the bot as it is stored now."""

    def __init__(
        self,
        bot_id: int,
        standing: Standing,
        *,
        noticed: Callable[[str], None],
        say: Callable[[str], None],
        times: Times,
    ) -> None:
        self._bot_id, self._standing = bot_id, standing
        self._noticed, self._say, self._times = noticed, say, times
        self._written: Told | None = None
        self._written_at = self._looked_at = 0.0

    def keep(self, done: Event) -> None:
        """Until done; a database that does not answer is asked again later."""
        while not done.wait(self._times.tick):
            self._guarded(self._turn)
        self._guarded(self._write)
        connection.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        for line in self._standing.news():
            self._say(line)
        close_old_connections()
        try:
            step()
        except Error as problem:
            logger.warning("the state of a connection could not be written down: %s", problem)
        except Exception:
            logger.exception("the state of a connection could not be kept")

    def _turn(self) -> None:
        now = time.monotonic()
        told, age = self._standing.told(), now - self._written_at
        if age >= self._times.write_every or self._is_news(told, age):
            # Also when it fails: not again in the next instant.
            self._written_at = now
            self._write()
        if now - self._looked_at >= self._times.look_every:
            self._looked_at = now
            self._noticed(mark_of(Bot.objects.filter(pk=self._bot_id).first()))

    def _is_news(self, told: Told, age: float) -> bool:
        if age < self._times.write_after:
            return False
        before = self._written
        return before is None or (told.state, told.problem) != (before.state, before.problem)

    def _write(self) -> None:
        told, now = self._standing.told(), timezone.now()
        if not Bot.objects.filter(pk=self._bot_id).exists():
            return
        rows = Connection.objects.filter(bot_id=self._bot_id)
        rows.update_or_create(
            bot_id=self._bot_id, holder=holder(), defaults={**asdict(told), "at": now}
        )
        rows.filter(at__lt=now - FORGOTTEN_AFTER).delete()
        self._written = told
