"""The client for outgoing HTTP: what it sends, answers, tries again, and never follows."""

import datetime as dt
import gzip
import json
import threading
import time
from email.utils import format_datetime
from pathlib import Path

import pytest

from chatops_site.kit import sockets
from chatops_site.kit.http import (
    Answer,
    BadAnswer,
    Client,
    NoAnswer,
    Redirected,
)
from tests.loopback import (
    SECRET,
    Reply,
    Serve,
    answer_with,
    drip,
    reset,
    serving,
    then_close,
)

serve_fixture = pytest.fixture(serving, name="serve")

# What it sends


def test_a_quoted_path_arrives_as_it_stands(serve: Serve) -> None:
    peer = serve(answer_with())
    Client(f"{peer.url}/api/v4/").get("/projects/a%2Fb/x%252Fy/%E5%90%88", params={"q": "a b&c"})
    assert peer.calls[0].line == "GET /api/v4/projects/a%2Fb/x%252Fy/%E5%90%88?q=a+b%26c HTTP/1.1"


def test_a_path_is_neither_quoted_again_nor_tidied_up(serve: Serve) -> None:
    peer = serve(answer_with())
    path = "//x/../%2E%2e/%7E~/%252f/a;b=c@d:e!$&'()*+,/?tree=a%5Bb%5D&u=http://h/?"
    Client(peer.url).get(path)
    assert peer.calls[0].line == f"GET {path.replace('%2e', '%2E')} HTTP/1.1"


def test_json_form_and_parameters_are_sent_as_such(serve: Serve) -> None:
    peer = serve(answer_with())
    client = Client(peer.url)
    client.send("POST", "/a", json={"名": [1]})
    client.send("PUT", "/b?x=1", form={"k": "v w", "n": None, "m": ["1", "2"]}, params={"y": 2})
    client.send("DELETE", "/c")
    first, second, third = peer.calls
    assert json.loads(first.body) == {"名": [1]}
    assert first.headers["content-type"] == "application/json"
    assert second.line == "PUT /b?x=1&y=2 HTTP/1.1"
    assert second.body == b"k=v+w&m=1&m=2"
    assert (third.line, third.body) == ("DELETE /c HTTP/1.1", b"")


def test_headers_of_the_client_and_of_the_call_are_merged(serve: Serve) -> None:
    peer = serve(answer_with())
    client = Client(peer.url, headers={"X-One": "1", "X-Two": "2"}, auth=("张三", "p:w"))
    client.get("/", headers={"x-two": "3"})
    headers = peer.calls[0].headers
    assert (headers["x-one"], headers["x-two"]) == ("1", "3")
    assert headers["authorization"] == "Basic 5byg5LiJOnA6dw=="
    assert headers["host"] == f"127.0.0.1:{peer.port}"


def test_the_environment_s_proxy_and_netrc_are_not_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peer, proxy = serve(answer_with()), serve(answer_with())
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    Client(peer.url).get("/")
    assert proxy.connections == 0
    assert "authorization" not in peer.calls[0].headers


def test_cookies_are_not_kept(serve: Serve) -> None:
    peer = serve(answer_with(Set_Cookie="session=1; Path=/"))
    client = Client(peer.url)
    client.get("/")
    client.get("/")
    assert "cookie" not in peer.calls[1].headers


# What it answers


def test_an_answer_of_any_status_has_headers_of_any_case(serve: Serve) -> None:
    reply = answer_with(b'{"message": "\xe4\xb8\x8d"}', status="404 Not Found", X_Total="7")
    answer = Client(serve(reply).url).get("/")
    assert (answer.status, answer.json()) == (404, {"message": "不"})
    assert answer.headers["x-total"] == "7"
    assert 0 < answer.elapsed < 5


def test_a_gzipped_and_a_chunked_answer_are_decoded(serve: Serve) -> None:
    zipped = answer_with(gzip.compress(b'{"a": 1}'), Content_Encoding="gzip")
    chunked = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/problem+json; charset=utf-8\r\n"
        b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"b\r\n5;x=y\r\n": 2}\r\n0\r\nT: x\r\n\r\n'
    )
    peer = serve(zipped, chunked, answer_with())
    client = Client(peer.url)
    assert client.get("/").json() == {"a": 1}
    assert client.get("/").json() == {"b": 2}
    assert client.get("/").status == 200
    assert peer.connections == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in</html>",
        b'{"a": NaN}',
        b'{"a": 1} x',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b"[" * 100_000,
        b"1" * 5000,
        b"",
    ],
)
def test_a_body_that_is_not_strict_json_is_a_bad_answer(serve: Serve, body: bytes) -> None:
    answer = Client(serve(answer_with(body)).url).get("/")
    with pytest.raises(BadAnswer, match="calls itself JSON but cannot be read"):
        answer.json()


def test_a_login_page_with_status_200_is_not_json_but_text(serve: Serve) -> None:
    answer = Client(serve(answer_with(b"<p>\xff", Content_Type="text/html")).url).get("/")
    with pytest.raises(BadAnswer, match=r"is not JSON\. Check the address of the API"):
        answer.json()
    assert answer.text() == "<p>\ufffd"


# Connections


def test_calls_share_a_connection(serve: Serve) -> None:
    peer = serve(answer_with())
    client = Client(peer.url)
    for _ in range(5):
        client.send("POST", "/", json={})
    assert peer.connections == 1


