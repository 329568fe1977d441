"""Feishu's long connection: events over a websocket that the portal opens, in the frames of its SDK.

https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/request-url-configuration-case
https://github.com/larksuite/oapi-sdk-python
"""

import asyncio
import logging
import re
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlsplit

from django.db import connections
from django.utils import timezone
from django.utils.translation import gettext as _
from lark_oapi.core.enum import LogLevel
from lark_oapi.ws.client import Client
from lark_oapi.ws.model import ClientConfig
from lark_oapi.ws.pb.pbbp2_pb2 import Frame
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bot.platforms.base import Ignored, Parsed, Platform, Rejected, SendFailed
from bot.platforms.dialling import SILENCE, Dialled, Lost, Signs, Take
from bot.platforms.feishu.adapter import Feishu, answer_to
from bot.platforms.feishu.api import Declined, Endpoint
from bot.platforms.reading import Unusable, parse_object
from chatops_site.kit.addresses import parse_origin
from chatops_site.kit.http import HttpError
from chatops_site.kit.sockets import open_socket, tls_context

logger = logging.getLogger(__name__)

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 0.5
LARGEST: Final = 1_000_000
# Of one event. The SDK makes room for as many as a frame tells.
MOST_PARTS: Final = 64
# Codes after which another try with the same credentials is no use.
REFUSED: Final = frozenset({403, 514, 10003, 10014, 1000040344, 1000040350})

_LOOK_EVERY: Final = 0.1
# What was heard but is not taken yet is given so long after the word to stop.
_LAST_SECONDS: Final = 0.5
_END_SECONDS: Final = 1.2
_SECURE: Final = re.compile(r"wss://[\x21-\x7e]{1,4000}")
_ANY: Final = re.compile(r"wss?://[\x21-\x7e]{1,4000}")
# websockets logs the address with its ticket, and whole frames, where DEBUG is on.
_MUTE: Final = logging.Logger("websockets", logging.CRITICAL + 1)


class FeishuConnection(Dialled):
    """Events are taken by the thread that runs this, while another one has the SDK and its loop."""

    silence: ClassVar[float] = SILENCE

    def __init__(self, platform: Platform, take: Take, signs: Signs) -> None:
        super().__init__(platform, take, signs)
        if not isinstance(platform, Feishu):
            raise TypeError("Feishu's connection is for bots of Feishu.")
        self._feishu = platform

    def run(self, stop: Event) -> None:
        line = _Line(self._feishu, self.signs, ping_every=self.silence / 3)
        line.begin()
        try:
            self._take_all(line, stop)
        finally:
            line.end()

    def _take_all(self, line: "_Line", stop: Event) -> None:
        """Until it is to end and nothing waits any more, or is Lost."""
        until = None
        while until is None or monotonic() < until:
            if stop.is_set() and until is None:
                until = monotonic() + _LAST_SECONDS
            letter = line.next_letter()
            if letter is not None:
                self._answer(letter)
                line.heard()
            elif stop.is_set():
                return
            else:
                line.check(self.silence)

    def _answer(self, letter: "_Letter") -> None:
        """Takes it; the SDK acknowledges with what is answered, and a failure as one: it comes again."""
        try:
            parsed = self._parsed(letter.payload)
            letter.answer.set_result(answer_to(parsed, self.take(parsed)))
        except Exception as failure:
            logger.warning(
                "bot %s: an event is not written down yet: %s",
                self._feishu.bot.name,
                type(failure).__name__,
            )
            letter.answer.set_exception(_NotTaken())

    def _parsed(self, payload: bytes) -> Parsed | Rejected:
        try:
            return self._feishu.read(parse_object(payload), now=timezone.now())
        except Rejected as rejected:
            return rejected
        except Unusable as unusable:
            return Ignored(str(unusable))


class _NotTaken(Exception):
    """What the SDK answers with 500."""


class _Letter:
    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.answer: Future[dict[str, Any]] = Future()


