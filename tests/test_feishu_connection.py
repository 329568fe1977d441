"""Feishu's long connection, over the SDK's own frames: taken first, acknowledged after, ended in time."""

import gc
import json
import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as Answer
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_sockets

from bot.platforms.base import Ignored, IncomingMessage, Parsed, Press, Rejected, Said
from bot.platforms.comments import Comments
from bot.platforms.dialling import SILENCE
from bot.platforms.feishu.connection import FeishuConnection
from bot.platforms.models import Bot
from chatops_site.sandbox.feishu import frames
from chatops_site.sandbox.feishu.app import APP_SECRET, BOT_OPEN_ID
from chatops_site.sandbox.feishu.frames import Frame
from chatops_site.sandbox.sockets import open_sockets
from tests.feishu_dial import Line, line_of
from tests.feishu_street import Street, eventually, street_fixture, whole_street_fixture
from tests.loopback import Serve, answer_with, serving

__all__ = ["street_fixture", "whole_street_fixture"]

serve = pytest.fixture(serving)

CASES = json.loads(Path(__file__).with_name("cases").joinpath("feishu_ws.json").read_text())
VECTORS = CASES["vectors"]
ENDPOINT = "/callback/ws/endpoint"


class Impatient(FeishuConnection):
    silence = 1.2


def acks(street: Street) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = street.stand.control("acks", {})["acks"]
    return told


# The vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_judges_the_vectors_of_the_vendor_s_sdk(street: Street, vector: dict[str, Any]) -> None:
    known, expect = vector["credentials"], vector["expect"]
    bot = street.bot(bot_open_id=known["bot_open_id"], tenant_key="")
    with line_of(street, bot) as line:
        # The stand-in lets its own app in; from then on the vector's is asked for.
        bot.bot.settings["app_id"] = known["app_id"]
        expected = vector["oracle"]["acks"]
        name = expected[0]["headers"]["message_id"] if expected else ""
        told = {"frames": [one["b64"] for one in vector["frames"]], "message_id": name}
        ack = street.stand.control("frames", told | {"seconds": 3 if name else 0.3})["ack"]
    assert (ack is not None) == bool(expected)
    # The SDK by itself wants again what nobody listens for and what is broken; it would come for ever.
    assert ack is None or ack["code"] == 200
    _VERDICTS[expect["verdict"], vector["kind"]](line.taken, expect)


def _is_message(taken: list[Parsed | Rejected], expect: dict[str, Any]) -> None:
    (heard,) = taken
    decoded = expect["decoded"]
    assert isinstance(heard, IncomingMessage)
    assert heard.message_id == decoded["message_id"]
    assert (heard.text, heard.sender.id) == (decoded["text"], decoded["sender_id"])
    assert heard.conversation == decoded["conversation_id"]
    assert heard.private == (decoded["conversation_type"] == "single")


def _is_press(taken: list[Parsed | Rejected], expect: dict[str, Any]) -> None:
    """The vectors' buttons carry orders instead of a token: heard, and nothing is run."""
    assert taken == [Ignored("not_our_button", expect["decoded"]["event_id"])]


def _is_noted(taken: list[Parsed | Rejected], expect: dict[str, Any]) -> None:
    (heard,) = taken
    assert isinstance(heard, Ignored | Rejected)
    assert (
        heard.reason
        == {"no_handler": "event_type", "malformed_payload": "malformed"}[expect["reason"]]
    )


def _is_nothing(taken: list[Parsed | Rejected], expect: dict[str, Any]) -> None:
    assert taken == []


_VERDICTS: dict[tuple[str, str], Callable[[list[Parsed | Rejected], dict[str, Any]], None]] = {
    ("accept", "message"): _is_message,
    ("accept", "card_action"): _is_press,
    ("error", "message"): _is_noted,
    ("ignore", "message"): _is_nothing,
}


# Taking ------------------------------------------------------------------------------------------


def test_it_takes_messages_and_acknowledges_them(street: Street) -> None:
    with line_of(street) as line:
        assert street.say("/merge 233")["status"] == 200
        assert street.say("/help", conversation="private")["status"] == 200
    assert line.texts == ["/merge 233", "/help"]
    assert [one["payload"] for one in acks(street)] == [{"code": 200}] * 2
    assert all("biz_rt" in one["headers"] for one in acks(street))


