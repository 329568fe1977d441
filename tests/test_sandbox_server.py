"""The sandbox's HTTP ground over real sockets: requests, journal, every fault; clock and router."""

import gzip
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from chatops_site.sandbox.clock import Clock, china_time
from chatops_site.sandbox.server import (
    Faults,
    Journal,
    Request,
    Response,
    Router,
    as_html,
    as_json,
    serve,
)

JSON = {"Content-Type": "application/json"}


class Echo:
    """A system that tells what it was asked, and counts its effects."""

    name = "gitee"

    def __init__(self) -> None:
        self.effects = 0
        self.last: Request | None = None

    def answer(self, request: Request) -> Response:
        self.effects += 1
        self.last = request
        if request.raw_path == "/broken":
            raise RuntimeError("a fault of our own")
        if request.raw_path == "/none":
            return Response(204)
        if request.raw_path == "/split":
            return Response(302, headers={"Location": "/a\r\nX: y"})
        if request.raw_path == "/page":
            return as_html("page", 201)
        return as_json({"path": list(request.segments), "arguments": request.arguments()})


@dataclass
class Stage:
    """A running server with its system, its journal and its faults."""

    port: int
    system: Echo
    journal: Journal
    faults: Faults
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str = "/x", **more: Any) -> requests.Response:
        return self.session.get(self.origin + path, timeout=3, allow_redirects=False, **more)

    def post(self, path: str = "/x", **more: Any) -> requests.Response:
        return self.session.post(self.origin + path, timeout=3, **more)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=3)

    def raw(self, text: bytes) -> bytes:
        """Everything that comes back for these bytes, until the server closes."""
        with self.connect() as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture(scope="module")
def running_stage() -> Iterator[Stage]:
    system, journal, faults = Echo(), Journal(), Faults()
    (server,) = serve({system: 0}, journal, faults)
    stage = Stage(server.server_port, system, journal, faults)
    stage.session.trust_env = False
    yield stage
    stage.session.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def stage(running_stage: Stage) -> Stage:
    running_stage.faults.clear()
    running_stage.journal.clear()
    running_stage.system.effects = 0
    return running_stage


# Requests and answers


def test_a_segment_is_decoded_exactly_once(stage: Stage) -> None:
    answer = stage.get("/jenkins/job/mb/job/feature%252Fx/").json()

    assert answer["path"] == ["jenkins", "job", "mb", "job", "feature%2Fx"]
    assert stage.system.last is not None
    assert stage.system.last.raw_path == "/jenkins/job/mb/job/feature%252Fx/"


def test_query_form_and_json_become_flat_arguments(stage: Stage) -> None:
    by_query = stage.get("/x?a=1&a=2&empty=&c=%E4%B8%AD").json()["arguments"]
    by_form = stage.post("/x?a=1", data={"b": "中 文"}).json()["arguments"]
    by_json = stage.post("/x?a=1", json={"a": "2", "yes": True, "n": 3, "no": None}).json()

    assert by_query == {"a": "2", "empty": "", "c": "中"}
    assert by_form == {"a": "1", "b": "中 文"}
    assert by_json["arguments"] == {"a": "2", "yes": "true", "n": "3", "no": ""}


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_has_no_arguments(stage: Stage, body: bytes) -> None:
    assert stage.post("/x?a=1", data=body, headers=JSON).json()["arguments"] == {"a": "1"}


def test_headers_are_found_in_any_case_and_absent_ones_are_none(stage: Stage) -> None:
    stage.get(headers={"X-Gitee-Token": "t"})

    request = stage.system.last
    assert request is not None
    assert request.headers["x-GITEE-token"] == "t"
    assert request.headers.get("x-none") is None
    assert request.origin == stage.origin


def test_a_chunked_body_is_read_whole(stage: Stage) -> None:
    answer = stage.post(data=iter([b"a=1&", b"b=2"]), headers={"Content-Type": "x-form-urlencoded"})

    assert answer.json()["arguments"] == {"a": "1", "b": "2"}


def test_a_caller_who_expects_100_continue_gets_it(stage: Stage) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"

    assert stage.raw(head).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_one_connection_carries_many_requests(stage: Stage) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=3)
    ports = set()
    for _ in range(3):
        connection.request("GET", "/x")
        assert connection.getresponse().read()
        ports.add(connection.sock.getsockname()[1])
    connection.close()

    assert len(ports) == 1


def test_it_closes_when_asked_to_and_for_http_1_0(stage: Stage) -> None:
    asked = stage.raw(
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /y HTTP/1.1\r\n\r\n"
    )
    old = stage.raw(b"GET /x HTTP/1.0\r\n\r\nGET /y HTTP/1.0\r\n\r\n")

    assert (asked.count(b"HTTP/1.1 200"), old.count(b"HTTP/1.1 200")) == (1, 1)


@pytest.mark.parametrize("text", [b"\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1 more\r\n\r\n"])
def test_what_is_no_request_gets_no_answer(stage: Stage, text: bytes) -> None:
    assert stage.raw(text) == b""


def test_a_body_beyond_the_cap_is_dropped(stage: Stage) -> None:
    assert stage.raw(b"POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n") == b""
    assert stage.system.effects == 0


