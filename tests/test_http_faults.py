"""The client for outgoing HTTP against time, size, bad TLS, flipping names and loose tongues."""

import gzip
import logging
import resource
import socket
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from chatops_site.kit import sockets
from chatops_site.kit.http import (
    AddressRefused,
    BadAnswer,
    Client,
    HttpError,
    NoAnswer,
    NotConnected,
)
from tests.loopback import (
    SECRET,
    Serve,
    answer_with,
    drip,
    make_certificate,
    reset,
    serving,
    then_close,
)

serve_fixture = pytest.fixture(serving, name="serve")

# Time


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"H", b""),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "headers", "one header", "nothing", "continues"],
)
@pytest.mark.parametrize("method", ["get", "send"])
def test_a_drip_feed_ends_at_the_deadline(
    serve: Serve, start: bytes, drop: bytes, method: str
) -> None:
    peer = serve(drip(start, drop))
    client = Client(peer.url, deadline=0.2)
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="did not answer in time") as caught:
        client.get("/") if method == "get" else client.send("PUT", "/")
    assert 0.15 < time.monotonic() - began < 1
    assert caught.value.sent
    assert len(peer.calls) == 1


def test_a_peer_that_reads_nothing_cannot_hold_a_large_body(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Client(f"http://127.0.0.1:{deaf.getsockname()[1]}", deadline=1.0)
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            client.send("POST", "/", form={"x": "y" * 20_000_000})
        assert time.monotonic() - began < 4


def test_a_tls_handshake_that_never_ends_ends_at_the_deadline(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Client(f"https://127.0.0.1:{deaf.getsockname()[1]}", deadline=0.2)
        with pytest.raises(NotConnected, match="TLS handshake"):
            client.send("POST", "/")


@pytest.mark.parametrize("milliseconds", [0, 0.2, 0.5, 0.8, 1, 1.2, 1.5, 2])
def test_however_little_time_is_left_its_end_is_told_as_such(
    serve: Serve, milliseconds: float
) -> None:
    """Also when connecting takes all of it and nothing is left to read with."""
    peer = serve(answer_with(b"ok"))
    for _attempt in range(25):
        client = Client(peer.url, deadline=milliseconds / 1000)
        with suppress(NotConnected, NoAnswer):
            client.get("/")
        client.close()


@override_settings(OUTGOING_ALLOW=[])
def test_slow_dns_counts_towards_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_asked: object, **_about: object) -> list[Any]:
        time.sleep(0.4)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    began = time.monotonic()
    with pytest.raises(NotConnected, match=r"slow\.example was not found") as caught:
        Client("https://slow.example", deadline=0.1).get("/")
    assert time.monotonic() - began < 0.35
    assert not caught.value.sent


# Size


def test_a_huge_answer_is_left_at_the_cap(serve: Serve) -> None:
    def pour(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(OSError):
            while True:
                sock.sendall(b"x" * 65536)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadAnswer, match="larger than 2000000 bytes"):
        Client(serve(pour).url).get("/")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_a_chunk_of_a_negative_size_is_not_read_for_ever(serve: Serve) -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"
    with pytest.raises(BadAnswer, match="not proper HTTP"):
        Client(serve(drip(start, b"x" * 1000)).url).send("POST", "/")


def test_an_announced_size_over_the_cap_is_not_even_read(serve: Serve) -> None:
    announced = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    with pytest.raises(BadAnswer, match="larger than 10 bytes"):
        Client(serve(drip(announced, b"x")).url, byte_cap=10).get("/")


def test_a_body_of_exactly_the_cap_is_taken(serve: Serve) -> None:
    client = Client(serve(answer_with(b"x" * 10), answer_with(b"x" * 11)).url, byte_cap=10)
    assert client.get("/").body == b"x" * 10
    with pytest.raises(BadAnswer):
        client.get("/")


def test_a_gzip_bomb_is_left_at_the_cap(serve: Serve) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 60_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadAnswer, match="larger than"):
        Client(serve(answer_with(bomb, Content_Encoding="gzip")).url).get("/")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"y" * 900) for n in range(90)),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"y" * 33_000 + b"\r\n") * 2 + b"\r\n",
    ],
    ids=["many", "much", "long", "just too much"],
)
def test_a_flood_of_headers_is_a_bad_answer(serve: Serve, reply: bytes) -> None:
    with pytest.raises(BadAnswer):
        Client(serve(reply).url).send("POST", "/")


