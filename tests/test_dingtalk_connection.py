"""DingTalk's Stream: what comes is kept before it is acknowledged, whatever the line does."""

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_sockets

from bot.platforms.base import Ignored, IncomingMessage, Parsed, Rejected, Said
from bot.platforms.comments import Comments
from bot.platforms.dialling import Lost
from bot.platforms.dingtalk.connection import DingTalkConnection
from bot.platforms.dingtalk.line import open_line
from bot.platforms.models import Bot
from chatops_site.kit.sockets import tls_context
from chatops_site.sandbox.dingtalk.robot import APP_SECRET, CORP, ROBOT_CODE
from chatops_site.sandbox.sockets import MUTE, open_sockets
from tests.dingtalk_dial import (
    Dialled,
    Gateway,
    Noted,
    a_frame,
    dialled,
    eventually,
    gateway_fixture,
    line_fixture,
    noted_fixture,
    push,
    texts,
    whole_gateway_fixture,
)
from tests.loopback import Reply, Serve, answer_with, make_certificate, reset, serving

__all__ = ["gateway_fixture", "line_fixture", "noted_fixture", "whole_gateway_fixture"]

serve = pytest.fixture(serving)

OPEN = "/v1.0/gateway/connections/open"


class Impatient(DingTalkConnection):
    silence = 1.0


class Welcome(DingTalkConnection):
    """Sent away in its first seconds it comes again all the same."""

    shortest_life = 0.0


class Failing(Noted):
    """Cannot write anything down so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.tries = 0

    def take(self, parsed: Parsed | Rejected) -> Said:
        self.tries += 1
        if self.tries <= self.times:
            raise OSError("disk full")
        return super().take(parsed)


class Slow(Noted):
    """Holds each until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def take(self, parsed: Parsed | Rejected) -> Said:
        self.begun.set()
        assert self.go.wait(10)
        return super().take(parsed)


# Messages ----------------------------------------------------------------------------------------


def test_a_message_comes_as_by_webhook_but_needs_no_proof(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    said = gateway.say("/merge 233", person="lisi")
    (heard,) = noted.taken
    assert isinstance(heard, IncomingMessage)
    assert said["status"] == 200
    assert (heard.text, heard.sender.id, heard.sender.name) == ("/merge 233", "user102", "李四")
    assert (heard.conversation, heard.conversation_name, heard.private) == (
        "cid-release",
        "发布群",
        False,
    )
    assert heard.proof is None
    assert noted.openings == 1
    assert noted.signs >= 1


def test_a_message_is_kept_before_it_is_acknowledged(gateway: Gateway) -> None:
    slow = Slow()
    with dialled(gateway, slow):
        gateway.stand.say("zhangsan", "cid-dev", "/help", {}).send_later()
        assert slow.begun.wait(2)
        time.sleep(0.2)
        assert gateway.acks() == []
        slow.go.set()
        assert eventually(gateway.acks)
    assert texts(slow) == ["/help"]


def test_what_cannot_be_kept_at_once_is_tried_again_and_acknowledged_once(gateway: Gateway) -> None:
    failing = Failing(3)
    with dialled(gateway, failing):
        assert gateway.say("/deploy myservice")["status"] == 200
        assert gateway.say("/help")["status"] == 200
    assert texts(failing) == ["/deploy myservice", "/help"]
    assert failing.tries == 5
    assert len(gateway.acks()) == 2


def test_what_can_never_be_kept_is_not_acknowledged_and_does_not_hold_up_the_end(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(1_000)
    with dialled(gateway, failing) as line:
        gateway.stand.say("zhangsan", "cid-dev", "/help", {}).send_later()
        assert eventually(lambda: failing.tries > 1)
        assert line.end() < 2
    assert gateway.acks() == []
    assert "is lost: OSError" in caplog.text


def test_messages_are_taken_in_the_order_in_which_they_came(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    push_many(gateway, 30)
    assert eventually(lambda: len(noted.taken) == 30)
    assert [one.message_id for one in noted.taken if isinstance(one, Ignored)] == [
        f"frame-{n}" for n in range(30)
    ]


def test_a_long_text_comes_whole(gateway: Gateway, noted: Noted, line: Dialled) -> None:
    gateway.say("字" * 60_000)
    assert texts(noted) == ["字" * 60_000]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"robotCode": "other"}, "wrong_app"),
        ({"chatbotCorpId": "other"}, "wrong_tenant"),
        ({"msgtype": "picture"}, "not_text"),
        ({"msgId": 7}, "schema"),
    ],
    ids=str,
)
def test_what_is_not_for_this_robot_is_noted_and_nothing_more(
    gateway: Gateway, noted: Noted, line: Dialled, body: dict[str, Any], reason: str
) -> None:
    gateway.say(tamper={"body": body})
    assert [one.reason for one in noted.taken if isinstance(one, Ignored | Rejected)] == [reason]