def test_head_has_no_body_and_204_has_no_length(stage: Stage) -> None:
    head = stage.session.head(stage.origin + "/x", timeout=3)
    none = stage.get("/none")

    assert (head.content, int(head.headers["Content-Length"]) > 0) == (b"", True)
    assert (none.status_code, "Content-Length" in none.headers) == (204, False)


def test_an_answer_says_its_type_and_date_and_cannot_split_headers(stage: Stage) -> None:
    page = stage.get("/page")
    split = stage.get("/split")

    assert (page.status_code, page.headers["Content-Type"]) == (201, "text/html; charset=utf-8")
    assert page.headers["Date"].endswith("GMT")
    assert (split.headers["Location"], "X" in split.headers) == ("/a X: y", False)


def test_a_bug_of_the_sandbox_is_a_500_that_says_so(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = stage.get("/broken")

    assert answer.status_code == 500
    assert answer.json()["message"].startswith("The sandbox itself failed")
    assert "RuntimeError" in capfd.readouterr().err


def test_it_listens_on_loopback_only(stage: Stage) -> None:
    (server,) = serve({Echo(): 0}, Journal(), Faults())

    assert server.server_address[0] == "127.0.0.1"
    server.shutdown()
    server.server_close()


def test_two_hundred_connections_are_served_at_once(stage: Stage) -> None:
    request = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
    connections = [stage.connect() for _ in range(200)]

    for _ in range(2):
        for connection in connections:
            connection.sendall(request)
        heads = {connection.recv(65_536)[:15] for connection in connections}
        assert heads == {b"HTTP/1.1 200 OK"}

    for connection in connections:
        connection.close()


# The journal


def test_the_journal_tells_what_came_in(stage: Stage) -> None:
    stage.post("/jenkins/job/a/build?delay=0sec", data={"SHA": "abc"})

    (entry,) = stage.journal.entries
    assert (entry["system"], entry["method"], entry["path"]) == (
        "gitee",
        "POST",
        "/jenkins/job/a/build",
    )
    assert (entry["query"], entry["arguments"]) == (
        {"delay": "0sec"},
        {"delay": "0sec", "SHA": "abc"},
    )
    assert (entry["status"], entry["applied"], entry["fault"]) == (200, True, "")


def test_the_journal_has_no_secrets(stage: Stage) -> None:
    stage.get("/x?access_token=sesame", headers={"Authorization": "Bearer sesame"})
    stage.post(json={"appSecret": "sesame"})

    text = json.dumps(stage.journal.entries)
    assert "sesame" not in text
    assert re.fullmatch(r"Bearer [0-9a-f]{8}", stage.journal.entries[0]["authorization"])


def test_the_journal_is_read_from_a_number_on(stage: Stage) -> None:
    stage.get("/a")
    first = stage.journal.entries[-1]["n"]
    stage.get("/b")

    assert [row["path"] for row in stage.journal.since(first)] == ["/b"]
    assert [row["path"] for row in stage.journal.since(0, "jenkins")] == []
    stage.journal.clear()
    stage.get("/c")
    assert [row["n"] > first + 1 for row in stage.journal.since()] == [True]


# Faults


def test_a_fault_hits_once_and_only_what_it_names(stage: Stage) -> None:
    stage.faults.add("gitee", mode="status", status=503, method="get", path_regex="^/pulls/")

    answers = [
        stage.get("/x"),
        stage.post("/pulls/1"),
        stage.get("/pulls/1"),
        stage.get("/pulls/1"),
    ]

    assert [row.status_code for row in answers] == [200, 200, 503, 200]
    assert [row["fault"] for row in stage.journal.entries] == ["", "", "status", ""]


def test_a_fault_of_another_system_does_nothing(stage: Stage) -> None:
    stage.faults.add("jenkins", mode="status")

    assert stage.get().status_code == 200
    assert stage.faults.waiting()[0]["system"] == "jenkins"


def test_a_fault_may_wait_for_a_later_request_and_come_often(stage: Stage) -> None:
    stage.faults.add("*", mode="status", skip=1, times=2)
    assert [stage.get().status_code for _ in range(4)] == [200, 500, 500, 200]

    stage.faults.add("*", mode="status", times=-1)
    assert [stage.get().status_code for _ in range(3)] == [500] * 3


def test_status_takes_body_headers_and_type(stage: Stage) -> None:
    options: dict[str, Any] = {"status": 502, "content_type": "text/html", "headers": {"X-A": "b"}}
    stage.faults.add("gitee", mode="status", body="<h1>proxy</h1>", **options)

    answer = stage.get()

    assert (answer.status_code, answer.text, answer.headers["X-A"]) == (502, "<h1>proxy</h1>", "b")
    assert stage.system.effects == 0
    assert stage.journal.entries[0]["applied"] is False


def test_a_replaced_answer_may_come_after_the_effect(stage: Stage) -> None:
    stage.faults.add("gitee", mode="status", status=502, apply=True)

    assert stage.get().status_code == 502
    assert stage.system.effects == 1
    assert stage.journal.entries[0]["applied"] is True


def test_a_delay_comes_before_the_effect(stage: Stage) -> None:
    stage.faults.add("gitee", mode="delay", seconds=0.15)
    started = time.monotonic()

    assert stage.get().status_code == 200
    assert time.monotonic() - started >= 0.15


def test_what_hangs_is_let_go_when_faults_are_cleared(stage: Stage) -> None:
    stage.faults.add("gitee", mode="hang")
    threading.Timer(0.1, stage.faults.clear).start()

    with pytest.raises(requests.ConnectionError):
        stage.get()
    assert stage.system.effects == 0


def test_a_client_may_give_up_on_what_hangs(stage: Stage) -> None:
    stage.faults.add("gitee", mode="hang", apply=True)

    with pytest.raises(requests.Timeout):
        stage.session.get(stage.origin, timeout=0.1)
    assert stage.system.effects == 1
    stage.faults.clear()


@pytest.mark.parametrize(("mode", "effects"), [("reset_before", 0), ("reset_after", 1)])
def test_a_reset_is_a_reset_before_or_after_the_effect(
    stage: Stage, mode: str, effects: int
) -> None:
    stage.faults.add("gitee", mode=mode)

    with stage.connect() as connection:
        connection.sendall(b"PUT /merge HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    assert stage.system.effects == effects
    assert stage.journal.entries[0]["applied"] is (effects == 1)


def test_close_mid_sends_half_the_body_and_ends(stage: Stage) -> None:
    stage.faults.add("gitee", mode="close_mid")

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        stage.get()
    assert stage.system.effects == 1


@pytest.mark.parametrize(("mode", "at_once"), [("drip", True), ("drip_header", False)])
def test_a_drip_sends_the_body_or_everything_byte_by_byte(
    stage: Stage, mode: str, at_once: bool
) -> None:
    stage.faults.add("gitee", mode=mode, interval=0.02)

    with stage.connect() as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
        first = connection.recv(1_000)
        time.sleep(0.1)
        stage.faults.clear()
        rest = b"".join(iter(lambda: connection.recv(1), b""))

    assert (b"\r\n\r\n" in first) is at_once
    assert json.loads((first + rest).partition(b"\r\n\r\n")[2])["path"] == ["x"]


def test_html_instead_of_json_and_broken_json(stage: Stage) -> None:
    stage.faults.add("gitee", mode="html200")
    page = stage.get()
    stage.faults.add("gitee", mode="badjson")
    broken = stage.get()

    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert broken.headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError, match="Expecting"):
        broken.json()


def test_a_huge_answer_has_its_megabytes(stage: Stage) -> None:
    stage.faults.add("gitee", mode="huge", megabytes=2)

    assert len(stage.get().content) > 2_000_000


def test_a_gzip_bomb_is_small_on_the_wire(stage: Stage) -> None:
    stage.faults.add("gitee", mode="gzbomb", megabytes=5)

    raw = stage.get(stream=True).raw.read(decode_content=False)

    assert len(raw) < 20_000
    assert len(gzip.decompress(raw)) > 5_000_000


def test_a_redirect_leads_where_it_was_told(stage: Stage) -> None:
    stage.faults.add("gitee", mode="redirect", status=307, location="http://127.0.0.1:9/evil")

    answer = stage.get()

    assert (answer.status_code, answer.headers["Location"]) == (307, "http://127.0.0.1:9/evil")


def test_too_many_requests_says_when_to_come_back(stage: Stage) -> None:
    stage.faults.add("gitee", mode="e429", retry_after=2)

    answer = stage.get()

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.json()["message"]


def test_an_unknown_mode_or_a_bad_expression_is_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="there are: badjson"):
        stage.faults.add("gitee", mode="explode")
    with pytest.raises(ValueError, match="no regular expression"):
        stage.faults.add("gitee", mode="status", path_regex="(")


# Clock and router


def test_the_clock_runs_as_fast_as_it_is_told_and_never_back() -> None:
    clock = Clock(1_000)
    first = clock.now()
    time.sleep(0.01)
    second = clock.now()
    clock.set_factor(1)
    third = clock.now()

    assert second - first >= 10
    assert 0 <= third - second < 100
    clock.advance(3_600)
    assert clock.now() - third >= 3_600
    assert clock.factor == 1


@pytest.mark.parametrize("factor", [0, -1, float("nan")])
def test_a_clock_does_not_stand_still(factor: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Clock().set_factor(factor)


def test_times_are_written_as_gitee_does() -> None:
    assert china_time(0.9) == "1970-01-01T08:00:00+08:00"


def test_a_router_finds_by_method_and_length_and_names_what_it_found() -> None:
    router = Router({("GET", "a/{b}"): 1, ("PUT", "a/{b}"): 2, ("GET", "a/fixed/c"): 3})

    assert router.find("PUT", ("a", "x")) == (2, {"b": "x"})
    assert router.find("GET", ("a", "x", "c")) is None
    assert router.find("DELETE", ("a", "x")) is None
    assert router.allowed(("a", "x")) == ["GET", "PUT"]
    assert router.allowed(("b",)) == []
