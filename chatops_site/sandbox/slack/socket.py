"""Slack's Socket Mode: connections that the portal opens, envelopes down them, acknowledgements up.

https://docs.slack.dev/apis/events-api/using-socket-mode
"""

import json
import random
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from chatops_site.sandbox.sockets import make_silent
from chatops_site.sandbox.talk import Answered

PATH = "/slack/link"
EVENTS, SLASHES, INTERACTIVE = "events_api", "slash_commands", "interactive"
# Slack waits three seconds, and repeats an event up to three times.
ACK_SECONDS = 3.0
EVENT_TRIES = 4
_LEAVING_SECONDS = 10.0

Arguments = dict[str, Any]


@dataclass(eq=False)
class _Line:
    """One connection. leaving: told to go; silent: half-open, nothing passes any more."""

    connection: ServerConnection
    leaving: bool = False
    silent: bool = False


@dataclass(eq=False)
class _Waiter:
    line: _Line
    done: threading.Event = field(default_factory=threading.Event)
    is_acknowledged: bool = False


class SocketMode:
    """The connections of one app."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id
        self._lock = threading.Lock()
        self._tickets: set[str] = set()
        self._lines: list[_Line] = []
        self._waiters: dict[str, _Waiter] = {}
        self.reset()

    def reset(self) -> None:
        """Forgets what was acknowledged and what was to go wrong; connections stay."""
        with self._lock:
            self.acks: list[Arguments] = []
            self.ack_seconds = ACK_SECONDS
            self._to_forget = 0
            self.refusal = ""

    def open_address(self, origin: str) -> str:
        """For one connection."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets.add(ticket)
        return f"{origin}{PATH}?ticket={ticket}&app_id={self._app_id}"

    def connected(self) -> int:
        with self._lock:
            return len([line for line in self._lines if not line.leaving])

    def serve(self, connection: ServerConnection) -> None:
        """Until it ends."""
        if not self._redeem(connection):
            connection.close(4001, "no such ticket")
            return
        line = _Line(connection)
        hello = {
            "type": "hello",
            "num_connections": self.connected() + 1,
            "debug_info": {"host": "applink-demo", "approximate_connection_time": 18_060},
            "connection_info": {"app_id": self._app_id},
        }
        connection.send(json.dumps(hello))
        with self._lock:
            self._lines.append(line)
        try:
            for raw in connection:
                self._take_ack(raw)
        finally:
            self._drop(line)

    def push(self, kind: str, payload: Arguments) -> Answered:
        """Down any one connection; an event again while it is not acknowledged."""
        began = time.perf_counter()
        envelope = {
            "envelope_id": secrets.token_hex(16),
            "type": kind,
            "accepts_response_payload": kind != EVENTS,
            "payload": payload,
        }
        for attempt in range(EVENT_TRIES if kind == EVENTS else 1):
            retry = {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
            told = envelope | (retry if kind == EVENTS else {})
            line = self._choose()
            if line is None:
                return Answered(0, 0.0, "The portal holds no connection.")
            if self._exchange(line, json.dumps(told, ensure_ascii=False), str(told["envelope_id"])):
                return Answered(200, _since(began))
        return Answered(0, _since(began), "No acknowledgement came.")

    def push_text(self, text: str, envelope_id: str, seconds: float) -> bool:
        """Anything at all, down any connection; whether that envelope was acknowledged."""
        line = self._choose()
        if line is None:
            raise ValueError("The portal holds no connection.")
        return self._exchange(line, text, envelope_id, seconds)

    def disconnect(self, reason: str, seconds: float = _LEAVING_SECONDS) -> None:
        """Tells every connection to go; it is closed so many seconds later."""
        farewell = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-demo"}}
        with self._lock:
            leaving = [line for line in self._lines if not line.leaving]
            for line in leaving:
                line.leaving = True
        for line in leaving:
            with suppress(ConnectionClosed):
                line.connection.send(json.dumps(farewell))
            timer = threading.Timer(seconds, line.connection.close)
            timer.daemon = True
            timer.start()

    def silence(self) -> None:
        """Half-open: the connections stay, and nothing passes in either direction, no pong either."""
        with self._lock:
            for line in self._lines:
                line.silent = True
                make_silent(line.connection)

    def cut(self) -> None:
        """Ends every connection without a word."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.connection.close_socket()

    def forget_acks(self, count: int) -> None:
        """The next ones get lost on their way."""
        self._to_forget = count

    def _redeem(self, connection: ServerConnection) -> bool:
        path = connection.request.path if connection.request else ""
        ticket = parse_qs(urlsplit(path).query).get("ticket", [""])[0]
        with self._lock:
            known = ticket in self._tickets
            self._tickets.discard(ticket)
        return known

    def _choose(self) -> _Line | None:
        with self._lock:
            able = [line for line in self._lines if not line.leaving]
        return random.choice(able) if able else None  # noqa: S311  # as Slack chooses

    def _exchange(
        self, line: _Line, text: str, envelope_id: str, seconds: float | None = None
    ) -> bool:
        waiter = _Waiter(line)
        with self._lock:
            self._waiters[envelope_id] = waiter
        if not line.silent:
            with suppress(ConnectionClosed):
                line.connection.send(text)
        waiter.done.wait(self.ack_seconds if seconds is None else seconds)
        with self._lock:
            self._waiters.pop(envelope_id, None)
        return waiter.is_acknowledged

    def _take_ack(self, raw: str | bytes) -> None:
        try:
            ack = json.loads(raw)
            envelope_id = str(ack["envelope_id"])
        except (ValueError, KeyError, TypeError):
            self.acks.append({"unreadable": str(raw)[:200]})
            return
        with self._lock:
            self.acks.append(ack)
            waiter = self._waiters.get(envelope_id)
            if waiter is None:
                return
            if self._to_forget:
                self._to_forget -= 1
                return
            waiter.is_acknowledged = True
        waiter.done.set()

    def _drop(self, line: _Line) -> None:
        with self._lock:
            self._lines.remove(line)
            waiting = [one for one in self._waiters.values() if one.line is line]
        for waiter in waiting:
            waiter.done.set()


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
