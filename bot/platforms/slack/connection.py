"""Slack's Socket Mode: the bot's messages over a connection that the portal opens itself.

https://docs.slack.dev/apis/events-api/using-socket-mode
https://docs.slack.dev/tools/python-slack-sdk/socket-mode
"""

import json
import logging
import re
import select
import socket
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import Any, ClassVar, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from slack_sdk.errors import SlackClientError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.builtin.connection import Connection, ConnectionState
from slack_sdk.web import WebClient

from bot.platforms.base import Parsed, Platform, Rejected, SendFailed
from bot.platforms.dialling import SILENCE, Dialled, Lost, Signs, Take
from bot.platforms.slack.adapter import API_BASE, Slack
from bot.platforms.slack.api import Declined
from chatops_site.kit import strict_json

logger = logging.getLogger(__name__)

# Reasons and codes after which another connection with the same credentials is no use.
REFUSED: Final = frozenset(
    {
        "link_disabled",
        "too_many_websockets",
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "not_allowed_token_type",
        "missing_scope",
        "access_denied",
        "org_login_required",
    }
)
# So often in a minute Slack may want a new connection.
MOST_RENEWALS: Final = 5
_LOOK_EVERY: Final = 0.1
# So many frames wait at most, and so long they are taken after the word to stop.
_MOST_WAITING: Final = 500
_LAST_SECONDS: Final = 1.0
# So often in a row a connection has to be found ended: its last frames are heard before.
_ENDED_LOOKS: Final = 3
# More than of a webhook: what cannot be read cannot be acknowledged, and would come again.
_MOST_NODES: Final = 20_000
_READ_SIZE: Final = 65_536
# The SDK drops half a frame when the rest of it takes longer.
_READ_SECONDS: Final = 10.0
# The SDK speaks TLS on port 443 alone; elsewhere a wss address, too, would go in the clear.
_SECURE: Final = re.compile(r"wss://[A-Za-z0-9.-]{1,250}(?::443)?/[\x21-\x7e]{0,2000}")
_PLAIN: Final = re.compile(r"ws://[A-Za-z0-9.-]{1,250}(?::[0-9]{1,5})?/[\x21-\x7e]{0,2000}")
# Of the SDK's own lines some hold addresses with their tickets, others whole messages.
_MUTE: Final = logging.Logger("slack_sdk", logging.CRITICAL + 1)


class SlackConnection(Dialled):
    """Frames are taken one after the other, in the thread that runs this."""

    # Seconds between pings, and after how many without any sign the other side counts as gone.
    ping_every: ClassVar[float] = 5.0
    silence: ClassVar[float] = SILENCE / 2

    def __init__(self, platform: Platform, take: Take, signs: Signs) -> None:
        super().__init__(platform, take, signs)
        if not isinstance(platform, Slack):
            raise TypeError("Slack's connection is for bots of Slack.")
        self._slack = platform

    def run(self, stop: Event) -> None:
        client = _Client(self._slack, ping_every=self.ping_every)
        try:
            self._serve(client, stop)
        finally:
            self._take_rest(client)
            client.end()

    def _serve(self, client: "_Client", stop: Event) -> None:
        client.renew()
        heard = monotonic()
        while not stop.is_set():
            frame = client.next_frame()
            if frame is not None:
                self._hear(client, frame)
                heard = monotonic()
            elif client.was_answered():
                self.signs.alive()
                heard = monotonic()
            else:
                client.check()
            if monotonic() - heard > self.silence:
                raise Lost(_("Slack has not answered on the connection for too long."))

    def _take_rest(self, client: "_Client") -> None:
        """What has come already: slash commands and presses are not delivered again."""
        until = monotonic() + _LAST_SECONDS
        while monotonic() < until and (raw := client.next_frame(0.0)) is not None:
            frame = _frame(raw)
            self._take(client, frame.get("type"), frame)

    def _hear(self, client: "_Client", raw: str) -> None:
        self.signs.alive()
        frame = _frame(raw)
        kind = frame.get("type")
        if kind == "hello":
            self._greet(frame)
        elif kind == "disconnect":
            _check_farewell(frame.get("reason"))
            client.renew_again()
        else:
            self._take(client, kind, frame)

    def _greet(self, frame: Mapping[str, Any]) -> None:
        told = frame.get("connection_info")
        app = told.get("app_id") if isinstance(told, dict) else None
        if app not in (None, self.platform.setting("app_id")):
            raise Lost(_("The app token belongs to another app than app_id says."), refused=True)
        self.signs.connected()

    def _take(self, client: "_Client", kind: object, frame: Mapping[str, Any]) -> None:
        """Writes down, then acknowledges. What is no envelope is neither."""
        envelope, payload = frame.get("envelope_id"), frame.get("payload")
        if not isinstance(envelope, str) or not envelope or not isinstance(payload, dict):
            return
        try:
            self.take(self._parsed(str(kind), payload))
        except Exception as problem:
            # Slack delivers it again, to this connection or to another one of the app.
            logger.error(
                "bot %s: an envelope could not be written down (%s)",
                self.platform.bot.name,
                type(problem).__name__,
            )
            return
        client.acknowledge(envelope)

    def _parsed(self, kind: str, payload: Mapping[str, Any]) -> Parsed | Rejected:
        try:
            return self._slack.read(kind, payload, now=timezone.now())
        except Rejected as rejected:
            return rejected


