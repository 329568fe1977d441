"""The one clock of the sandbox: Jenkins' time may run faster than the wall's, nobody sleeps."""

import threading
import time
from datetime import datetime, timedelta, timezone

_CHINA = timezone(timedelta(hours=8))


class Clock:
    """Epoch seconds that pass `factor` times as fast as real ones; a change never jumps back."""

    def __init__(self, factor: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._factor = factor
        self._real = time.monotonic()
        self._shown = time.time()

    @property
    def factor(self) -> float:
        return self._factor

    def now(self) -> float:
        with self._lock:
            return self._read()

    def set_factor(self, factor: float) -> None:
        if not factor > 0:
            raise ValueError("A clock's factor is a number above 0.")
        with self._lock:
            self._shown, self._real = self._read(), time.monotonic()
            self._factor = factor

    def advance(self, seconds: float) -> None:
        """Jump ahead, for tests of what takes minutes."""
        with self._lock:
            self._shown += seconds

    def _read(self) -> float:
        return self._shown + (time.monotonic() - self._real) * self._factor


def china_time(seconds: float) -> str:
    """ISO 8601 in +08:00, to the second, as Gitee writes it."""
    return datetime.fromtimestamp(int(seconds), _CHINA).isoformat()