def test_a_message_cannot_make_itself_younger_than_now(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    gateway.say(tamper={"body": {"createAt": 4_000_000_000_000}})
    gateway.say(tamper={"body": {"createAt": 1_790_000_000_000}})
    young, old = (
        one.sent_at.timestamp() for one in noted.taken if isinstance(one, IncomingMessage)
    )
    assert abs(young - time.time()) < 5
    assert old == 1_790_000_000


def test_an_unpublished_robot_tells_no_sender(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    gateway.say(tamper={"body": {"senderStaffId": None}})
    (heard,) = noted.taken
    assert isinstance(heard, IncomingMessage)
    assert heard.sender.id == ""


# The line ----------------------------------------------------------------------------------------


def test_pings_are_answered_while_something_is_being_taken(gateway: Gateway) -> None:
    slow = Slow()
    gateway.stand.control("ping_every", {"seconds": 0.05})
    with dialled(gateway, slow):
        gateway.stand.say("zhangsan", "cid-dev", "/help", {}).send_later()
        assert slow.begun.wait(2)
        before = len(gateway.acks())
        assert eventually(lambda: len(gateway.acks()) >= before + 3)
        assert all("opaque" in ack["data"] for ack in gateway.acks())
        slow.go.set()


def test_told_to_go_it_is_there_again_at_once_and_loses_nothing(gateway: Gateway) -> None:
    slow = Slow()
    with dialled(gateway, slow, kind=Welcome):
        first = gateway.stand.say("zhangsan", "cid-dev", "/first", {})
        first.send_later()
        assert slow.begun.wait(2)
        gateway.stand.control("disconnect", {"seconds": 3})
        assert eventually(lambda: slow.openings == 2)
        assert eventually(lambda: gateway.stand.connected() == 1)
        slow.go.set()
        assert gateway.say("/second")["status"] == 200
        assert eventually(lambda: first.message["delivery"]["stage"] == "acknowledged")
    assert texts(slow) == ["/first", "/second"]
    assert gateway.calls(OPEN) == 2


def test_a_silent_connection_is_noticed(gateway: Gateway, noted: Noted) -> None:
    with dialled(gateway, noted, kind=Impatient) as line:
        gateway.stand.control("silence", {})
        assert "silent" in line.lost(2).sentence


def test_a_quiet_connection_that_answers_is_kept(gateway: Gateway, noted: Noted) -> None:
    with dialled(gateway, noted, kind=Impatient) as line:
        time.sleep(2)
        assert line.problem is None
        assert noted.signs >= 2
        assert gateway.say("/help")["status"] == 200


def test_it_stops_soon_and_finishes_what_it_has_begun(gateway: Gateway) -> None:
    slow = Slow()
    with dialled(gateway, slow) as line:
        gateway.stand.say("zhangsan", "cid-dev", "/help", {}).send_later()
        assert slow.begun.wait(2)
        threading.Timer(0.3, slow.go.set).start()
        assert line.end() < 2
    assert texts(slow) == ["/help"]
    assert len(gateway.acks()) == 1


def test_what_has_come_before_the_word_to_stop_is_still_kept(gateway: Gateway) -> None:
    slow = Slow()
    with dialled(gateway, slow) as line:
        push_many(gateway, 20)
        assert slow.begun.wait(2)
        line.stop.set()
        slow.go.set()
        assert line.end() < 2
    assert len(slow.taken) == len(gateway.acks()) == 20


def test_more_than_it_can_hold_has_to_wait_and_is_not_lost(gateway: Gateway) -> None:
    slow = Slow()
    with dialled(gateway, slow):
        push_many(gateway, 300)
        time.sleep(0.3)
        slow.go.set()
        assert eventually(lambda: len(gateway.acks()) == 300)
    assert len(slow.taken) == 300


def push_many(gateway: Gateway, count: int) -> None:
    for n in range(count):
        picture = {"chatbotCorpId": CORP, "robotCode": ROBOT_CODE, "msgtype": "picture"}
        told = picture | {"msgId": f"frame-{n}"}
        push(gateway, a_frame(told).replace("frame-1", f"frame-{n}", 1), 0.0)


def test_one_that_is_only_being_opened_stops_soon_and_leaves_nothing_open(
    gateway: Gateway, noted: Noted
) -> None:
    gateway.faults.add("chat", mode="delay", seconds=2.5, path_regex="connections/open")
    line = dial(gateway, noted)
    assert eventually(lambda: gateway.calls(OPEN) == 1)
    assert line.end() < 2
    assert eventually(lambda: noted.openings == 1)
    time.sleep(0.3)
    assert gateway.stand.connected() == 0


def test_an_idle_one_stops_at_once(gateway: Gateway, noted: Noted) -> None:
    with dialled(gateway, noted) as line:
        assert line.end() < 1
    assert line.problem is None


def test_of_two_connections_each_message_takes_one(gateway: Gateway) -> None:
    first, second = Noted(), Noted()
    with dialled(gateway, first), dialled(gateway, second):
        for n in range(20):
            assert gateway.say(f"/pr {n}")["status"] == 200
    assert sorted(texts(first) + texts(second)) == sorted(f"/pr {n}" for n in range(20))
    assert texts(first)
    assert texts(second)


def test_without_an_acknowledgement_a_message_does_not_come_again(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    gateway.stand.control("forget_ack", {"times": 1})
    assert gateway.say("/help")["status"] == 0
    assert gateway.say("/prs")["status"] == 200
    assert texts(noted) == ["/help", "/prs"]


# Opening -----------------------------------------------------------------------------------------


def dial(gateway: Gateway, noted: Noted, **robot: str) -> Dialled:
    return Dialled(DingTalkConnection(gateway.robot(**robot), noted.take, noted))


def test_a_wrong_secret_is_told_as_refused_and_kept_to_itself(
    gateway: Gateway, noted: Noted
) -> None:
    lost = dial(gateway, noted, secret="a-wrong-secret").lost()
    assert lost.refused
    assert "authFailed" in lost.sentence
    assert "a-wrong-secret" not in lost.sentence


@pytest.mark.parametrize(
    "fault",
    [{"mode": "e429"}, {"mode": "status", "status": 503}, {"mode": "reset_before"}],
    ids=str,
)
def test_a_gateway_in_trouble_is_lost_but_not_refused(
    gateway: Gateway, noted: Noted, fault: dict[str, Any]
) -> None:
    gateway.faults.add("chat", path_regex="connections/open", **fault)
    assert not dial(gateway, noted).lost().refused
    assert noted.openings == 0


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"endpoint": 7, "ticket": "t"},
        {"endpoint": "ws://127.0.0.1:1/x", "ticket": ["t"]},
        {"endpoint": "ws://127.0.0.1:1/x", "ticket": ""},
        {"endpoint": "ws://127.0.0.1:1/x", "ticket": "a b"},
        {"endpoint": "ws://127.0.0.1:1/x?y=1", "ticket": "t"},
        {"endpoint": "ws://user@127.0.0.1:1/x", "ticket": "t"},
        {"endpoint": "ws://127.0.0.1:99999/x", "ticket": "t"},
        {"endpoint": "ws://10.1.2.3/x", "ticket": "t"},
        {"endpoint": "wss://169.254.169.254/x", "ticket": "t"},
        {"endpoint": "ws://127.0.0.1:1/x", "ticket": "t"},
        {"endpoint": "http://127.0.0.1:1/x", "ticket": "t"},
        {"endpoint": "file:///etc/passwd", "ticket": "t"},
    ],
    ids=str,
)
def test_an_address_that_is_none_is_not_connected_to(
    gateway: Gateway, noted: Noted, serve: Serve, told: dict[str, Any]
) -> None:
    peer = serve(answer_with(json.dumps(told).encode()))
    lost = dial(gateway, noted, api_base=peer.url).lost()
    assert lost.sentence.endswith(".")
    assert noted.openings == 0


