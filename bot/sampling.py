"""Counts what strangers can cause, and says which few of it are worth writing down."""

import threading
import time
from collections import Counter


class Sampler:
    """At most per_minute samples a minute in this process; each carries how many it stands for."""

    def __init__(self, *, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._minute = 0
        self._given = 0
        self._unseen: Counter[str] = Counter()

    def count(self, key: str) -> int | None:
        """How many of key have come since its last sample, this one included; None: do not write it down."""
        minute = int(time.monotonic() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._given = minute, 0
            if len(self._unseen) < 1000 or key in self._unseen:
                self._unseen[key] += 1
            if self._given >= self._per_minute:
                return None
            self._given += 1
            return self._unseen.pop(key, 1)
