"""DingTalk's Stream: the connections that the portal opens, and what goes down one of them.

https://open-dingtalk.github.io/developerpedia/docs/learn/stream/protocol
"""

import json
import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.sockets import make_silent
from chatops_site.sandbox.talk import Answered

PATH = "/ding/connect"
MESSAGES = "/v1.0/im/bot/messages/get"
CARDS = "/v1.0/card/instances/callback"
CALLBACK, EVENT, SYSTEM = "CALLBACK", "EVENT", "SYSTEM"
_TICKET_SECONDS = 90
_ANSWER_SECONDS = 10.0
_GRACE_SECONDS = 10.0
# How often and how many times DingTalk itself repeats an event is not documented.
_EVENT_TRIES = 3
_EVENT_PAUSE = 0.2

Arguments = dict[str, Any]
Topics = frozenset[tuple[str, str]]


@dataclass(eq=False)
class _Line:
    """One connection. leaving: it was told to disconnect; silent: half-open, nothing passes any more."""

    connection: ServerConnection
    topics: Topics
    id: str = field(default_factory=lambda: secrets.token_urlsafe(15))
    leaving: bool = False
    silent: bool = False


@dataclass(eq=False)
class _Waiter:
    """Of one acknowledgement; ack stays None when the line ends before."""

    line: _Line
    done: threading.Event = field(default_factory=threading.Event)
    ack: Arguments | None = None