class _Client(SocketModeClient):
    """Slack's client, of which only the wire is used: frames wait here for whoever takes them."""

    def __init__(self, platform: Slack, *, ping_every: float) -> None:
        base = platform.setting("api_base")
        super().__init__(
            app_token=platform.secret("app_token"),
            logger=_MUTE,
            web_client=WebClient(base_url=f"{base or API_BASE}/api/", logger=_MUTE),
            auto_reconnect_enabled=False,
            ping_interval=ping_every,
            concurrency=1,
        )
        # As all other calls of the portal, which take no proxy from the environment either.
        self.proxy = None
        self._frames: Queue[str] = Queue(_MOST_WAITING)
        self._platform = platform
        # A stand-in or a proxy of one's own may do without TLS.
        self._addresses = (_SECURE, _PLAIN) if base.startswith("http://") else (_SECURE,)
        # Of the newest attempt: done when it stands, or has failed by a SendFailed.
        self._opening: Future[None] | None = None
        self._answered_at: float | None = None
        self._ended = 0
        self._renewed: deque[float] = deque(maxlen=MOST_RENEWALS)

    def next_frame(self, seconds: float = _LOOK_EVERY) -> str | None:
        """None where none comes in that time."""
        try:
            return self._frames.get(timeout=seconds)
        except Empty:
            return None

    def enqueue_message(self, message: str) -> None:
        """Of too many some are left out: they are not acknowledged, and so delivered again."""
        with suppress(Full):
            self._frames.put_nowait(message)

    def issue_new_wss_url(self) -> str:
        """By the portal's own client, which has a deadline. Or SendFailed."""
        address = self._platform.open_connection()
        if not any(form.fullmatch(address) for form in self._addresses):
            raise SendFailed(_("Slack told no address to connect to."), retryable=True)
        return address

    def renew(self) -> None:
        """Opens a new connection in the background; the old one is heard until that stands."""
        if self._opening is None or self._opening.done():
            self._opening = Future()
            Thread(target=self._renew, args=(self._opening,), daemon=True).start()

    def renew_again(self) -> None:
        """Lost where that is wanted over and over: then it is for whoever waits between two tries."""
        now = monotonic()
        self._renewed.append(now)
        if len(self._renewed) == MOST_RENEWALS and now - self._renewed[0] < 60:
            raise Lost(_("Slack ends one connection after the other."))
        self.renew()

    def check(self) -> None:
        """Lost, if there is no connection any more and none is being opened."""
        if self._opening is not None and not self._opening.done():
            return
        problem = self._opening.exception() if self._opening is not None else None
        if isinstance(problem, SendFailed):
            raise _lost(problem)
        self._ended = self._ended + 1 if self._was_hung_up() else 0
        if self._ended >= _ENDED_LOOKS:
            raise Lost(_("Slack has ended the connection."))

    def was_answered(self) -> bool:
        """Whether another ping was answered since the last look."""
        session = self.current_session
        before = self._answered_at
        self._answered_at = session.last_ping_pong_time if session is not None else None
        return self._answered_at is not None and self._answered_at != before

    def acknowledge(self, envelope: str) -> None:
        """What cannot be acknowledged is delivered again, and known then."""
        session = self.current_session
        if session is not None:
            with suppress(SlackClientError):
                session.send(json.dumps({"envelope_id": envelope}))

    def connect(self) -> None:
        """As the SDK does, which closes the old connection first and waits seconds for that."""
        session = Connection(
            url=self.wss_uri or "",
            logger=_MUTE,
            ping_interval=self.ping_interval,
            receive_timeout=_READ_SECONDS,
            receive_buffer_size=_READ_SIZE,
            on_message_listener=self._on_message,
            on_error_listener=self._on_error,
            on_close_listener=self._on_close,
            ssl_context=self.web_client.ssl,
        )
        session.connect()
        old, old_state = self.current_session, self.current_session_state
        self.current_session = session
        self.current_session_state = ConnectionState()  # type: ignore[no-untyped-call]
        old_state.terminated = True
        _hang_up(old)
        if not self.current_app_monitor_started:
            self.current_app_monitor_started = True
            self.current_app_monitor.start()

    def disconnect(self) -> None:
        _hang_up(self.current_session)

    def end(self) -> None:
        """Closes at once: whoever still waits for frames is woken first."""
        self.closed = True
        self.message_queue.put(None)
        self.close()

    def _renew(self, opening: "Future[None]") -> None:
        try:
            self.wss_uri = self.issue_new_wss_url()
            self.connect()
            opening.set_result(None)
        except SendFailed as problem:
            opening.set_exception(problem)
        except Exception as failure:
            # Its own words may hold the address with its ticket.
            kind = type(failure).__name__
            sentence = _("Slack did not take the connection (%(kind)s).") % {"kind": kind}
            opening.set_exception(SendFailed(sentence, retryable=True))
        finally:
            if self.closed:
                self._end_late()

    def _end_late(self) -> None:
        """What was being opened when the connection was to end."""
        self.disconnect()
        if self.current_app_monitor.is_alive():
            self.current_app_monitor.shutdown()  # type: ignore[no-untyped-call]

    def _was_hung_up(self) -> bool:
        """The SDK reads an ended connection over and over, until its pings fail."""
        session = self.current_session
        sock = session.sock if session is not None else None
        if sock is None:
            return True
        ended = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
        poll = select.poll()
        try:
            poll.register(sock, ended)
            return bool(poll.poll(0))
        except (ValueError, OSError):
            return True


def _hang_up(session: Connection | None) -> None:
    """Ends the reading, so that closing has not to wait for it."""
    sock = session.sock if session is not None else None
    if session is None or sock is None:
        return
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    # The SDK's own threads may have closed it a moment ago.
    with suppress(AttributeError):
        session.close()


def _frame(raw: str) -> Mapping[str, Any]:
    try:
        frame = strict_json.parse(raw.encode("utf-8", "replace"), most_nodes=_MOST_NODES)
    except (strict_json.Malformed, strict_json.TooMuch):
        return {}
    return frame if isinstance(frame, dict) else {}


def _check_farewell(reason: object) -> None:
    if reason in tuple(REFUSED):
        text = _("Slack ended the connection: %(reason)s.") % {"reason": reason}
        raise Lost(text, refused=True)


def _lost(problem: SendFailed) -> Lost:
    code = problem.code if isinstance(problem, Declined) else ""
    return Lost(problem.sentence, refused=code in REFUSED)
