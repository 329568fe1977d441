"""The sandbox's HTTP ground: fast keep-alive servers on loopback, a journal, faults on demand."""

import hashlib
import json
import re
import socket
import socketserver
import struct
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qs, unquote

from chatops_site.sandbox.faults import Fault, Faults

__all__ = [
    "Fault",
    "Faults",
    "Headers",
    "Journal",
    "Request",
    "Response",
    "Router",
    "System",
    "as_html",
    "as_json",
    "serve",
]

_JSON = "application/json; charset=utf-8"
_BODY_CAP = 64_000_000
_CONTROL = "/__control"
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_SECRET_NAMES = frozenset(
    {"access_token", "token", "private_token", "secret", "appsecret", "password", "accesstoken"}
)
E = TypeVar("E")
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Headers(Mapping[str, str]):
    """Headers by name in any case; a repeated one is joined by a comma."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Request:
    """One request; `raw_path` is what was sent (no query), `segments` is decoded exactly once."""

    method: str
    raw_path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    segments: tuple[str, ...]

    @property
    def origin(self) -> str:
        """Scheme, host and port as the caller reached us: the root of every absolute URL."""
        return "http://" + self.headers.get("host", "127.0.0.1")

    @property
    def is_from_here(self) -> bool:
        """Not by a page of another site, nor under a rebound name: those may drive nothing by a browser."""
        host = self.headers.get("host", "").partition(":")[0]
        return host in _LOOPBACK and self.headers.get("origin", self.origin) == self.origin

    def json(self) -> Any:
        return json.loads(self.body.decode("utf-8"))

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def arguments(self) -> dict[str, str]:
        """Query and body flat as text; of a repeated name the last one counts."""
        found = {name: values[-1] for name, values in self.query.items()}
        if not self.body:
            return found
        kind = self.headers.get("content-type", "")
        if "json" in kind:
            found.update(_flat(self.body))
        elif "form-urlencoded" in kind:
            found.update({name: values[-1] for name, values in self.form().items()})
        return found


def _flat(body: bytes) -> dict[str, str]:
    try:
        content = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {str(name): _as_text(value) for name, value in content.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = _JSON


def as_json(value: Any, status: int = 200, **headers: str) -> Response:
    """Headers by keyword; an underscore stays one (Gitee's total_count has it)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(status, text.encode(), headers)


def as_html(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), content_type="text/html; charset=utf-8")


class System(Protocol):
    """One outside system: its answers, what the control may do to it, what it is like now."""

    name: str

    def answer(self, request: Request) -> Response: ...


class Router(Generic[E]):
    """Routes like "repos/{owner}/{repo}" over decoded segments, by number of segments."""

    def __init__(self, routes: Mapping[tuple[str, str], E]) -> None:
        self._by_length: dict[int, list[tuple[str, tuple[str, ...], E]]] = {}
        for (method, pattern), endpoint in routes.items():
            parts = tuple(pattern.split("/"))
            self._by_length.setdefault(len(parts), []).append((method, parts, endpoint))

    def find(self, method: str, segments: tuple[str, ...]) -> tuple[E, dict[str, str]] | None:
        for wanted, parts, endpoint in self._by_length.get(len(segments), ()):
            if wanted == method and (found := _matched(parts, segments)) is not None:
                return endpoint, found
        return None

    def allowed(self, segments: tuple[str, ...]) -> list[str]:
        """The methods that a path has: none means 404, another one means 405."""
        rows = self._by_length.get(len(segments), ())
        return sorted({row[0] for row in rows if _matched(row[1], segments) is not None})


