"""Tells workers that a run is ready, at once: a datagram on local sockets, NOTIFY on PostgreSQL.

Nothing depends on it: a lost wake-up costs at most the second until the worker looks at the run table.
"""

import contextlib
import logging
import os
import select
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg
from django.conf import settings
from django.db import Error, connection

logger = logging.getLogger(__name__)

CHANNEL: Final = "chatops_run"
LONGEST_DATAGRAM: Final = 32

_sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
_sender.setblocking(False)


def ready(run_id: int) -> None:
    """To be called after the commit. Never raises: the worker's own look is the safety net."""
    if connection.vendor == "postgresql":
        _notify(run_id)
        return
    for path in Path(settings.WAKE_DIR).glob("*.sock"):
        _poke(path, run_id)


def _notify(run_id: int) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(run_id)])
    except Error as problem:
        # What was committed is on disk: that nobody hears of it at once is no reason to say otherwise.
        logger.warning("run %s could not be announced: %s", run_id, type(problem).__name__)


def _poke(path: Path, run_id: int) -> None:
    try:
        _sender.sendto(str(run_id).encode(), str(path))
    except BlockingIOError:
        logger.debug("the worker at %s is behind; it will look by itself", path)
    except (ConnectionRefusedError, FileNotFoundError):
        # Left behind by a worker that was killed.
        with contextlib.suppress(OSError):
            path.unlink()
    except OSError as problem:
        logger.warning("the worker at %s cannot be called: %s", path, problem)


class Listener:
    """A worker's ear: wait() gives the run ids that were announced."""

    def __init__(self) -> None:
        folder = Path(settings.WAKE_DIR)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"worker-{os.getpid()}.sock"
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self._closing = threading.Event()
        self._notified: threading.Thread | None = None
        if connection.vendor == "postgresql":
            self._notified = threading.Thread(target=self._follow_notifications, daemon=True)
            self._notified.start()

    def wait(self, seconds: float) -> list[int]:
        """Ids announced since the last call, after at most that many seconds; 0 stands for "look"."""
        select.select([self._socket], [], [], seconds)
        ids: list[int] = []
        while len(ids) < 1000:
            try:
                ids.append(int(self._socket.recv(LONGEST_DATAGRAM)))
            except BlockingIOError:
                break
            except ValueError:
                continue
        return ids

    def poke(self, run_id: int = 0) -> None:
        """Wakes the own wait() from another thread."""
        _poke(self.path, run_id)

    def close(self) -> None:
        self._closing.set()
        if self._notified is not None:
            self._notified.join(timeout=2)
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _follow_notifications(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen_once()
            except psycopg.Error as problem:
                logger.warning("waiting for PostgreSQL to listen again: %s", type(problem).__name__)
                self._closing.wait(1)

    def _listen_once(self) -> None:
        parameters = connection.get_connection_params()
        wanted = {
            k: parameters[k]
            for k in ("dbname", "user", "password", "host", "port")
            if k in parameters
        }
        with psycopg.connect(autocommit=True, connect_timeout=5, **wanted) as listening:
            listening.execute(f"LISTEN {CHANNEL}")
            self.poke()
            while not self._closing.is_set():
                for notice in listening.notifies(timeout=1):
                    self.poke(int(notice.payload))
