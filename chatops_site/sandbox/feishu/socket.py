"""Feishu's long connection: the connections that the portal opens, and what goes down one of them.

https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/request-url-configuration-case
"""

import json
import random
import secrets
import threading
import time
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from chatops_site.sandbox.feishu import frames
from chatops_site.sandbox.feishu.frames import BadFrame, Frame
from chatops_site.sandbox.sockets import make_silent
from chatops_site.sandbox.talk import Answered

PATH = "/feishu/ws"
SERVICE = 77
# Feishu waits three seconds, and pushes an event up to four times more.
ACK_SECONDS = 3.0
EVENT_TRIES = 5
PING_SECONDS = 120
_PAUSE = 0.2

Arguments = dict[str, Any]


@dataclass(eq=False)
class _Line:
    """One connection; silent: half-open, nothing passes any more."""

    connection: ServerConnection
    silent: bool = False


@dataclass(eq=False)
class _Waiter:
    line: _Line
    done: threading.Event = field(default_factory=threading.Event)
    ack: Frame | None = None


class LongConnection:
    """The connections of one app."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: set[str] = set()
        self._lines: list[_Line] = []
        self._waiters: dict[str, _Waiter] = {}
        self.reset()

    def reset(self) -> None:
        """Forgets what was acknowledged and what was to go wrong; connections stay."""
        with self._lock:
            self.acks: list[Arguments] = []
            self.pings = 0
            self.ack_seconds = ACK_SECONDS
            self.ping_seconds = PING_SECONDS
            self.parts = 1
            self._to_forget = 0

    def open_address(self, origin: str) -> str:
        """For one connection."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets.add(ticket)
        device = secrets.token_hex(8)
        return f"{origin}{PATH}?device_id={device}&service_id={SERVICE}&ticket={ticket}"

    def configuration(self) -> Arguments:
        return {
            "ReconnectCount": -1,
            "ReconnectInterval": 120,
            "ReconnectNonce": 30,
            "PingInterval": self.ping_seconds,
        }

    def connected(self) -> int:
        with self._lock:
            return len(self._lines)

    # The connection ------------------------------------------------------------------------------

    def serve(self, connection: ServerConnection) -> None:
        """Until it ends."""
        if not self._redeem(connection):
            connection.close(4001, "no such ticket")
            return
        line = _Line(connection)
        with self._lock:
            self._lines.append(line)
        try:
            for raw in connection:
                self._hear(line, raw)
        finally:
            self._drop(line)

    def _redeem(self, connection: ServerConnection) -> bool:
        path = connection.request.path if connection.request else ""
        ticket = parse_qs(urlsplit(path).query).get("ticket", [""])[0]
        with self._lock:
            known = ticket in self._tickets
            self._tickets.discard(ticket)
        return known

    def _hear(self, line: _Line, raw: str | bytes) -> None:
        if line.silent:
            return
        try:
            frame = frames.read(raw if isinstance(raw, bytes) else raw.encode())
        except BadFrame:
            self.acks.append({"unreadable": str(raw)[:200]})
            return
        if frame.method == frames.CONTROL and frame.headers.get("type") == "ping":
            self.pings += 1
            payload = json.dumps(self.configuration()).encode()
            pong = Frame(frames.CONTROL, {"type": "pong"}, payload, SERVICE)
            line.connection.send(frames.write(pong))
            return
        self._take_ack(frame)

    def _take_ack(self, frame: Frame) -> None:
        told = {"method": frame.method, "headers": frame.headers, "payload": _payload(frame)}
        with self._lock:
            self.acks.append(told)
            waiter = self._waiters.get(frame.headers.get("message_id", ""))
            if waiter is None:
                return
            if self._to_forget:
                self._to_forget -= 1
                return
            waiter.ack = frame
        waiter.done.set()

    def _drop(self, line: _Line) -> None:
        with self._lock:
            self._lines.remove(line)
            waiting = [one for one in self._waiters.values() if one.line is line]
        for waiter in waiting:
            waiter.done.set()

    # Down the line -------------------------------------------------------------------------------

    def push(self, content: str, *, repeated: bool) -> Answered:
        """Down any one connection; an event again while it is not acknowledged, a callback never."""
        began = time.perf_counter()
        answered = Answered(0, 0.0, "The portal holds no connection.")
        for attempt in range(EVENT_TRIES if repeated else 1):
            if attempt:
                time.sleep(_PAUSE)
            line = self._choose()
            if line is None:
                continue
            message_id = secrets.token_hex(12)
            ack = self._exchange(line, self._split(content.encode(), message_id), message_id)
            answered = _answered(ack, began)
            if answered.status == 200:
                break
        return answered

    def push_raw(self, raws: list[bytes], message_id: str, seconds: float) -> Arguments | None:
        """Anything at all, down one connection; the acknowledgement's payload if one comes in time."""
        line = self._choose()
        if line is None:
            raise ValueError("The portal holds no connection.")
        ack = self._exchange(line, raws, message_id, seconds)
        return None if ack is None else _payload(ack)

    def _split(self, payload: bytes, message_id: str) -> list[bytes]:
        """The last part comes first, as it may on the way."""
        size = -(-len(payload) // self.parts)
        pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
        headers = {
            "type": "event",
            "message_id": message_id,
            "trace_id": secrets.token_hex(8),
            "sum": str(len(pieces)),
        }
        made = [
            Frame(frames.DATA, headers | {"seq": str(n)}, piece, SERVICE, n + 1, n + 1)
            for n, piece in enumerate(pieces)
        ]
        return [frames.write(one) for one in reversed(made)]

    def _choose(self) -> _Line | None:
        with self._lock:
            able = list(self._lines)
        return random.choice(able) if able else None  # noqa: S311  # as Feishu chooses

    def _exchange(
        self, line: _Line, raws: list[bytes], message_id: str, seconds: float | None = None
    ) -> Frame | None:
        waiter = _Waiter(line)
        with self._lock:
            self._waiters[message_id] = waiter
        for raw in raws:
            if not line.silent:
                with suppress(ConnectionClosed):
                    line.connection.send(raw)
        waiter.done.wait(self.ack_seconds if seconds is None else seconds)
        with self._lock:
            self._waiters.pop(message_id, None)
        return waiter.ack

    # Faults --------------------------------------------------------------------------------------

    def silence(self) -> None:
        """Half-open: the connections stay, and nothing passes in either direction."""
        with self._lock:
            for line in self._lines:
                line.silent = True
                make_silent(line.connection)

    def disconnect(self) -> None:
        """Ends every connection."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.connection.close_socket()

    def forget_acks(self, count: int) -> None:
        """The next ones get lost on their way."""
        self._to_forget = count


def _payload(frame: Frame) -> Arguments:
    try:
        told = json.loads(frame.payload)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _answered(ack: Frame | None, began: float) -> Answered:
    milliseconds = round((time.perf_counter() - began) * 1000, 2)
    if ack is None:
        return Answered(0, milliseconds, "No acknowledgement came.")
    told = _payload(ack)
    code = told.get("code")
    body = b64decode(str(told.get("data") or ""))
    return Answered(code if isinstance(code, int) else 500, milliseconds, "", body)
