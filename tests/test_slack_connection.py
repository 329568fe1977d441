"""Slack's Socket Mode, over real connections to the stand-in: taken first, acknowledged after, nothing lost."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.platforms.base import Ignored, IncomingMessage, Parsed, Press, Rejected, Said
from bot.platforms.console import Console
from bot.platforms.dialling import Lost
from bot.platforms.models import Bot
from bot.platforms.slack.adapter import Slack
from bot.platforms.slack.connection import MOST_RENEWALS, SlackConnection
from tests.loopback import Serve, answer_with, serving
from tests.slack_street import Street, now, street_fixture, wait_for, whole_street_fixture

__all__ = ["street_fixture", "whole_street_fixture"]

serve = pytest.fixture(serving)
CASES = json.loads(Path(__file__).with_name("cases").joinpath("slack_socket.json").read_text())
VECTORS = CASES["vectors"]


class Impatient(SlackConnection):
    ping_every = 0.2
    silence = 1.0


@dataclass
class Line:
    """A connection in a thread of its own, what it took, how it ended."""

    platform: Slack
    take: Callable[[Parsed | Rejected], Said] | None = None
    kind: type[SlackConnection] = SlackConnection
    taken: list[Parsed | Rejected] = field(default_factory=list)
    greetings: int = 0
    signs_of_life: int = 0
    lost: Lost | None = None
    crash: BaseException | None = None

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def connected(self) -> None:
        self.greetings += 1

    def alive(self) -> None:
        self.signs_of_life += 1

    def end(self) -> float:
        """How many seconds it took to stop."""
        began = time.monotonic()
        self.stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def ended(self) -> Lost:
        wait_for(lambda: not self.running, 10)
        assert self.crash is None
        assert self.lost is not None
        return self.lost

    def _run(self) -> None:
        try:
            self.kind(self.platform, self._take, self).run(self.stop)
        except Lost as lost:
            self.lost = lost
        except BaseException as crash:
            self.crash = crash

    def _take(self, parsed: Parsed | Rejected) -> Said:
        said = self.take(parsed) if self.take else Said()
        self.taken.append(parsed)
        return said


@contextmanager
def line_of(street: Street, platform: Slack | None = None, **more: Any) -> Iterator[Line]:
    before = street.slack.connected()
    street.slack.choose_mode("dialled")
    line = Line(platform or street.platform, **more)
    wait_for(lambda: line.greetings)
    wait_for(lambda: street.slack.connected() == before + 1)
    try:
        yield line
    finally:
        line.end()
        wait_for(lambda: street.slack.connected() == before)
        assert line.crash is None


def frame(street: Street, text: str, envelope: str = "", seconds: float = 1.0) -> bool:
    told = {"text": text, "envelope_id": envelope, "seconds": seconds}
    return bool(street.slack.control("frame", told)["acknowledged"])


# The vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_judges_the_vectors_of_the_vendor_s_sdk(street: Street, vector: dict[str, Any]) -> None:
    known, expect = vector["credentials"], vector["expect"]
    bot = street.connect(team_id=known["team_id"], bot_user_id=known["bot_user_id"])
    ack = vector["oracle"]["ack"]
    with line_of(street, bot) as line:
        # The stand-in greets as its own app; the vector's frames are for another one.
        if expect["verdict"] != "reconnect":
            bot.bot.settings["app_id"] = known["api_app_id"]
        text = vector["frames"][0]["text"]
        acknowledged = frame(street, text, ack["envelope_id"] if ack else "none", 1 if ack else 0.2)
        assert acknowledged is bool(ack)
        assert len(line.taken) == (expect["verdict"] == "accept")
        if expect["decoded"]:
            assert told(line.taken[0]).items() >= comparable(expect["decoded"]).items()
        if expect["verdict"] == "reconnect":
            wait_for(lambda: line.greetings == 2)
        assert line.running


def told(parsed: Parsed | Rejected) -> dict[str, Any]:
    assert isinstance(parsed, IncomingMessage | Press)
    said = {"text": parsed.text} if isinstance(parsed, IncomingMessage) else {"value": parsed.token}
    return {**said, "sender_id": parsed.sender.id, "conversation_id": parsed.conversation}


def comparable(decoded: dict[str, Any]) -> dict[str, Any]:
    left_out = {"command_text", "event_id", "action_id"}
    return {name: value for name, value in decoded.items() if name not in left_out}


# Taking and acknowledging ------------------------------------------------------------------------


def test_messages_commands_and_presses_come_over_the_connection(street: Street) -> None:
    with line_of(street) as line:
        assert street.say("/merge 233")["status"] == 200
        assert street.say("/ops merge 233")["status"] == 200
        mention, slash = line.taken
        assert isinstance(mention, IncomingMessage)
        assert isinstance(slash, IncomingMessage)
        assert (mention.text, mention.slash) == ("/merge 233", "")
        assert (slash.text, slash.slash) == ("merge 233", "/ops")
        assert (now() - slash.sent_at).total_seconds() < 5
        assert line.signs_of_life >= 3


def test_it_acknowledges_only_after_taking(street: Street) -> None:
    seen: list[int] = []

    def take(parsed: Parsed | Rejected) -> Said:
        time.sleep(0.3)
        seen.append(len(street.slack.control("acks", {})["acks"]))
        return Said()

    with line_of(street, take=take):
        answered = street.say("/help")
    assert (answered["status"], seen) == (200, [0])
    assert answered["milliseconds"] >= 300


def test_what_could_not_be_written_down_is_delivered_again(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[Parsed | Rejected] = []

    def take(parsed: Parsed | Rejected) -> Said:
        tries.append(parsed)
        if len(tries) < 3:
            raise RuntimeError("database xoxb-secret-1 is away")
        return Said()

    street.slack.control("ack_seconds", {"seconds": 0.2})
    with line_of(street, take=take) as line:
        assert street.say("/merge 233")["status"] == 200
        assert len(line.taken) == 1
    assert len(tries) == 3
    assert tries[0] == tries[2]
    assert "could not be written down (RuntimeError)" in caplog.text
    assert "xoxb-secret-1" not in caplog.text


def test_a_lost_acknowledgement_brings_the_same_message_again(street: Street) -> None:
    street.slack.control("ack_seconds", {"seconds": 0.2})
    street.slack.control("forget_ack", {"times": 1})
    with line_of(street) as line:
        assert street.say("/merge 233")["status"] == 200
        first, second = line.taken
    assert isinstance(first, IncomingMessage)
    assert first == second


def test_what_is_for_somebody_else_is_noted_and_nothing_more(street: Street) -> None:
    with line_of(street) as line:
        street.say(tamper={"body": {"team_id": "T0OTHER"}})
        street.say(tamper={"body": {"api_app_id": "A0OTHER"}})
        street.say(tamper={"event": {"bot_id": "B1"}})
    reasons = [one.reason for one in line.taken if isinstance(one, Ignored | Rejected)]
    assert reasons == ["wrong_tenant", "wrong_app", "bot_message"]


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "1", '"x"', "{}", '{"type": []}', '{"type": "disconnect"}', "{" * 5_000,
     '{"envelope_id": 1, "type": "events_api", "payload": {}}', '{"a": 1, "a": 2}', "\x00",
     '{"type": "hello", "connection_info": []}', '{"type": "disconnect", "reason": ["x"]}',
     '{"envelope_id": "e", "type": "events_api", "payload": "x"}', "字" * 100_000],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_odd_frames_break_nothing(street: Street, text: str) -> None:
    with line_of(street) as line:
        frame(street, text, "none", 0.05)
        assert street.say("/help")["status"] == 200
        assert line.lost is None


def test_a_message_of_very_many_parts_is_taken_as_well(street: Street) -> None:
    parts = {"elements": [{"type": "text", "text": "x"}] * 4_000}
    with line_of(street) as line:
        assert street.say("/help", tamper={"event": {"blocks": parts}})["status"] == 200
        assert isinstance(line.taken[0], IncomingMessage)


def test_a_message_of_sixty_thousand_characters_comes_whole(street: Street) -> None:
    with line_of(street) as line:
        assert street.say("长" * 60_000)["status"] == 200
        (message,) = line.taken
        assert isinstance(message, IncomingMessage)
        assert message.text == "长" * 60_000


# Renewing and ending -----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
def test_a_renewed_connection_loses_nothing(street: Street, reason: str) -> None:
    with line_of(street) as line:
        for n in range(20):
            if n == 5:
                street.slack.control("disconnect", {"reason": reason, "seconds": 1})
                wait_for(street.slack.connected)
            assert street.say(f"/pr {n}")["status"] == 200
        wait_for(lambda: line.greetings == 2)
        texts = {one.text for one in line.taken if isinstance(one, IncomingMessage)}
        assert texts == {f"/pr {n}" for n in range(20)}
        time.sleep(1.2)
        assert line.running


def test_a_renewal_that_fails_is_told(street: Street) -> None:
    with line_of(street) as line:
        refusal = {"method": "apps.connections.open", "error": "token_revoked"}
        street.slack.control("refuse", refusal)
        street.slack.control("disconnect", {"reason": "warning", "seconds": 0.1})
        assert line.ended().refused


def test_a_connection_that_is_always_ended_is_given_up_for_a_while(street: Street) -> None:
    with line_of(street) as line:
        for n in range(MOST_RENEWALS):
            wait_for(lambda n=n: line.greetings == n + 1 and street.slack.connected())  # type: ignore[misc]
            assert line.running
            street.slack.control("disconnect", {"reason": "warning", "seconds": 0.1})
        lost = line.ended()
    assert not lost.refused
    assert "one connection after the other" in lost.sentence


@pytest.mark.parametrize("reason", ["link_disabled", "too_many_websockets"])
def test_a_final_farewell_is_not_answered_by_another_connection(
    street: Street, reason: str
) -> None:
    with line_of(street) as line:
        street.slack.control("disconnect", {"reason": reason, "seconds": 0})
        lost = line.ended()
    assert lost.refused
    assert reason in lost.sentence
    assert street.calls().count("apps.connections.open") == 1


@pytest.mark.parametrize(
    ("token", "code"),
    [("", "not_authed"), ("xapp-wrong", "invalid_auth"), ("xoxb-demo-bot-token", "not_allowed")],
)
def test_a_wrong_app_token_is_refused_and_kept(street: Street, token: str, code: str) -> None:
    lost = Line(street.connect(app_token=token)).ended()
    assert lost.refused
    assert code in lost.sentence
    assert "xapp-" in lost.sentence or "connections:write" in lost.sentence
    assert not token or token not in lost.sentence


@pytest.mark.parametrize(
    "fault",
    [
        {"mode": "status", "status": 503},
        {"mode": "e429", "retry_after": 7},
        {"mode": "reset_before"},
        {"mode": "status", "status": 200, "body": '{"ok": true, "url": "http://x"}'},
        {"mode": "status", "status": 200, "body": '{"ok": true, "url": "ws://127.0.0.1:9/x"}'},
    ],
    ids=str,
)
def test_a_connection_that_cannot_be_made_may_be_tried_again(
    street: Street, fault: dict[str, Any]
) -> None:
    street.faults.add("chat", path_regex="connections.open", **fault)
    assert not Line(street.platform).ended().refused


def test_an_app_token_of_another_app_is_refused(street: Street) -> None:
    lost = Line(street.connect(app_id="A0OTHER")).ended()
    assert lost.refused
    assert "app_id" in lost.sentence


def test_a_cut_connection_is_noticed_at_once(street: Street) -> None:
    with line_of(street) as line:
        began = time.monotonic()
        street.slack.control("cut", {})
        assert not line.ended().refused
        assert time.monotonic() - began < 3


def test_a_half_open_connection_is_noticed(street: Street) -> None:
    with line_of(street, kind=Impatient) as line:
        before = line.signs_of_life
        wait_for(lambda: line.signs_of_life > before + 2)
        assert line.running
        began = time.monotonic()
        street.slack.control("silence", {})
        assert "not answered" in line.ended().sentence
        assert time.monotonic() - began < 4
        street.slack.control("cut", {})


def test_the_plain_one_notices_silence_within_the_time_promised() -> None:
    assert SlackConnection.ping_every * 4 < SlackConnection.silence < 90


def test_it_stops_within_two_seconds_when_nothing_comes(street: Street) -> None:
    with line_of(street) as line:
        time.sleep(0.5)
        assert line.end() < 2


def test_it_stops_within_two_seconds_while_it_connects(street: Street) -> None:
    street.faults.add("chat", mode="hang", path_regex="connections.open", seconds=5)
    line = Line(street.platform)
    time.sleep(0.2)
    assert line.end() < 2
    assert line.lost is None
    street.faults.clear()


def test_what_is_being_taken_is_finished_before_it_stops(street: Street) -> None:
    begun = threading.Event()

    def take(parsed: Parsed | Rejected) -> Said:
        begun.set()
        time.sleep(0.5)
        return Said()

    with line_of(street, take=take) as line:
        threading.Thread(target=street.say, daemon=True).start()
        begun.wait(5)
        line.end()
        assert len(line.taken) == 1
        wait_for(lambda: len(street.slack.control("acks", {})["acks"]) == 1)


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("", "ws://wss-primary.slack.com/link/?ticket=1"),
        ("https://slack.com", "ws://wss-primary.slack.com/link/?ticket=1"),
        # Slack's SDK would go there without TLS.
        ("", "wss://wss-primary.slack.com:8443/link/?ticket=1"),
        ("http://here", "wss://127.0.0.1:9/link/?ticket=1"),
        ("http://here", "wss://user@127.0.0.1:443/link"),
        ("http://here", "ws://127.0.0.1:9/a b"),
        ("http://here", "http://127.0.0.1:9/"),
        ("http://here", ""),
    ],
)
def test_a_ticket_never_goes_in_the_clear(serve: Serve, base: str, address: str) -> None:
    told = json.dumps({"ok": True, "url": address}).encode()
    bot = Bot(name="ops", platform="slack", settings={"api_base": serve(answer_with(told)).url})
    bot.secrets = {"app_token": "xapp-1"}
    platform = Slack(bot)
    bot.settings = {"api_base": base}
    lost = Line(platform).ended()
    assert "no address" in lost.sentence
    assert "ticket" not in lost.sentence


def test_what_has_come_before_it_stops_is_taken_too(street: Street) -> None:
    begun = threading.Event()

    def take(parsed: Parsed | Rejected) -> Said:
        begun.set()
        time.sleep(0.15)
        return Said()

    with line_of(street, take=take) as line:
        threads = [threading.Thread(target=street.say, args=("/ops pr 1",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait(5)
        time.sleep(0.05)
        assert line.end() < 2
        for thread in threads:
            thread.join()
        assert len(line.taken) == 4
        assert len(street.slack.control("acks", {})["acks"]) == 4


def test_two_connections_of_one_bot_share_the_messages(street: Street) -> None:
    with line_of(street) as first, line_of(street) as second:
        for n in range(30):
            assert street.say(f"/pr {n}")["status"] == 200
        assert len(first.taken) + len(second.taken) == 30


def test_no_thread_stays_behind(street: Street) -> None:
    before = threading.active_count()
    for _ in range(3):
        with line_of(street):
            street.say("/help")
    wait_for(lambda: threading.active_count() <= before + 2)


def test_neither_ticket_nor_token_reaches_a_log(
    street: Street, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with line_of(street):
        street.say("/merge 233")
        street.slack.control("disconnect", {"reason": "warning", "seconds": 0.1})
        wait_for(street.slack.connected)
        street.slack.control("cut", {})
        time.sleep(0.5)
    printed = capfd.readouterr()
    ours = [one for one in caplog.records if not one.name.startswith("websockets")]
    told = "\n".join(one.getMessage() for one in ours) + printed.out + printed.err
    for secret in ("ticket=", "xapp-", "xoxb-", "ws://", "/merge 233"):
        assert secret not in told


def test_it_is_for_slack_s_bots_only(street: Street) -> None:
    console = Console(Bot(name="c", platform="console"))
    with pytest.raises(TypeError):
        SlackConnection(console, lambda parsed: Said(), Line(street.connect(app_token="")))
