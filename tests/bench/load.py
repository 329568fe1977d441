"""A load generator light enough for two cores: raw sockets, prepared bytes, keep-alive, threads."""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One request: when it was sent (epoch seconds), how long its answer took (seconds), its status."""

    sent_at: float
    took: float
    status: int


def fire(port: int, requests: Sequence[bytes], *, connections: int) -> tuple[list[Sample], float]:
    """Sends every request once over so many connections; the samples and the total seconds."""
    lists = [requests[first::connections] for first in range(connections)]
    results: list[list[Sample]] = [[] for _ in lists]
    barrier = threading.Barrier(connections + 1)
    threads = [
        threading.Thread(target=_line, args=(port, part, result, barrier))
        for part, result in zip(lists, results, strict=True)
    ]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return [sample for result in results for sample in result], time.perf_counter() - start


def _line(
    port: int, requests: Sequence[bytes], result: list[Sample], barrier: threading.Barrier
) -> None:
    connection = _connect(port)
    barrier.wait()
    for request in requests:
        sent_at, start = time.time(), time.perf_counter()
        try:
            connection.sendall(request)
            status, keeps = _answer(connection)
        except OSError:
            status, keeps = 0, False
        result.append(Sample(sent_at, time.perf_counter() - start, status))
        if not keeps:
            connection.close()
            connection = _connect(port)
    connection.close()


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _answer(connection: socket.socket) -> tuple[int, bool]:
    """Status, and whether the connection stays; the bodies here are empty."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            raise OSError("closed")
        head += piece
    return int(head[9:12]), b"connection: close" not in head.lower()


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A whole HTTP request, ready to be sent."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