def test_no_other_host_than_dingtalk_s_own_is_believed() -> None:
    for endpoint in (
        "wss://evil.example/connect",
        "wss://dingtalk.com.evil.example/connect",
        "wss://evil-dingtalk.com/connect",
        "ws://wss-open-connection.dingtalk.com/connect",
        "wss://wss-open-connection.dingtalk.com:8443/connect",
    ):
        with pytest.raises(Lost, match="none of its own"):
            open_line(endpoint, "t", api_base="")


def test_over_tls_the_certificate_has_to_be_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path, name="localhost")
    server = serve_sockets(greet, "127.0.0.1", 0, ssl=certificate.context, logger=MUTE)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"wss://127.0.0.1:{server.socket.getsockname()[1]}/x"
    with pytest.raises(Lost, match="SSLCertVerificationError"):
        open_line(endpoint, "t", api_base=endpoint)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    tls_context.cache_clear()
    line = open_line(endpoint, "t", api_base=endpoint)
    assert line.receive(2) == "welcome"
    line.close()
    tls_context.cache_clear()
    server.shutdown()


def greet(connection: ServerConnection) -> None:
    connection.send("welcome")
    connection.recv(timeout=5)


@pytest.mark.parametrize(
    "reply",
    [answer_with(b"no", status="403 Forbidden"), answer_with(b"ok"), b"nonsense\r\n\r\n", reset],
    ids=["forbidden", "ok", "nonsense", "reset"],
)
def test_what_answers_and_is_no_stream_is_lost(serve: Serve, reply: Reply) -> None:
    peer = serve(reply)
    with pytest.raises(Lost, match="did not take the connection") as caught:
        open_line(f"ws://127.0.0.1:{peer.port}/x", "canary-ticket", api_base=peer.url)
    assert "canary-ticket" not in caught.value.sentence


