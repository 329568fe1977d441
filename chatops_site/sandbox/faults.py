"""Faults on demand: which request they hit, and what is sent instead of the answer."""

import itertools
import re
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_HTML = "text/html; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_MEGABYTE = 1_000_000
_APPLIED = frozenset({"reset_after", "close_mid", "drip", "drip_header"})

Replacement = tuple[int, bytes, dict[str, str], str]


@dataclass
class Fault:
    """One fault; `times` below 0 never ends, `skip` lets that many matching requests pass first."""

    number: int
    system: str
    method: str
    path: re.Pattern[str]
    mode: str
    times: int
    skip: int
    generation: int
    options: dict[str, Any]

    @property
    def applies_first(self) -> bool:
        """The effect happens before the fault; the option "apply" asks it of any mode."""
        return self.mode in _APPLIED or bool(self.options.get("apply"))

    @property
    def replaces(self) -> bool:
        return self.mode in _REPLACEMENTS

    def replacement(self) -> Replacement:
        return _REPLACEMENTS[self.mode](self.options)

    def meets(self, system: str, method: str, path: str) -> bool:
        return (
            self.system in ("*", system)
            and self.method in ("*", method)
            and self.path.search(path) is not None
        )


def _status(options: dict[str, Any]) -> Replacement:
    status = int(options.get("status", 500))
    body = str(options.get("body", '{"message":"Internal Server Error"}'))
    headers = {str(name): str(value) for name, value in options.get("headers", {}).items()}
    return status, body.encode(), headers, str(options.get("content_type", _JSON))


def _html200(options: dict[str, Any]) -> Replacement:
    page = "<!DOCTYPE html><html><body><h1>Sign in</h1><p>Session expired.</p></body></html>"
    return 200, str(options.get("body", page)).encode(), {}, _HTML


def _badjson(options: dict[str, Any]) -> Replacement:
    return 200, str(options.get("body", '{"state": "open", ')).encode(), {}, _JSON


def _huge(options: dict[str, Any]) -> Replacement:
    size = int(float(options.get("megabytes", 20)) * _MEGABYTE)
    return 200, b'{"filler":"' + b"x" * size + b'"}', {}, _JSON


def _gzbomb(options: dict[str, Any]) -> Replacement:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b'{"filler":"')]
    block = b"x" * _MEGABYTE
    parts += [packer.compress(block) for _ in range(int(options.get("megabytes", 100)))]
    parts += [packer.compress(b'"}'), packer.flush()]
    return 200, b"".join(parts), {"Content-Encoding": "gzip"}, _JSON


def _redirect(options: dict[str, Any]) -> Replacement:
    location = str(options.get("location", "http://127.0.0.1:9/elsewhere"))
    return int(options.get("status", 302)), b"", {"Location": location}, _HTML


def _e429(options: dict[str, Any]) -> Replacement:
    headers = {"Retry-After": str(options.get("retry_after", 1))}
    return 429, b'{"message":"API rate limit exceeded"}', headers, _JSON


_REPLACEMENTS: dict[str, Callable[[dict[str, Any]], Replacement]] = {
    "status": _status,
    "html200": _html200,
    "badjson": _badjson,
    "huge": _huge,
    "gzbomb": _gzbomb,
    "redirect": _redirect,
    "e429": _e429,
}
MODES = frozenset(_REPLACEMENTS) | _APPLIED | {"delay", "hang", "reset_before"}


class Faults:
    """The faults that wait for their requests; `clear` also lets go of what hangs."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._waiting: list[Fault] = []
        self._numbers = itertools.count(1)
        self._generation = 0

    def add(
        self,
        system: str,
        *,
        mode: str,
        method: str = "*",
        path_regex: str = "",
        times: int = 1,
        **options: Any,
    ) -> int:
        """Gives back the fault's number. ValueError for an unknown mode or a bad expression."""
        if mode not in MODES:
            raise ValueError(f"There is no fault {mode!r}; there are: {', '.join(sorted(MODES))}.")
        try:
            path = re.compile(path_regex)
        except re.error as error:
            raise ValueError(f"path_regex is no regular expression: {error}.") from error
        skip = int(options.pop("skip", 0))
        number = next(self._numbers)
        with self._lock:
            born = self._generation
            self._waiting.append(
                Fault(number, system, method.upper(), path, mode, times, skip, born, options)
            )
        return number

    def take(self, system: str, method: str, path: str) -> Fault | None:
        if not self._waiting:
            return None
        with self._lock:
            for fault in self._waiting:
                if fault.meets(system, method, path):
                    return self._used(fault)
        return None

    def _used(self, fault: Fault) -> Fault | None:
        if fault.skip > 0:
            fault.skip -= 1
            return None
        fault.times -= 1
        if fault.times == 0:
            self._waiting.remove(fault)
        return fault

    def waiting(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {
                    "number": fault.number,
                    "system": fault.system,
                    "method": fault.method,
                    "path_regex": fault.path.pattern,
                    "mode": fault.mode,
                    "times": fault.times,
                    "skip": fault.skip,
                    **fault.options,
                }
                for fault in self._waiting
            ]

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._generation += 1
            self._lock.notify_all()

    def wait(self, fault: Fault, seconds: float) -> bool:
        """True after the whole time, False once the faults were cleared."""
        end = time.monotonic() + seconds
        with self._lock:
            while self._generation == fault.generation:
                left = end - time.monotonic()
                if left <= 0:
                    return True
                self._lock.wait(left)
        return False