def _matched(parts: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    found = {}
    for part, segment in zip(parts, segments, strict=True):
        if part[:1] == "{":
            found[part[1:-1]] = segment
        elif part != segment:
            return None
    return found


class Journal:
    """What came in, in order; tokens are kept as a scheme and eight digits of their digest."""

    def __init__(self, keep: int = 50_000) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=keep)
        self._lock = threading.Lock()
        self._n = 0

    @property
    def entries(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._entries)

    def add(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._n += 1
            entry["n"] = self._n
            self._entries.append(entry)

    def since(self, n: int = 0, system: str = "") -> list[dict[str, Any]]:
        found = [entry for entry in self.entries if entry["n"] > n]
        return [entry for entry in found if not system or entry["system"] == system]

    def clear(self) -> None:
        """Forgets the entries; numbers go on growing, so that `since` stays true."""
        with self._lock:
            self._entries.clear()


def _journal_entry(system: str, request: Request) -> dict[str, Any]:
    return {
        "n": 0,
        "system": system,
        "at": time.time(),
        "method": request.method,
        "path": request.raw_path,
        "query": {name: _shown(name, values[-1]) for name, values in request.query.items()},
        "arguments": {name: _shown(name, value) for name, value in request.arguments().items()},
        "authorization": _mark(request.headers.get("authorization", "")),
        "status": 0,
        "applied": False,
        "fault": "",
    }


def _shown(name: str, value: str) -> str:
    return _mark(value) if name.lower() in _SECRET_NAMES else value


def _mark(value: str) -> str:
    if not value:
        return ""
    scheme, _, secret = value.rpartition(" ")
    return f"{scheme} {hashlib.sha256(secret.encode()).hexdigest()[:8]}".strip()


class _Gone(Exception):
    """The connection ends here, without another byte."""


class _Connection(socketserver.StreamRequestHandler):
    """One keep-alive connection. Parsed by hand: the stdlib's parser costs three times all else."""

    disable_nagle_algorithm = True
    server: "_Server"

    def handle(self) -> None:
        try:
            while self._serve_one():
                pass
        except (OSError, _Gone, ValueError):
            return

    def _serve_one(self) -> bool:
        line = self.rfile.readline(65_537)
        if not line.strip():
            return False
        method, target, version = line.decode("latin-1").split()
        headers = self._read_headers()
        body = self._read_body(headers)
        raw_path, _, query = target.partition("?")
        request = Request(
            method,
            raw_path,
            parse_qs(query, keep_blank_values=True) if query else {},
            Headers(headers),
            body,
            tuple(unquote(part) for part in raw_path.strip("/").split("/")),
        )
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        self._answer(request)
        return keep

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while (line := self.rfile.readline(65_537)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._read_chunks())
        length = int(headers.get("content-length") or 0)
        if length > _BODY_CAP:
            raise _Gone
        return self.rfile.read(length) if length else b""

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(100).split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline(10)
        self._read_headers()

    def _answer(self, request: Request) -> None:
        if request.raw_path.startswith(_CONTROL):
            self._send(request, self._applied(request, {}))
            return
        system = self.server.system.name
        entry = _journal_entry(system, request)
        fault = self.server.faults.take(system, request.method, request.raw_path)
        self.server.journal.add(entry)
        if fault is None:
            response = self._applied(request, entry)
            self._send(request, response)
            return
        entry["fault"] = fault.mode
        self._answer_faulty(request, entry, fault)

    def _applied(self, request: Request, entry: dict[str, Any]) -> Response:
        try:
            response = self.server.system.answer(request)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            response = as_json({"message": f"The sandbox itself failed: {error!r}"}, 500)
        entry["applied"], entry["status"] = True, response.status
        return response

    def _answer_faulty(self, request: Request, entry: dict[str, Any], fault: Fault) -> None:
        """Before the effect, the effect, after it: each fault says what it does at which point."""
        response = self._applied(request, entry) if fault.applies_first else None
        self._interrupt(fault)
        if fault.replaces:
            response = Response(*fault.replacement())
            entry["status"] = response.status
        elif response is None:
            response = self._applied(request, entry)
        self._send_by(fault, request, response)

    def _interrupt(self, fault: Fault) -> None:
        if fault.mode == "delay":
            self.server.faults.wait(fault, float(fault.options.get("seconds", 1)))
        elif fault.mode == "hang":
            self.server.faults.wait(fault, float(fault.options.get("seconds", 60)))
            self._reset()
        elif fault.mode in ("reset_before", "reset_after"):
            self._reset()

    def _send_by(self, fault: Fault, request: Request, response: Response) -> None:
        head, body = self._written(request, response)
        if fault.mode == "close_mid":
            self.wfile.write(head + body[: len(body) // 2])
            raise _Gone
        if fault.mode in ("drip", "drip_header"):
            at_once, slowly = (head, body) if fault.mode == "drip" else (b"", head + body)
            self._drip(fault, at_once, slowly)
            return
        self.wfile.write(head + body)

    def _drip(self, fault: Fault, at_once: bytes, slowly: bytes) -> None:
        interval = float(fault.options.get("interval", 0.2))
        self.wfile.write(at_once)
        for index in range(len(slowly)):
            self.wfile.write(slowly[index : index + 1])
            if not self.server.faults.wait(fault, interval):
                self.wfile.write(slowly[index + 1 :])
                return

    def _send(self, request: Request, response: Response) -> None:
        head, body = self._written(request, response)
        self.wfile.write(head + body)

    def _written(self, request: Request, response: Response) -> tuple[bytes, bytes]:
        status, body = response.status, response.body
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}", _date_line()]
        if status not in (204, 304):
            if response.content_type:
                lines.append(f"Content-Type: {response.content_type}")
            lines.append(f"Content-Length: {len(body)}")
        else:
            body = b""
        lines += [f"{name}: {_one_line(value)}" for name, value in response.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        return head, b"" if request.method == "HEAD" else body

    def _reset(self) -> None:
        """RST instead of FIN: linger 0, and every reference to the socket closed."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        raise _Gone


def _one_line(value: str) -> str:
    return re.sub(r"[\r\n]+", " ", value)


_date = (0, "")


def _date_line() -> str:
    global _date  # noqa: PLW0603 (a cache of one second, replaced whole)
    second = int(time.time())
    if _date[0] != second:
        _date = (second, "Date: " + formatdate(second, usegmt=True))
    return _date[1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, port: int, system: System, journal: Journal, faults: Faults) -> None:
        self.system, self.journal, self.faults = system, journal, faults
        super().__init__(("127.0.0.1", port), _Connection)

    def server_bind(self) -> None:
        # HTTPServer's own asks the DNS for our name, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what the sandbox is for; nothing to say about them."""


def serve(
    systems: Mapping[System, int], journal: Journal, faults: Faults
) -> list[ThreadingHTTPServer]:
    """Binds each system to its port on 127.0.0.1 (0: any free one) and answers in threads."""
    servers: list[ThreadingHTTPServer] = []
    for system, port in systems.items():
        server = _Server(port, system, journal, faults)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
    return servers
