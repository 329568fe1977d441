"""The portal's outgoing connections in the demo: each is begun when the page wants it, and ended after."""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chatops_site.sandbox.stand import DIALLED, ChatStand

_LEASH = str(Path(__file__).with_name("leash.py"))
# What a connection is being taken from at that moment may need ten.
_GRACE_SECONDS = 12.0
_LONGEST_LINE = 300


@dataclass
class _Dialler:
    """One process that keeps a bot connected, and what it said last."""

    command: list[str]
    line: str = ""
    status: int | None = None
    _process: "subprocess.Popen[str] | None" = None
    _begun: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        threading.Thread(target=self._keep, daemon=True).start()
        self._begun.wait()

    def ask_to_end(self) -> None:
        if self._process is not None and not self._over.is_set():
            self._process.terminate()

    def end(self) -> None:
        """SIGTERM and a while to go; SIGKILL when that was not heard."""
        if self._process is None:
            return
        self.ask_to_end()
        if not self._over.wait(_GRACE_SECONDS):
            self._process.kill()
            self._over.wait(_GRACE_SECONDS)

    def _keep(self) -> None:
        # Linux ends the process with the thread that began it, so that one stays as long.
        line = [sys.executable, "-I", _LEASH, str(os.getpid()), *self.command]
        try:
            self._process = subprocess.Popen(  # noqa: S603 (as the sandbox was told on its command line)
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            self.line, self.status = str(error), -1
            return
        finally:
            self._begun.set()
        self._listen(self._process)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        with process:
            for said in process.stdout or ():
                self.line = said.strip()[:_LONGEST_LINE] or self.line
                sys.stderr.write(said)
        self.status = process.returncode
        self._over.set()


class Dialling:
    """Which platforms' bots connect by themselves. command has {bot} where the bot's name goes.

    Without a command somebody else has to start the connection.
    """

    def __init__(
        self, stands: Mapping[str, ChatStand], bots: Mapping[str, str], command: str
    ) -> None:
        self._stands = stands
        self._bots = bots
        self._command = command
        self._lock = threading.Lock()
        self._diallers: dict[str, _Dialler] = {}

    def choose(self, platform: str, mode: str) -> None:
        """ValueError for a mode that it has not. What went before has ended when this comes back."""
        stand = self._stands[platform]
        with self._lock:
            stand.choose_mode(mode)
            before = self._diallers.pop(platform, None)
            if before is not None:
                before.end()
            if mode == DIALLED and self._command:
                self._diallers[platform] = self._begin(self._bots[platform])

    def told(self, platform: str) -> dict[str, str]:
        """Its bot, how the connection is, and the last line of whoever keeps it; "" where none is wanted."""
        dialler = self._diallers.get(platform)
        return {
            "bot": self._bots[platform],
            "connection": self._how(self._stands[platform], dialler),
            "line": dialler.line if dialler is not None else "",
        }

    def end(self) -> None:
        """Nothing that was begun here stays behind."""
        with self._lock:
            diallers = list(self._diallers.values())
            self._diallers.clear()
        for dialler in diallers:
            dialler.ask_to_end()
        for dialler in diallers:
            dialler.end()

    def _how(self, stand: ChatStand, dialler: _Dialler | None) -> str:
        if stand.mode != DIALLED:
            return ""
        if stand.connected():
            return "connected"
        if dialler is None:
            return "awaited"
        return "connecting" if dialler.status is None else "ended"

    def _begin(self, bot: str) -> _Dialler:
        line = [part.replace("{bot}", bot) for part in shlex.split(self._command)]
        dialler = _Dialler(line)
        dialler.begin()
        return dialler
