"""Servers on loopback that answer from a list or misbehave on purpose, and their certificates."""

import datetime as dt
import io
import ipaddress
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import override_settings

SECRET = "canary-c4n4ry"


@dataclass
class Call:
    """One request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes


Reply = bytes | Callable[[socket.socket], None]


@dataclass
class Peer:
    """A server that answers call after call from a list, the last one for ever."""

    replies: list[Reply]
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def answer_with(body: bytes = b"{}", *, status: str = "200 OK", **headers: str) -> bytes:
    named = {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def _read_call(stream: io.BufferedIOBase) -> Call | None:
    line = stream.readline().decode().strip()
    if not line:
        return None
    headers = {}
    while header := stream.readline().decode().strip():
        name, _, value = header.partition(": ")
        headers[name.lower()] = value
    return Call(line, headers, stream.read(int(headers.get("content-length", 0))))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, peer: Peer, tls: ssl.SSLContext | None) -> None:
        self.peer, self.tls = peer, tls
        super().__init__(("127.0.0.1", 0), _Conversation)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on purpose here."""


class _Conversation(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        peer = self.server.peer
        peer.connections += 1
        sock = self.request
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls is not None:
            sock = self.server.tls.wrap_socket(sock, server_side=True)
        stream = sock.makefile("rb")
        while (call := _read_call(stream)) is not None:
            peer.calls.append(call)
            reply = peer.next_reply()
            if callable(reply):
                reply(sock)
                return
            sock.sendall(reply)


Serve = Callable[..., Peer]


def serving() -> Iterator[Serve]:
    """The body of a fixture: starts servers on demand, lets clients reach them, stops them."""
    servers: list[_Server] = []

    def start(*replies: Reply, tls: ssl.SSLContext | None = None) -> Peer:
        peer = Peer(list(replies))
        server = _Server(peer, tls)
        servers.append(server)
        peer.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return peer

    with override_settings(OUTGOING_ALLOW=["127.0.0.1"]):
        yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def drip(start: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    def send(sock: socket.socket) -> None:
        sock.sendall(start)
        with suppress(OSError):
            for _ in range(200):
                time.sleep(0.02)
                sock.sendall(drop)

    return send


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def then_close(reply: bytes) -> Callable[[socket.socket], None]:
    def send(sock: socket.socket) -> None:
        sock.sendall(reply)
        sock.shutdown(socket.SHUT_RDWR)

    return send


@dataclass(frozen=True)
class Certificate:
    file: Path
    context: ssl.SSLContext


def make_certificate(folder: Path, *, name: str, days: int = 1) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return Certificate(file, context)