def test_it_reads_an_event_that_comes_in_parts(street: Street) -> None:
    street.stand.control("parts", {"count": 3})
    with line_of(street) as line:
        assert street.say("/merge 233 " + "长" * 1_000)["status"] == 200
    assert line.texts == ["/merge 233 " + "长" * 1_000]


def test_it_is_written_down_before_it_is_acknowledged(street: Street) -> None:
    begun, go = threading.Event(), threading.Event()

    def _slowly(_parsed: Parsed | Rejected) -> Said:
        begun.set()
        assert go.wait(5)
        return Said()

    with line_of(street, take=_slowly):
        delivery = street.stand.say("zhangsan", "cid-dev", "/help", {})
        delivery.send_later()
        assert begun.wait(2)
        assert acks(street) == []
        go.set()
        eventually(lambda: acks(street))


def test_what_cannot_be_written_down_comes_again(street: Street) -> None:
    tries = []

    def _twice(parsed: Parsed | Rejected) -> Said:
        tries.append(parsed)
        if len(tries) < 3:
            raise OSError("disk full")
        return Said()

    with line_of(street, take=_twice) as line:
        assert street.say("/merge 233")["status"] == 200
    assert [one["payload"]["code"] for one in acks(street)] == [500, 500, 200]
    assert line.texts == ["/merge 233"]
    assert len({one.message_id for one in tries if isinstance(one, IncomingMessage)}) == 1


def test_a_lost_acknowledgement_brings_it_again_under_the_same_id(street: Street) -> None:
    street.stand.control("forget_ack", {"times": 1})
    street.stand.control("ack_seconds", {"seconds": 0.3})
    with line_of(street) as line:
        assert street.say("/help")["status"] == 200
    first, second = line.taken
    assert isinstance(first, IncomingMessage)
    assert first == second


def test_whoever_presses_is_told_over_the_connection(street: Street) -> None:
    sent = street.stand.bot_says(
        "cid-release",
        markdown="x",
        message_id="om_9",
        buttons=[{"id": "b1", "label": "批准", "value": {"button": "b1"}}],
    )
    with line_of(street, take=lambda _parsed: Said("⛔ Not yours\nmore")) as line:
        assert street.stand.press("lisi", sent["n"], "批准", {}).send()["status"] == 200
    (pressed,) = line.taken
    assert isinstance(pressed, Press)
    assert (pressed.token, pressed.sender.id) == ("b1", "ou_lisi")
    (noted,) = [one for one in street.stand.talk.since(0) if "pressed" in one]
    assert noted["toast"] == "⛔ Not yours"


def test_what_is_not_for_this_app_is_written_down_and_not_wanted_again(street: Street) -> None:
    with line_of(street) as line:
        assert street.say("/help", header={"app_id": "cli_other"})["status"] == 200
        assert street.say("/help", header={"tenant_key": "other"})["status"] == 200
        assert street.say("/help", raw_body="[1]")["status"] == 200
        assert street.say("/help", raw_body="[" * 5_000)["status"] == 200
        many = json.dumps({"schema": "2.0", "x": [0] * 5_000})
        assert street.say("/help", raw_body=many)["status"] == 200
    reasons = [one.reason for one in line.taken if isinstance(one, Ignored | Rejected)]
    assert reasons == ["wrong_app", "wrong_tenant", "malformed", "malformed", "schema"]


def test_broken_frames_are_passed_over(street: Street) -> None:
    headers = {"type": "event", "message_id": "m", "trace_id": "t", "seq": "0"}
    broken = [
        frames.write(Frame(frames.DATA, headers | {"sum": "999999999"}, b"x")),
        frames.write(Frame(frames.DATA, headers | {"sum": "2", "seq": "7"}, b"x")),
        frames.write(Frame(frames.DATA, headers | {"sum": "-1"}, b"x")),
        frames.write(Frame(frames.DATA, headers | {"sum": "x"}, b"x")),
        frames.write(Frame(7, headers | {"sum": "1"}, b"x")),
        frames.write(Frame(frames.CONTROL, {"type": "pong"}, b'{"PingInterval": "soon"}')),
        frames.write(Frame(frames.CONTROL, {"type": "pong"}, b"{")),
        b"",
        b"\xff" * 100,
    ]
    with line_of(street) as line:
        for raw in broken:
            street.stand.control("frames", {"frames": [b64encode(raw).decode()], "seconds": 0.05})
        assert street.say("/help")["status"] == 200
    assert line.texts == ["/help"]


