"""A worker's sign of life, for /readyz and the operators: one row a worker, written every few seconds."""

import os
import socket
from datetime import datetime, timedelta
from typing import Final

from bot.runs.models import Heartbeat

BEAT_EVERY: Final = timedelta(seconds=5)
SILENT_AFTER: Final = timedelta(seconds=20)

_last: datetime | None = None


def name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def beat(now: datetime) -> None:
    global _last  # noqa: PLW0603 - one worker a process
    if _last is not None and now - _last < BEAT_EVERY:
        return
    _last = now
    Heartbeat.objects.update_or_create(worker=name(), defaults={"at": now})
    Heartbeat.objects.filter(at__lt=now - timedelta(days=1)).delete()


def alive(now: datetime) -> bool:
    return Heartbeat.objects.filter(at__gt=now - SILENT_AFTER).exists()