def test_a_gateway_that_ends_every_connection_is_left_alone_for_a_while(
    noted: Noted, gateway: Gateway, serve: Serve
) -> None:
    def _send_away(connection: ServerConnection) -> None:
        headers = {"messageId": "m", "topic": "disconnect"}
        connection.send(json.dumps({"type": "SYSTEM", "headers": headers, "data": "{}"}))
        connection.recv(timeout=5)

    told = {"endpoint": open_sockets({"/x": _send_away}) + "/x", "ticket": "t"}
    peer = serve(answer_with(json.dumps(told).encode()))
    assert "as soon as it was open" in dial(gateway, noted, api_base=peer.url).lost().sentence
    assert len(peer.calls) == 1


def test_neither_ticket_nor_secret_is_ever_logged(
    noted: Noted, gateway: Gateway, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    origin = open_sockets({"/x": lambda connection: connection.close(1011, "no canary-ticket")})
    told = {"endpoint": f"{origin}/x", "ticket": "canary-ticket"}
    peer = serve(answer_with(json.dumps(told).encode()))
    lost = dial(gateway, noted, api_base=peer.url).lost()
    assert "1011" in lost.sentence
    # The other side's own lines are not ours.
    ours = [one.getMessage() for one in caplog.records if one.name != "websockets.server"]
    for text in (*ours, lost.sentence, repr(lost)):
        assert "canary-ticket" not in text
        assert APP_SECRET not in text


def test_the_connection_is_for_dingtalk_alone(noted: Noted) -> None:
    with pytest.raises(TypeError):
        DingTalkConnection(Comments(Bot(name="c", platform="comments")), noted.take, noted)