def test_of_two_connections_each_event_takes_one(street: Street) -> None:
    with line_of(street) as first, line_of(street, street.bot()) as second:
        for n in range(12):
            assert street.say(f"/pr {n}")["status"] == 200
    assert sorted(first.texts + second.texts) == sorted(f"/pr {n}" for n in range(12))
    assert first.texts
    assert second.texts


def test_a_bot_that_does_not_know_itself_asks_before_it_listens(street: Street) -> None:
    bot = street.bot(bot_open_id="")
    with line_of(street, bot) as line:
        mention = {"key": "@_user_1", "id": {"open_id": "ou_lisi"}, "name": "李四"}
        street.say("/help", message={"mentions": [mention]})
    assert line.texts == ["@李四 /help"]
    assert bot.check().count(BOT_OPEN_ID) == 1


# Ending ------------------------------------------------------------------------------------------


def test_an_idle_one_stops_at_once(street: Street) -> None:
    with line_of(street) as line:
        assert line.end() < 1
    assert line.lost is None


def test_it_stops_soon_and_finishes_what_it_has_begun(street: Street) -> None:
    begun, go = threading.Event(), threading.Event()

    def _slowly(_parsed: Parsed | Rejected) -> Said:
        begun.set()
        assert go.wait(5)
        return Said()

    with line_of(street, take=_slowly) as line:
        street.stand.say("zhangsan", "cid-dev", "/help", {}).send_later()
        assert begun.wait(2)
        threading.Timer(0.3, go.set).start()
        assert line.end() < 2
    assert line.texts == ["/help"]
    assert [one["payload"]["code"] for one in acks(street)] == [200]


def test_it_stops_while_it_is_being_opened_and_leaves_nothing_behind(street: Street) -> None:
    street.faults.add("chat", mode="delay", seconds=2.5, path_regex="endpoint")
    line = Line(street.platform)
    eventually(lambda: f"POST {ENDPOINT}" in street.calls())
    assert line.end() < 2
    time.sleep(2.5)
    assert (line.greetings, street.stand.connected()) == (0, 0)


def test_nothing_of_the_sdk_is_left_when_it_has_ended(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    before = threading.active_count()
    for _ in range(3):
        with line_of(street) as line:
            assert street.say("/help")["status"] == 200
            assert line.end() < 2
    gc.collect()
    eventually(lambda: threading.active_count() <= before)
    assert "pending" not in caplog.text


def test_a_silent_connection_is_noticed(street: Street) -> None:
    with line_of(street, kind=Impatient) as line:
        street.stand.control("silence", {})
        assert "silent" in line.ended(3).sentence
    assert SILENCE <= 90


def test_a_silent_one_stops_in_time_too(street: Street) -> None:
    with line_of(street) as line:
        street.stand.control("silence", {})
        assert line.end() < 2


def test_a_quiet_connection_that_answers_is_kept(street: Street) -> None:
    """Whatever pause between pings Feishu wishes: 120 s here."""
    with line_of(street, kind=Impatient) as line:
        time.sleep(2.5)
        assert line.lost is None
        assert line.signs_of_life >= 3
        assert street.say("/help")["status"] == 200
    assert street.stand.control("acks", {})["pings"] >= 3


def test_while_something_is_taken_nothing_is_silent(street: Street) -> None:
    with line_of(street, kind=Impatient, take=lambda _parsed: _after(1.5)) as line:
        assert street.say("/help")["status"] == 200
        assert street.say("/prs")["status"] == 200
        assert line.lost is None


def _after(seconds: float) -> Said:
    time.sleep(seconds)
    return Said()


def test_a_connection_that_is_ended_is_lost_and_can_be_made_again(street: Street) -> None:
    with line_of(street) as line:
        street.stand.control("disconnect", {})
        assert not line.ended(3).refused
    with line_of(street) as line:
        assert street.say("/help")["status"] == 200
    assert line.texts == ["/help"]


# Opening -----------------------------------------------------------------------------------------


def test_a_wrong_secret_is_told_as_refused_and_kept_to_itself(street: Street) -> None:
    lost = Line(street.bot({"app_secret": "a-wrong-secret"})).ended()
    assert lost.refused
    assert "514" in lost.sentence
    assert "a-wrong-secret" not in lost.sentence


@pytest.mark.parametrize("code", [1, 1000040343])
def test_a_busy_gateway_is_lost_but_not_refused(street: Street, code: int) -> None:
    street.stand.control("refuse", {"call": "endpoint", "code": code})
    assert not Line(street.platform).ended().refused


def test_a_gateway_in_trouble_is_lost_but_not_refused(street: Street) -> None:
    street.faults.add("chat", mode="status", status=503, path_regex="endpoint")
    assert not Line(street.platform).ended().refused


def an_endpoint(address: object) -> bytes:
    data = {"URL": address, "ClientConfig": {"PingInterval": "x", "ReconnectCount": None}}
    return answer_with(json.dumps({"code": 0, "data": data}).encode())


@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "http://127.0.0.1:1/x",
        "ws://127.0.0.1:1/x?ticket=canary-ticket",
        "ws://127.0.0.1:99999/x?ticket=canary-ticket",
        "ws://user@127.0.0.1/x?ticket=canary-ticket",
        "ws://10.1.2.3/x?ticket=canary-ticket",
        "wss://169.254.169.254/x?ticket=canary-ticket",
        "ws://127.0.0.1:1/x y?ticket=canary-ticket",
        "ws://?ticket=canary-ticket",
    ],
    ids=str,
)
def test_an_address_that_is_none_is_not_connected_to(
    street: Street, serve: Serve, address: object
) -> None:
    lost = Line(street.bot(api_base=serve(an_endpoint(address)).url)).ended()
    assert lost.sentence.endswith(".")
    assert "canary-ticket" not in lost.sentence