@pytest.mark.parametrize(
    "reply",
    [
        b"HELLO\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        answer_with(b"not gzip", Content_Encoding="gzip"),
        answer_with(gzip.compress(b"x" * 99)[:-9], Content_Encoding="gzip"),
        answer_with(b"x", Content_Encoding="br"),
    ],
)
def test_what_is_not_proper_http_is_a_bad_answer(serve: Serve, reply: bytes) -> None:
    with pytest.raises(BadAnswer) as caught:
        Client(serve(reply).url).send("POST", "/")
    assert caught.value.sent
    assert not caught.value.retryable


# Addresses and TLS


def test_a_name_that_flips_from_public_to_loopback_is_refused_at_connecting(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serve(answer_with())
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", peer.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [entry])
    with override_settings(OUTGOING_ALLOW=[]), pytest.raises(AddressRefused, match="not a public"):
        Client(f"https://flips.example:{peer.port}").get("/")
    assert peer.connections == 0


def test_it_asks_dns_once_and_connects_to_what_was_checked(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serve(answer_with())
    asked: list[str] = []

    def resolve(host: str, port: int, **_about: Any) -> list[Any]:
        asked.append(host)
        where = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert Client(f"http://forge.example:{peer.port}").get("/").status == 200
    assert asked == ["forge.example"]
    assert peer.calls[0].headers["host"] == f"forge.example:{peer.port}"


def test_a_dead_address_of_a_name_is_passed_over(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serve(answer_with())
    entries = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
        for address in (("127.0.0.1", 1), ("127.0.0.1", peer.port))
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: entries)
    assert Client(f"http://forge.example:{peer.port}").get("/").status == 200


def test_a_refused_connection_sent_nothing(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(NotConnected, match="cannot be reached") as caught:
        Client(f"http://127.0.0.1:{port}").send("PUT", "/")
    assert (caught.value.sent, caught.value.retryable) == (False, True)


def test_a_company_s_own_authority_works_by_name_and_by_address(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_certificate(tmp_path, name="forge.internal")
    peer = serve(answer_with(b'"safe"'), tls=own.context)
    by_address = Client(f"https://127.0.0.1:{peer.port}", ca_file=str(own.file))
    assert [by_address.get("/").json() for _ in range(3)] == ["safe"] * 3
    assert peer.connections == 1
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", peer.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [entry])
    by_name = Client(f"https://forge.internal:{peer.port}", ca_file=str(own.file))
    assert by_name.get("/").json() == "safe"


def test_a_drip_feed_over_tls_ends_at_the_deadline_too(serve: Serve, tmp_path: Path) -> None:
    own = make_certificate(tmp_path, name="forge.internal")
    peer = serve(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), tls=own.context)
    client = Client(f"https://127.0.0.1:{peer.port}", ca_file=str(own.file), deadline=0.3)
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="in time"):
        client.send("PUT", "/")
    assert time.monotonic() - began < 1


def test_a_company_s_own_authority_replaces_all_others(serve: Serve, tmp_path: Path) -> None:
    own, other = (make_certificate(tmp_path, name=name) for name in ("own.test", "other.test"))
    peer = serve(answer_with(), tls=own.context)
    assert Client(f"https://127.0.0.1:{peer.port}", ca_file=str(own.file)).get("/").status == 200
    with pytest.raises(NotConnected, match="cannot be trusted"):
        Client(f"https://127.0.0.1:{peer.port}", ca_file=str(other.file)).send("GET", "/")
    assert len(sockets.tls_context(str(own.file)).get_ca_certs()) == 1


def test_a_self_signed_certificate_is_not_trusted(serve: Serve, tmp_path: Path) -> None:
    peer = serve(answer_with(), tls=make_certificate(tmp_path, name="forge.internal").context)
    with pytest.raises(NotConnected, match=r"certificate .* cannot be trusted: self.signed"):
        Client(f"https://127.0.0.1:{peer.port}").send("GET", "/")
    assert peer.calls == []


def test_an_expired_certificate_is_not_trusted(serve: Serve, tmp_path: Path) -> None:
    own = make_certificate(tmp_path, name="forge.internal", days=-1)
    peer = serve(answer_with(), tls=own.context)
    with pytest.raises(NotConnected, match="certificate has expired"):
        Client(f"https://127.0.0.1:{peer.port}", ca_file=str(own.file)).send("GET", "/")


def test_a_certificate_for_another_name_is_not_trusted(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_certificate(tmp_path, name="other.internal")
    peer = serve(answer_with(), tls=own.context)
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", peer.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [entry])
    with pytest.raises(NotConnected, match=r"Hostname mismatch"):
        Client(f"https://forge.internal:{peer.port}", ca_file=str(own.file)).send("GET", "/")
    assert peer.calls == []


def test_garbage_instead_of_tls_sends_nothing(serve: Serve) -> None:
    peer = serve(b"SSH-2.0-OpenSSH\r\n")
    with pytest.raises(NotConnected, match="TLS handshake") as caught:
        Client(f"https://127.0.0.1:{peer.port}", headers={"X": SECRET}).send("PUT", "/")
    assert not caught.value.sent
    assert SECRET not in str(peer.calls)


def test_a_missing_authority_file_is_named(serve: Serve) -> None:
    peer = serve(answer_with())
    with pytest.raises(HttpError, match=r"authorities /none\.pem cannot be read"):
        Client(f"https://127.0.0.1:{peer.port}", ca_file="/none.pem").send("GET", "/")


# Secrets


def test_no_error_repr_or_log_tells_a_secret(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = (
        reset,
        b"HELLO\r\n\r\n",
        answer_with(b"x", Content_Encoding=SECRET),
        b"HTTP/1.1 x\r\n",
    )
    told = []
    for reply in broken:
        client = Client(serve(reply).url, headers={"PRIVATE-TOKEN": SECRET}, auth=("u", SECRET))
        with pytest.raises(HttpError) as caught:
            client.send(
                "POST", f"/?t={SECRET}", json={"t": SECRET}, params={"access_token": SECRET}
            )
        told.append("".join(traceback.format_exception(caught.value)) + repr(client))
    assert SECRET not in "".join(told) + caplog.text


def test_a_broken_header_is_not_logged_with_the_query_string(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reply = b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n"
    Client(serve(then_close(reply)).url).get("/", params={"access_token": SECRET})
    assert SECRET not in caplog.text


@pytest.mark.parametrize("value", [f"{SECRET}\n", f"{SECRET}\r\nX: y", f"{SECRET}\u200b", "\x00"])
def test_a_token_with_odd_characters_is_refused_without_being_shown(
    serve: Serve, value: str
) -> None:
    peer = serve(answer_with())
    with pytest.raises(HttpError, match="the value for PRIVATE-TOKEN has characters") as caught:
        Client(peer.url, headers={"PRIVATE-TOKEN": value}).get("/")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert (caught.value.sent, peer.connections) == (False, 0)


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/合并", "/a\x00", "/100%", "/a#b"])
def test_a_path_that_is_not_quoted_is_refused(serve: Serve, path: str) -> None:
    peer = serve(answer_with())
    with pytest.raises(HttpError, match="its path has unusual characters"):
        Client(peer.url).send("POST", path)
    assert peer.connections == 0


def test_the_repr_of_a_client_shows_only_where_it_goes() -> None:
    client = Client("https://forge.example:8443/api/v5", headers={"X": SECRET})
    assert repr(client) == "Client(https://forge.example:8443)"
    assert repr(Client(f"https://user:{SECRET}@forge.example")) == "Client(?)"
