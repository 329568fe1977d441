"""requests' transport over checked addresses, bound to one deadline over all that happens on it.

https://requests.readthedocs.io/en/latest/user/advanced/#transport-adapters,
https://urllib3.readthedocs.io/en/stable/reference/urllib3.connection.html
"""

import io
import logging
import socket
import ssl
import threading
from functools import lru_cache
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from .addresses import Origin, check_addresses, check_scheme
from .http_errors import BadAnswer, CutOff, HttpError, NoAnswer, NotConnected, Untrusted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DIAL_SECONDS: Final = 3.0
HEADER_CAP: Final = 64 * 1024
# Servers and middleboxes drop idle connections; a write must not be the one to find out.
IDLE_SECONDS = 15.0
IDLE_CONNECTIONS: Final = 16

# Both write whole URLs, and a query string may hold a secret.
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.ERROR)


class CheckedAdapter(HTTPAdapter):
    """Sends over connections to addresses that were checked when connecting. Never repeats."""

    def __init__(self, origin: Origin, *, ca_file: str) -> None:
        super().__init__()
        context = tls_context(ca_file) if origin.scheme == "https" else None
        self.init_poolmanager(1, IDLE_CONNECTIONS, ssl_context=context)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Trusts whom the context trusts: requests would add its own authorities to them."""


class _Connection(HTTPConnection):
    scheme = "http"
    _quiet_since = 0.0

    @property
    def is_connected(self) -> bool:
        return monotonic() - self._quiet_since < IDLE_SECONDS and super().is_connected

    def connect(self) -> None:
        origin = self._origin()
        until = monotonic() + (self.timeout or 0.0)
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            raise Untrusted(
                _("The certificate of %(host)s cannot be trusted: %(reason)s.")
                % {"host": origin.netloc, "reason": error.verify_message}
            ) from None
        except OSError:
            raise NotConnected(
                _("No secure connection to %(host)s: it did not finish the TLS handshake properly.")
                % {"host": origin.netloc}
            ) from None
        self.sock = Wire(self.sock, host=origin.netloc, until=until)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
        wire: Any = self.sock
        wire.header_allowance = HEADER_CAP
        response = super().getresponse()
        wire.header_allowance = None
        self._quiet_since = monotonic()
        return response

    def _new_conn(self) -> socket.socket:
        return open_socket(self._origin(), until=monotonic() + (self.timeout or 0.0))

    def _origin(self) -> Origin:
        return Origin(scheme=self.scheme, host=self.host, port=self.port, path="")


class _TlsConnection(_Connection, HTTPSConnection):
    scheme = "https"


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Wire:
    """A connected socket, as far as http.client and urllib3 use one.

    Every operation gets only the time that is left until `until` (of the monotonic clock), so that
    a peer who sends a byte now and then cannot keep anybody past it.
    """

    def __init__(self, sock: socket.socket, *, host: str, until: float) -> None:
        self._sock = sock
        self._host = host
        self._until = until
        self.header_allowance: int | None = None
        self.fileno = sock.fileno
        self.close = sock.close

    def settimeout(self, seconds: float) -> None:
        """What urllib3 means for each operation is here for all of them together."""
        self._until = monotonic() + seconds

    def sendall(self, content: bytes) -> None:
        rest = memoryview(content)
        try:
            while rest:
                self.tighten()
                rest = rest[self._sock.send(rest) :]
        except (BrokenPipeError, ConnectionResetError):
            raise  # urllib3 then looks whether an answer came before the end
        except OSError as error:
            raise self.no_answer(error) from None

    def makefile(self, mode: str) -> io.BufferedReader:
        raw = self._sock.makefile(mode, buffering=0)  # type: ignore[call-overload]
        return io.BufferedReader(_Reader(self, raw))

    def count_headers(self, count: int) -> None:
        if self.header_allowance is None:
            return
        self.header_allowance -= count
        if self.header_allowance < 0:
            raise BadAnswer(_("The answer has more headers than can be right."))

    def tighten(self) -> None:
        self._sock.settimeout(seconds_left(self._until))

    def no_answer(self, error: OSError) -> NoAnswer:
        if isinstance(error, TimeoutError):
            return NoAnswer(_("%(host)s did not answer in time.") % {"host": self._host})
        return CutOff(
            _("%(host)s ended the connection before its answer was complete.")
            % {"host": self._host}
        )


class _Reader(io.RawIOBase):
    def __init__(self, wire: Wire, raw: socket.SocketIO) -> None:
        self._wire = wire
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        try:
            self._wire.tighten()
            count = self._raw.readinto(buffer)
            # http.client takes a connection cut amid the headers for their end: for an answer.
            if count == 0 and self._wire.header_allowance is not None:
                raise ConnectionResetError
        except OSError as error:
            raise self._wire.no_answer(error) from None
        self._wire.count_headers(count or 0)
        return count

    def readall(self) -> bytes:
        """Only a chunk of the size -1 asks for all there is, without an end."""
        raise ValueError

    def close(self) -> None:
        self._raw.close()
        super().close()


def seconds_left(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def open_socket(origin: Origin, *, until: float) -> socket.socket:
    """Resolves once, checks every address, and connects to exactly those."""
    check_scheme(origin)
    targets = _resolve(origin, until=until)
    check_addresses(origin, [str(address[0]) for _family, address in targets])
    return _dial(origin, targets, until=until)


Target = tuple[socket.AddressFamily, tuple[object, ...]]


def _resolve(origin: Origin, *, until: float) -> list[Target]:
    """The addresses of the host. A resolver that does not answer is left behind at the deadline."""
    if origin.address is not None:
        return _look_up(origin)
    answers: SimpleQueue[list[Target]] = SimpleQueue()
    threading.Thread(
        target=lambda: answers.put(_look_up(origin)), name="resolve", daemon=True
    ).start()
    try:
        targets = answers.get(timeout=seconds_left(until))
    except (Empty, TimeoutError):
        targets = []
    if not targets:
        raise NotConnected(
            _("The name %(host)s was not found. Check the address, or the portal's DNS.")
            % {"host": origin.host}
        )
    return targets


def _look_up(origin: Origin) -> list[Target]:
    try:
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [(family, address) for family, _type, _proto, _name, address in found]


def _dial(origin: Origin, targets: list[Target], *, until: float) -> socket.socket:
    for family, address in targets:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(min(DIAL_SECONDS, seconds_left(until)))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(seconds_left(until))
        except OSError:
            sock.close()
        else:
            return sock
    raise NotConnected(
        _("%(host)s cannot be reached: it refused the connection or did not answer.")
        % {"host": origin.netloc}
    )


@lru_cache(maxsize=32)
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Trusts the given authorities alone, or else the system's and those that requests brings."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError:
        raise HttpError(
            _("The file of certificate authorities %(path)s cannot be read.") % {"path": ca_file}
        ) from None
    if not ca_file:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context