@contextmanager
def refusing(**headers: str) -> Iterator[str]:
    """A place that takes no connection, and says why as Feishu does."""

    def _refuse(_connection: ServerConnection, _request: Handshake) -> Answer:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return Answer(HTTPStatus.FORBIDDEN, "Forbidden", Headers(told), b"")

    with serve_sockets(lambda _connection: None, "127.0.0.1", 0, process_request=_refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/x?service_id=1&ticket=t"


@pytest.mark.parametrize(
    ("headers", "refused", "words"),
    [
        (
            {
                "handshake_status": "514",
                "handshake_autherrcode": "1000040350",
                "handshake_msg": "canary-ticket",
            },
            True,
            "Fifty connections",
        ),
        ({"handshake_status": "403"}, True, "403"),
        ({"handshake_status": "1"}, False, "1"),
        ({"handshake_status": "x" * 100}, False, "403"),
        ({}, False, "403"),
    ],
    ids=str,
)
def test_a_refused_handshake_says_why(
    street: Street, serve: Serve, headers: dict[str, str], refused: bool, words: str
) -> None:
    with refusing(**headers) as address:
        lost = Line(street.bot(api_base=serve(an_endpoint(address)).url)).ended()
    assert (lost.refused, words in lost.sentence) == (refused, True)
    assert "canary-ticket" not in lost.sentence


def test_neither_ticket_nor_secret_is_ever_logged(
    street: Street,
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)

    def _greet_and_go(connection: ServerConnection) -> None:
        connection.send(b"\xff canary-ticket")
        connection.close(1011, "no canary-ticket")

    address = open_sockets({"/x": _greet_and_go}) + "/x?service_id=1&ticket=canary-ticket"
    lost = Line(street.bot(api_base=serve(an_endpoint(address)).url)).ended()
    with line_of(street):
        street.say("/help")
    assert "1011" in lost.sentence
    # The other side's own lines are not ours.
    ours = [one.getMessage() for one in caplog.records if one.name != "websockets.server"]
    printed = capfd.readouterr()
    for text in (*ours, lost.sentence, repr(lost), printed.out, printed.err):
        assert "canary-ticket" not in text
        assert "ticket=" not in text
        assert APP_SECRET not in text


def test_the_connection_is_for_feishu_alone() -> None:
    with pytest.raises(TypeError):
        FeishuConnection(Comments(Bot(name="c", platform="comments")), lambda _: Said(), _Signs())


class _Signs:
    def connected(self) -> None: ...

    def alive(self) -> None: ...