def test_eight_threads_share_a_client(serve: Serve) -> None:
    peer = serve(answer_with())
    client = Client(peer.url)
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.extend(client.get("/") for _ in range(25)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 200
    assert peer.connections <= 16


def test_a_write_does_not_use_a_connection_that_the_peer_has_closed(serve: Serve) -> None:
    peer = serve(then_close(answer_with()))
    client = Client(peer.url)
    assert client.get("/").status == 200
    time.sleep(0.05)
    assert client.send("PUT", "/merge").status == 200
    assert peer.connections == 2


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serve(answer_with())
    client = Client(peer.url)
    client.get("/")
    monkeypatch.setattr(sockets, "IDLE_SECONDS", 0.01)
    time.sleep(0.02)
    client.send("PUT", "/merge")
    assert peer.connections == 2


def test_bytes_that_nobody_asked_for_are_never_taken_for_an_answer(serve: Serve) -> None:
    peer = serve(answer_with() + answer_with(b'"forged"'), answer_with(b'"true"'))
    client = Client(peer.url)
    client.get("/")
    time.sleep(0.02)
    assert client.get("/").json() == "true"


def test_an_answer_that_says_close_is_not_kept(serve: Serve) -> None:
    peer = serve(answer_with(Connection="close"))
    client = Client(peer.url)
    assert [client.get("/").status for _ in range(2)] == [200, 200]
    assert peer.connections == 2


def test_closing_a_client_lets_its_connections_go(serve: Serve) -> None:
    peer = serve(answer_with())
    client = Client(peer.url)
    client.get("/")
    client.close()
    client.get("/")
    assert peer.connections == 2


# Tries


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Ty",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_write_is_never_repeated(serve: Serve, cut: bytes) -> None:
    peer = serve(then_close(cut))
    with pytest.raises(NoAnswer, match="before its answer was complete") as caught:
        Client(peer.url).send("PUT", "/pulls/233/merge", json={})
    assert len(peer.calls) == 1
    assert (caught.value.sent, caught.value.retryable) == (True, True)


def test_a_write_is_not_repeated_after_a_reset_on_a_kept_connection(serve: Serve) -> None:
    peer = serve(answer_with(), reset)
    client = Client(peer.url)
    client.get("/")
    with pytest.raises(NoAnswer) as caught:
        client.send("PUT", "/merge")
    assert caught.value.sent
    assert [call.line.split()[0] for call in peer.calls] == ["GET", "PUT"]


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Busy", "429 Slow down"])
def test_a_write_is_not_repeated_after_a_status_that_reads_are(serve: Serve, status: str) -> None:
    peer = serve(answer_with(status=status, Retry_After="0"))
    assert Client(peer.url).send("PUT", "/").status == int(status[:3])
    assert len(peer.calls) == 1


@pytest.mark.parametrize(
    "failure",
    [
        reset,
        then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"),
        answer_with(status="502 Bad Gateway"),
        answer_with(status="503 Unavailable", Retry_After="0"),
        answer_with(status="504 Timeout", Retry_After="soon"),
        answer_with(status="429 Too Many", Retry_After="0"),
    ],
)
def test_a_read_is_tried_again(serve: Serve, failure: Reply) -> None:
    peer = serve(failure, answer_with(b'"there"'))
    assert Client(peer.url).get("/").json() == "there"
    assert len(peer.calls) == 2


def test_a_read_is_tried_three_times_at_most(serve: Serve) -> None:
    resets, busy = serve(reset), serve(answer_with(status="503 Busy", Retry_After="0"))
    with pytest.raises(NoAnswer):
        Client(resets.url).get("/")
    assert Client(busy.url).get("/").status == 503
    assert (len(resets.calls), len(busy.calls)) == (3, 3)


def test_tries_share_one_deadline(serve: Serve) -> None:
    peer = serve(reset, drip(b"", b""))
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        Client(peer.url).get("/", deadline=0.3)
    assert time.monotonic() - began < 1
    assert len(peer.calls) == 2


def _in_seconds(seconds: float) -> str:
    return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    "value",
    ["999999999", "-1", "soon", "1.5", "٣", "", "9" * 400, _in_seconds(3600), _in_seconds(-60)],
    ids=["far", "negative", "word", "part", "not ASCII", "none", "huge", "in an hour", "past"],
)
def test_a_limit_whose_end_is_too_far_or_unclear_is_answered_as_it_is(
    serve: Serve, value: str
) -> None:
    reply = answer_with(status="429 Too Many Requests", Retry_After="@").replace(
        b"@", value.encode()
    )
    peer = serve(reply)
    assert Client(peer.url).get("/").status == 429
    assert len(peer.calls) == 1


def test_a_limit_that_ends_at_a_date_within_the_deadline_is_waited_for(serve: Serve) -> None:
    peer = serve(answer_with(status="429 Too Many", Retry_After=_in_seconds(1.2)), answer_with())
    assert Client(peer.url).get("/").status == 200


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Keep", "308 Keep"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_redirect_is_never_followed(serve: Serve, status: str, method: str) -> None:
    other = serve(answer_with())
    peer = serve(
        answer_with(status=status, Location=f"http://localhost:{other.port}/?token={SECRET}")
    )
    client = Client(peer.url, headers={"PRIVATE-TOKEN": SECRET})
    with pytest.raises(Redirected, match="redirect to localhost, which is never") as caught:
        client.get("/") if method == "GET" else client.send("PUT", "/merge")
    assert other.connections == 0
    assert SECRET not in str(caught.value)
    assert caught.value.sent


def test_who_asks_for_redirects_gets_them_as_answers(serve: Serve) -> None:
    peer = serve(answer_with(status="303 See Other", Location="/queue/item/7/"))
    answer = Client(peer.url, redirects_are_answers=True).send("POST", "/build")
    assert (answer.status, answer.headers["Location"]) == (303, "/queue/item/7/")


def test_not_modified_is_an_answer(serve: Serve) -> None:
    assert Client(serve(b"HTTP/1.1 304 Not Modified\r\n\r\n").url).get("/").status == 304
