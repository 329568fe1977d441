"""The demo's processes: started in order, watched, and ended together."""

import contextlib
import ctypes
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from chatops_site.demo.premises import ROOT, CannotStart

READY_SECONDS: Final = 90.0
GRACE_SECONDS: Final = 10.0
LOOK_EVERY: Final = 0.1
# https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_PR_SET_PDEATHSIG: Final = 1
# Loaded here: between fork and exec nothing may be.
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class Company:
    """Several processes that live and die together; each writes to a file of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.stopping = False

    def stop_at_signals(self) -> None:
        """Ctrl-C, a closed terminal and SIGTERM end the demo; what is being started is ended too."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def run(self, *arguments: str) -> None:
        """One command to its end. Raises CannotStart with what it said."""
        ended = subprocess.run(  # noqa: S603 (our own)
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip()[-2000:]
            raise CannotStart(f"{' '.join(arguments[:2])} failed:\n{said}")

    def start(self, name: str, *arguments: str) -> None:
        """A session of its own, so that Ctrl-C reaches this process alone, which then ends the others."""
        with (self._logs / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 (our own)
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (there are no threads here)
            )

    def wait_until_ready(self, host: str, path: str) -> None:
        """Until that address answers 200. Raises CannotStart when a process ends first or time is up."""
        until = time.monotonic() + READY_SECONDS
        while not self.stopping and not _answers(host, path):
            if name := self.first_dead():
                raise CannotStart(self.epitaph(name))
            if time.monotonic() > until:
                raise CannotStart(
                    f"The portal was not ready in {READY_SECONDS:.0f} s; see {self._logs}."
                )
            time.sleep(LOOK_EVERY)

    def watch(self) -> str:
        """Waits for the end; the name of the process that died, or "" when it was asked to stop."""
        while not self.stopping:
            if name := self.first_dead():
                return name
            time.sleep(LOOK_EVERY)
        return ""

    def first_dead(self) -> str:
        return next((name for name, each in self._running.items() if each.poll() is not None), "")

    def epitaph(self, name: str) -> str:
        """Which one ended, how, and its last lines."""
        log = self._logs / f"{name}.log"
        last = log.read_text("utf-8", errors="replace").strip().splitlines()[-15:]
        status = self._running[name].returncode
        return "\n".join([f"{name} ended with status {status}; its last lines ({log}):", *last])

    def stop(self) -> None:
        """The newest first; who does not go within the grace is killed, and what it had started with it."""
        ending = list(reversed(self._running.values()))
        for each in ending:
            with contextlib.suppress(ProcessLookupError):
                each.send_signal(signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        for each in ending:
            try:
                each.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                # Its whole session: without their master gunicorn's workers would keep the port a while.
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()
        self._running.clear()

    @property
    def pids(self) -> Sequence[int]:
        return [each.pid for each in self._running.values()]


def _end_with_parent() -> None:
    """In the child: Linux ends it too when this process is killed and can end nothing any more."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _answers(host: str, path: str) -> bool:
    connection = http.client.HTTPConnection(host, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