class Stream:
    """The gateway of one app: tickets, lines, pushes, acknowledgements."""

    def __init__(self, clock: Clock, app_id: str) -> None:
        self._clock = clock
        self._app_id = app_id
        self._lock = threading.Lock()
        self._tickets: dict[str, tuple[Topics, float]] = {}
        self._lines: list[_Line] = []
        self._waiters: dict[str, _Waiter] = {}
        self.acks: list[Arguments] = []
        self.ping_seconds = 5.0
        self._to_forget = 0

    def reset(self) -> None:
        """Forgets what was acknowledged and what was to be; connections stay."""
        with self._lock:
            self.acks = []
            self.ping_seconds = 5.0
            self._to_forget = 0

    def open_ticket(self, subscriptions: object) -> str:
        """For one connection within 90 s."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets[ticket] = _topics(subscriptions), self._clock.now()
        return ticket

    def connected(self) -> int:
        with self._lock:
            return len([line for line in self._lines if not line.leaving])

    # The connection ------------------------------------------------------------------------------

    def serve(self, connection: ServerConnection) -> None:
        """Until it ends. How DingTalk refuses a ticket is not documented."""
        topics = self._redeem(connection)
        if topics is None:
            connection.close(4001, "no such ticket")
            return
        line = _Line(connection, topics)
        with self._lock:
            self._lines.append(line)
        try:
            self._listen(line)
        finally:
            self._drop(line)

    def _redeem(self, connection: ServerConnection) -> Topics | None:
        path = connection.request.path if connection.request else ""
        ticket = parse_qs(urlsplit(path).query).get("ticket", [""])[0]
        with self._lock:
            topics, since = self._tickets.pop(ticket, (None, 0.0))
        return topics if self._clock.now() - since <= _TICKET_SECONDS else None

    def _listen(self, line: _Line) -> None:
        while True:
            try:
                raw = line.connection.recv(timeout=self.ping_seconds)
            except TimeoutError:
                self._ping(line)
                continue
            self._take_ack(raw)

    def _ping(self, line: _Line) -> None:
        if not line.silent:
            line.connection.send(self._frame(line, SYSTEM, "ping", _opaque(), _new_id()))

    def _take_ack(self, raw: str | bytes) -> None:
        try:
            ack = json.loads(raw)
            message_id = str(ack["headers"]["messageId"])
        except (ValueError, KeyError, TypeError):
            self.acks.append({"unreadable": str(raw)[:200]})
            return
        with self._lock:
            self.acks.append(ack)
            waiter = self._waiters.get(message_id)
            if waiter is not None and self._to_forget:
                self._to_forget -= 1
            elif waiter is not None:
                waiter.ack = ack
        if waiter is not None:
            waiter.done.set()

    def _drop(self, line: _Line) -> None:
        with self._lock:
            self._lines.remove(line)
            waiting = [one for one in self._waiters.values() if one.line is line]
        for waiter in waiting:
            waiter.done.set()

    # Down the line -------------------------------------------------------------------------------

    def push(self, topic: str, data: str, *, kind: str = CALLBACK) -> Answered:
        """Once, down any one connection that subscribed to it: DingTalk does not repeat callbacks."""
        began = time.perf_counter()
        line = self._choose(kind, topic)
        if line is None:
            return Answered(0, 0.0, "The portal holds no connection that subscribed to this.")
        message_id = _new_id()
        ack = self._exchange(line, self._frame(line, kind, topic, data, message_id), message_id)
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        if ack is None:
            return Answered(0, milliseconds, "No acknowledgement came.")
        return Answered(_code(ack), milliseconds, "", str(ack.get("data", "")).encode())

    def push_event(self, data: str) -> Answered:
        """An event is repeated until it is acknowledged, and not with {"status": "LATER"}."""
        answered = Answered(0, 0.0)
        for _ in range(_EVENT_TRIES):
            answered = self.push("*", data, kind=EVENT)
            if answered.status == 200 and _status(answered.body) != "LATER":
                break
            time.sleep(_EVENT_PAUSE)
        return answered

    def push_text(self, text: str, seconds: float) -> Arguments | None:
        """Anything at all, down any connection; the acknowledgement if one comes in so many seconds."""
        line = self._choose("", "")
        if line is None:
            raise ValueError("The portal holds no connection.")
        try:
            message_id = str(json.loads(text)["headers"]["messageId"])
        except (ValueError, KeyError, TypeError, RecursionError):
            message_id = ""
        return self._exchange(line, text, message_id, seconds)

    def _choose(self, kind: str, topic: str) -> _Line | None:
        with self._lock:
            able = [
                line
                for line in self._lines
                if not line.leaving and (not topic or (kind, topic) in line.topics)
            ]
        return random.choice(able) if able else None  # noqa: S311  # as DingTalk chooses

    def _exchange(
        self, line: _Line, text: str, message_id: str, seconds: float = _ANSWER_SECONDS
    ) -> Arguments | None:
        with self._waiting(line, message_id) as waiter:
            if not line.silent:
                with suppress(ConnectionClosed):
                    line.connection.send(text)
            waiter.done.wait(seconds)
            return waiter.ack

    @contextmanager
    def _waiting(self, line: _Line, message_id: str) -> Iterator[_Waiter]:
        waiter = _Waiter(line)
        with self._lock:
            self._waiters[message_id] = waiter
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiters.pop(message_id, None)

    def _frame(self, line: _Line, kind: str, topic: str, data: str, message_id: str) -> str:
        headers = {
            "appId": self._app_id,
            "connectionId": line.id,
            "contentType": "application/json",
            "messageId": message_id,
            "time": str(int(time.time() * 1000)),
            "topic": topic,
        }
        frame = {"specVersion": "1.0", "type": kind, "headers": headers, "data": data}
        return json.dumps(frame, ensure_ascii=False)

    # Faults --------------------------------------------------------------------------------------

    def disconnect(self, seconds: float = _GRACE_SECONDS) -> None:
        """Tells every connection to go; it is closed so many seconds later."""
        with self._lock:
            leaving = [line for line in self._lines if not line.leaving]
            for line in leaving:
                line.leaving = True
        data = json.dumps({"reason": "connection is expired"})
        for line in leaving:
            with suppress(ConnectionClosed):
                line.connection.send(self._frame(line, SYSTEM, "disconnect", data, _new_id()))
            timer = threading.Timer(seconds, line.connection.close)
            timer.daemon = True
            timer.start()

    def silence(self) -> None:
        """Half-open: the connections stay, and nothing passes in either direction, no pong either."""
        with self._lock:
            for line in self._lines:
                line.silent = True
                make_silent(line.connection)

    def forget_acks(self, count: int) -> None:
        """The next ones get lost on their way."""
        self._to_forget = count


def _topics(subscriptions: object) -> Topics:
    if not isinstance(subscriptions, list):
        return frozenset()
    wanted = (one for one in subscriptions if isinstance(one, dict))
    return frozenset((str(one.get("type")), str(one.get("topic"))) for one in wanted)


def _new_id() -> str:
    return secrets.token_urlsafe(18)


def _opaque() -> str:
    return json.dumps({"opaque": secrets.token_hex(8)})


def _code(ack: Arguments) -> int:
    code = ack.get("code")
    return code if isinstance(code, int) else 500


def _status(body: bytes) -> str:
    try:
        return str(json.loads(body)["status"])
    except (ValueError, KeyError, TypeError):
        return ""
