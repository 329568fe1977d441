"""Starts a sandbox of its own and drives its control: for tests, for `make demo`, for benches."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

_ROOT = Path(__file__).resolve().parents[2]


class SandboxError(Exception):
    """The sandbox did not start, or its control refused; the text says why."""


class Sandbox:
    """One running sandbox: where its systems are, and its control as methods.

    Use it as a context manager, or call `stop` yourself.
    """

    def __init__(self, urls: dict[str, str], running: subprocess.Popen[str] | None = None) -> None:
        self.urls = urls
        self.chat = urls["chat"]
        self.gitee = urls["gitee"]
        self.jenkins = urls["jenkins"]
        self.control = urls["control"]
        self._running = running

    @classmethod
    def start(cls, *arguments: str, port: int = 0, state: str = "demo", speed: float = 1.0) -> Self:
        """Starts a process on ephemeral ports unless told otherwise; more options as they stand."""
        line = _command(arguments, port=port, state=state, speed=speed)
        known = os.environ | {"PYTHONPATH": str(_ROOT)}
        running = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=known)  # noqa: S603 (our own)
        watch = threading.Timer(20, running.kill)
        watch.start()
        assert running.stdout is not None  # noqa: S101 (PIPE was asked for)
        first = running.stdout.readline()
        watch.cancel()
        if not first:
            raise SandboxError(f"The sandbox ended at once with status {running.wait()}.")
        return cls(json.loads(first), running)

    def stop(self) -> int:
        """Ends the process that `start` began; gives back its exit status."""
        if self._running is None:
            return 0
        self._running.send_signal(signal.SIGTERM)
        try:
            status = self._running.wait(5)
        except subprocess.TimeoutExpired:
            self._running.kill()
            status = self._running.wait()
        if self._running.stdout is not None:
            self._running.stdout.close()
        self._running = None
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._running.pid if self._running else 0

    def state(self) -> dict[str, Any]:
        return self._ask("GET", "state")

    def journal(self, system: str = "", since: int = 0) -> list[dict[str, Any]]:
        query = urlencode({"system": system, "since": since})
        entries: list[dict[str, Any]] = self._ask("GET", f"journal?{query}")["entries"]
        return entries

    def messages(self, since: int = 0, *, platform: str = "dingtalk") -> list[dict[str, Any]]:
        query = urlencode({"since": since, "platform": platform})
        found: list[dict[str, Any]] = self._ask("GET", f"messages?{query}")["messages"]
        return found

    def reset(self, state: str = "demo") -> None:
        self._ask("POST", "reset", state=state)

    def fault(self, system: str, mode: str, **options: Any) -> int:
        """options: method, path_regex, times (-1: for ever), skip, apply, and the mode's own."""
        return int(self._ask("POST", "fault", system=system, mode=mode, **options)["fault"])

    def clear_faults(self) -> None:
        self._ask("POST", "clear_faults")

    def push(self, repository: str, number: int, sha: str = "") -> str:
        """One more commit on a pull request; gives back the new head."""
        answer = self._ask("POST", "push", repository=repository, number=number, sha=sha)
        return str(answer["sha"])

    def change(self, system: str, op: str, **arguments: Any) -> dict[str, Any]:
        return self._ask("POST", system, op=op, **arguments)

    def change_gitee(self, op: str, **arguments: Any) -> dict[str, Any]:
        return self._ask("POST", "gitee", op=op, **arguments)

    def change_jenkins(self, op: str, **arguments: Any) -> dict[str, Any]:
        return self._ask("POST", "jenkins", op=op, **arguments)

    def change_chat(self, op: str, **arguments: Any) -> dict[str, Any]:
        """platform: whose stand-in it is for, where it is not the first one's."""
        return self._ask("POST", "chat", op=op, **arguments)

    def say(
        self,
        person: str,
        conversation: str,
        text: str,
        *,
        platform: str = "dingtalk",
        **more: Any,
    ) -> dict[str, Any]:
        said = {"person": person, "conversation": conversation, "text": text, "platform": platform}
        return self._ask("POST", "say", **said, **more)

    def press(
        self, person: str, n: int, button: str, *, platform: str = "dingtalk", **more: Any
    ) -> dict[str, Any]:
        """A button of the bot's message n, by its id; more: tamper, times."""
        pressed = {"person": person, "n": n, "button": button, "platform": platform}
        return self.change_chat("press", **pressed, **more)

    def choose_mode(self, platform: str, mode: str) -> None:
        """ "http" or "dialled": which way that platform's messages go to the portal."""
        self.change_chat("mode", platform=platform, mode=mode)

    def set_hooks(self, **terms: Any) -> None:
        """forge (whose webhooks are sent; "" for none), mode, secret, copies, age (seconds), spoilt."""
        self._ask("POST", "hooks", **terms)

    def sent_hooks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "hooks")["sent"]
        return found

    def set_speed(self, factor: float) -> None:
        self._ask("POST", "speed", factor=factor)

    def _ask(self, method: str, path: str, /, **arguments: Any) -> dict[str, Any]:
        place = urlsplit(self.control)
        connection = http.client.HTTPConnection(place.netloc, timeout=90)
        body = json.dumps(arguments) if method == "POST" else None
        kind = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, f"{place.path}/{path}", body, kind)
            answer = connection.getresponse()
            content: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise SandboxError(f"The sandbox refused {method} {path}: {content.get('message')}")
        return content


def _command(arguments: Sequence[str], *, port: int, state: str, speed: float) -> list[str]:
    named = {"--port": port, "--state": state, "--speed": speed}
    flat = [str(part) for pair in named.items() for part in pair]
    return [sys.executable, "-m", "chatops_site.sandbox", *flat, *arguments]
