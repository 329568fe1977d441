"""One open connection of DingTalk's Stream: opened by a ticket, asked whether it lives, closed soon.

https://websockets.readthedocs.io/en/15.0.1/reference/sync/client.html
"""

import logging
import re
from contextlib import suppress
from threading import Event
from time import monotonic
from typing import Final
from urllib.parse import quote

from django.utils.translation import gettext as _
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from bot.platforms.dialling import Lost
from chatops_site.kit.addresses import parse_origin
from chatops_site.kit.http import HttpError
from chatops_site.kit.sockets import open_socket, tls_context

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 0.5
LARGEST: Final = 1_000_000

_ADDRESS: Final = re.compile(r"wss?://[A-Za-z0-9.:\[\]-]{1,255}(?:/[A-Za-z0-9/_.~-]{0,200})?")
# What comes over the line is believed without another proof, so it has to be DingTalk's own.
_VENDOR_S: Final = re.compile(r"wss://(?:[a-z0-9-]+\.)*dingtalk\.com(?::443)?(?:/.*)?")
_TICKET: Final = re.compile(r"[\x21-\x7e]{1,2000}")
# websockets logs the address with its ticket, and whole frames, where DEBUG is on.
_MUTE: Final = logging.Logger("websockets", logging.CRITICAL + 1)


class Line:
    """Received from by one thread, sent to by any. Everything that goes wrong is Lost, or silence."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._opened = self._heard = monotonic()
        self._pong: Event | None = None
        self._lived = False

    def age(self) -> float:
        return monotonic() - self._opened

    def receive(self, seconds: float) -> str | bytes | None:
        """The next frame, or None when none came in that time."""
        try:
            raw = self._connection.recv(timeout=seconds)
        except TimeoutError:
            self._look_for_pong()
            return None
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
            raise Lost(
                _("DingTalk ended the connection (code %(code)s).") % {"code": code}
            ) from None
        self._note_life()
        return raw

    def has_lived(self) -> bool:
        """Whether anything came since this was asked last."""
        lived, self._lived = self._lived, False
        return lived

    def check(self, silence: float) -> None:
        """Asks for a sign of life after a third of so many seconds; Lost when another third brings none."""
        quiet = monotonic() - self._heard
        if quiet > silence * 2 / 3:
            raise Lost(_("DingTalk's connection has been silent for too long."))
        if quiet > silence / 3 and self._pong is None:
            with suppress(ConnectionClosed):
                self._pong = self._connection.ping()

    def send(self, text: str) -> None:
        """Into the void where the line has ended: DingTalk repeats what it wants acknowledged."""
        with suppress(ConnectionClosed):
            self._connection.send(text)

    def close(self) -> None:
        self._connection.close()

    def _look_for_pong(self) -> None:
        if self._pong is not None and self._pong.is_set():
            self._note_life()

    def _note_life(self) -> None:
        self._heard, self._pong, self._lived = monotonic(), None, True


def open_line(endpoint: str, ticket: str, *, api_base: str) -> Line:
    """Connects to where DingTalk said; api_base: the bot's own, which then may name any host."""
    right = _ADDRESS.fullmatch(endpoint) and _TICKET.fullmatch(ticket)
    if not right or not (api_base or _VENDOR_S.fullmatch(endpoint)):
        raise Lost(_("DingTalk named an address for the connection that is none of its own."))
    try:
        return Line(_connect(endpoint, ticket))
    except HttpError as problem:
        raise Lost(str(problem)) from None
    except (OSError, ValueError, EOFError, WebSocketException) as problem:
        # Their own words may hold the address with its ticket.
        kind = type(problem).__name__
        raise Lost(_("DingTalk did not take the connection (%(kind)s).") % {"kind": kind}) from None


def _connect(endpoint: str, ticket: str) -> ClientConnection:
    origin = parse_origin("http" + endpoint.removeprefix("ws"))
    sock = open_socket(origin, until=monotonic() + OPEN_SECONDS)
    sock.settimeout(None)
    return connect(
        f"{endpoint}?ticket={quote(ticket, safe='')}",
        sock=sock,
        ssl=tls_context("") if origin.scheme == "https" else None,
        compression=None,
        user_agent_header="chatops-portal",
        open_timeout=OPEN_SECONDS,
        ping_interval=None,
        close_timeout=CLOSE_SECONDS,
        max_size=LARGEST,
        logger=_MUTE,
    )
