"""Django's SQLite, but a transaction waits for its turn in a line instead of asking SQLite ever more rarely.

SQLite has one writer. Who finds it busy sleeps for 1, 2, 5, … up to 100 ms and asks again, so that under
load some wait for seconds while the database is free in between. Here the threads of a process stand at
a lock, and their processes at a locked file beside the database. The line decides nothing: whoever has
waited long enough goes on to SQLite, whose own lock and timeout (OPTIONS["timeout"]) are the truth.

https://www.sqlite.org/c3ref/busy_timeout.html, https://docs.djangoproject.com/en/5.2/ref/databases/
"""

import contextlib
import fcntl
import os
import threading
import time
from functools import lru_cache
from typing import Any, Final

from django.db.backends.sqlite3 import base

ASK_EVERY: Final = 0.0005


class Line:
    """Where those who write to one database stand; one for all threads of the process."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._process = os.getpid()
        self._file = -1

    def enter(self, seconds: float) -> bool:
        """Waits for the turn, at most so long; whether it came."""
        until = time.monotonic() + seconds
        if not self._threads.acquire(timeout=seconds):
            return False
        while not self._has_turn():
            if time.monotonic() > until:
                self._threads.release()
                return False
            time.sleep(ASK_EVERY)
        return True

    def leave(self) -> None:
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def _has_turn(self) -> bool:
        """True too where no file can be locked: then the line ends at the process's door."""
        if self._file < 0 or self._process != os.getpid():
            self._open()
        try:
            if self._file >= 0:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            self._file = -1
        return True

    def _open(self) -> None:
        """A forked child opens it anew: with its parent's opening it would share its parent's turn."""
        self._process = os.getpid()
        with contextlib.suppress(OSError):
            self._file = os.open(f"{self._path}-line", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@lru_cache(maxsize=8)
def line_of(path: str) -> Line:
    return Line(path)


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes its place in line with BEGIN and gives it up with COMMIT, ROLLBACK or the connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._has_turn = False

    def _start_transaction_under_autocommit(self) -> None:
        self._enter()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._leave()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._leave()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._leave()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._leave()

    def _enter(self) -> None:
        if self._has_turn or self.is_in_memory_db():
            return
        name, seconds = self.settings_dict["NAME"], self.settings_dict["OPTIONS"].get("timeout", 5)
        self._line = line_of(str(name))
        self._has_turn = self._line.enter(seconds)

    def _leave(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._line.leave()