class _Pulse:
    """How a connection is, as its thread notes it and the one that takes reads it."""

    def __init__(self) -> None:
        self.is_open = False
        self.heard_at, self.count = monotonic(), 0

    def beat(self) -> None:
        self.heard_at, self.count = monotonic(), self.count + 1


class _Desk:
    """In the SDK's place of an event dispatcher: it hands every event over and waits for the answer."""

    def __init__(self) -> None:
        self.letters: SimpleQueue[_Letter] = SimpleQueue()
        self.is_closed = Event()

    def _do_without_validation(self, payload: bytes) -> dict[str, Any] | None:
        """Called by the SDK, on its loop: nothing else is heard meanwhile, so they stay in order."""
        letter = _Letter(payload)
        self.letters.put(letter)
        while True:
            try:
                return letter.answer.result(_LOOK_EVERY) or None
            except NotYet:
                if self.is_closed.is_set():
                    raise _NotTaken from None


class _Client(Client):  # type: ignore[misc]  # the SDK is not typed
    """The SDK's client, of which the frames are used: it has no end, no deadlines, and a loop of its own."""

    def __init__(self, feishu: Feishu, desk: _Desk, pulse: _Pulse, *, ping_every: float) -> None:
        """Made on the loop that it is to run on: its cache begins a task there."""
        # It logs the address with its ticket as information, and events when debugging.
        super().__init__(
            feishu.setting("app_id"), "", log_level=LogLevel.CRITICAL, event_handler=desk
        )
        self._pulse, self._longest_pause = pulse, ping_every

    async def serve(self, endpoint: Endpoint) -> None:
        """Until the connection ends."""
        self._conn = await _connect(endpoint.address)
        told = parse_qs(urlsplit(endpoint.address).query)
        self._service_id = _service(told.get("service_id", [""])[0])
        self._configure(ClientConfig(endpoint.configuration))
        self._pulse.is_open = True
        self._pulse.beat()
        pings = asyncio.ensure_future(self._ping_loop())
        try:
            async for raw in self._conn:
                self._pulse.beat()
                if isinstance(raw, bytes):
                    await self._handle_message(raw)
        finally:
            pings.cancel()
            await self._conn.close()

    def _configure(self, conf: ClientConfig) -> None:
        """Of what Feishu wishes only the pause between pings counts, if it is not too long for us."""
        wished = conf.PingInterval
        usable = isinstance(wished, int) and not isinstance(wished, bool) and wished > 0
        self._ping_interval = min(wished if usable else self._longest_pause, self._longest_pause)

    async def _handle_data_frame(self, frame: Frame) -> None:
        parts = [one.value for one in frame.headers if one.key == "sum"]
        if all(_is_small(one) for one in parts):
            await super()._handle_data_frame(frame)


class _Line:
    """One connection in a thread of its own. Everything that goes wrong is Lost."""

    def __init__(self, feishu: Feishu, signs: Signs, *, ping_every: float) -> None:
        self._feishu, self._signs, self._ping_every = feishu, signs, ping_every
        self._desk, self._pulse = _Desk(), _Pulse()
        self._task: asyncio.Task[None] | None = None
        self._problem: Lost | None = None
        self._is_told, self._beats = False, 0
        self._thread = Thread(target=self._run, name="feishu", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def next_letter(self) -> _Letter | None:
        """None where none comes soon."""
        try:
            letter = self._desk.letters.get(timeout=_LOOK_EVERY)
        except Empty:
            letter = None
        self._tell_signs()
        return letter

    def heard(self) -> None:
        """While something was being taken nothing else could be heard."""
        self._pulse.beat()

    def check(self, silence: float) -> None:
        """Lost, where it has ended or nothing is heard any more."""
        if not self._thread.is_alive():
            raise self._problem or Lost(_("Feishu ended the connection."))
        if monotonic() - self._pulse.heard_at > silence * 0.9:
            raise Lost(_("Feishu's connection has been silent for too long."))

    def end(self) -> None:
        """Whatever is still being acknowledged goes out first; nothing new is heard."""
        self._desk.is_closed.set()
        task = self._task
        if task is not None:
            # Its loop may have ended by itself meanwhile.
            with suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        self._thread.join(_END_SECONDS)

    def _tell_signs(self) -> None:
        """By the thread that takes: no database may be asked on the SDK's loop."""
        if self._pulse.is_open and not self._is_told:
            self._is_told = True
            self._signs.connected()
        if self._pulse.count != self._beats:
            self._beats = self._pulse.count
            self._signs.alive()

    def _run(self) -> None:
        try:
            endpoint = self._open()
            with asyncio.Runner() as runner:
                runner.run(self._serve(endpoint))
        except asyncio.CancelledError:
            pass
        except Lost as lost:
            self._problem = lost
        except Exception as failure:
            kind = type(failure).__name__
            self._problem = Lost(_("The connection to Feishu broke (%(kind)s).") % {"kind": kind})
        finally:
            connections.close_all()

    def _open(self) -> Endpoint:
        # Where that cannot be learnt, the bot is told from others by where it is mentioned.
        with suppress(SendFailed):
            self._feishu.learn_bot()
        try:
            endpoint = self._feishu.open_connection()
        except SendFailed as problem:
            code = problem.code if isinstance(problem, Declined) else 0
            raise Lost(problem.sentence, refused=code in REFUSED) from None
        known = _ANY if self._feishu.setting("api_base") else _SECURE
        if not known.fullmatch(endpoint.address):
            raise Lost(_("Feishu named an address for the connection that is none."))
        return endpoint

    async def _serve(self, endpoint: Endpoint) -> None:
        self._task = asyncio.current_task()
        # What was to end while it was being opened.
        if self._desk.is_closed.is_set():
            return
        client = _Client(self._feishu, self._desk, self._pulse, ping_every=self._ping_every)
        await _or_lost(client.serve(endpoint))
        raise Lost(_("Feishu ended the connection."))


async def _or_lost(serving: Coroutine[Any, Any, None]) -> None:
    """What went wrong in words that hold no address."""
    try:
        await serving
    except InvalidStatus as refused:
        raise _refusal(refused) from None
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        raise Lost(_("Feishu ended the connection (code %(code)s).") % {"code": code}) from None
    except HttpError as problem:
        raise Lost(str(problem)) from None
    except (OSError, ValueError, EOFError, WebSocketException) as problem:
        kind = type(problem).__name__
        raise Lost(_("Feishu did not take the connection (%(kind)s).") % {"kind": kind}) from None


def _refusal(refused: InvalidStatus) -> Lost:
    """Feishu says why in headers of its own."""
    headers = refused.response.headers
    told = headers.get("handshake-autherrcode") or headers.get("handshake-status") or ""
    code = int(told) if told.isascii() and told.isdigit() and len(told) < 12 else 0
    if not code:
        status = refused.response.status_code
        return Lost(_("Feishu answered %(status)s; it may work again soon.") % {"status": status})
    return Lost(Declined(code).sentence, refused=code in REFUSED)


async def _connect(address: str) -> ClientConnection:
    origin = parse_origin("http" + address.removeprefix("ws").partition("?")[0])
    loop = asyncio.get_running_loop()
    until = monotonic() + OPEN_SECONDS
    sock = await loop.run_in_executor(None, lambda: open_socket(origin, until=until))
    sock.setblocking(False)
    return await connect(
        address,
        sock=sock,
        ssl=tls_context("") if origin.scheme == "https" else None,
        compression=None,
        user_agent_header="chatops-portal",
        open_timeout=OPEN_SECONDS,
        ping_interval=None,
        close_timeout=CLOSE_SECONDS,
        max_size=LARGEST,
        logger=_MUTE,
        proxy=None,
    )


def _service(told: str) -> str:
    """A number, which the SDK puts into its pings."""
    return told if told.isascii() and told.isdigit() and len(told) < 10 else "0"


def _is_small(told: str) -> bool:
    return told.isascii() and told.isdigit() and len(told) < 4 and int(told) <= MOST_PARTS
