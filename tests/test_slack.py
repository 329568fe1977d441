"""Slack over HTTP: whose bytes are believed, and for whom they are."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.platforms.base import Challenge, Ignored, IncomingMessage, Parsed, Press, Rejected, Webhook
from bot.platforms.slack.adapter import FORM, Slack, sign
from tests.slack_payloads import (
    APP,
    EVENT,
    NOW,
    SECRET,
    STAMP,
    TEAM,
    a_bot,
    a_press,
    an_event,
    headers,
    message,
    receive,
    refusal,
)

CASES = json.loads(Path(__file__).with_name("cases").joinpath("slack_http.json").read_text())
VECTORS = CASES["vectors"]


# The vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_judges_the_vectors_of_the_vendor_s_sdk(vector: dict[str, Any]) -> None:
    known, request, expect = vector["credentials"], vector["request"], vector["expect"]
    bot = a_bot(
        app_id=known.get("api_app_id", "A0DOCS"),
        team_id=known.get("team_id", "T1DC2JH3J"),
        bot_user_id=known.get("bot_user_id", ""),
    )
    bot.secrets = {"signing_secret": known["signing_secret"]}
    # The vendor's page prints no Content-Type beside its example.
    lowered = {"content-type": FORM} | {k.lower(): v for k, v in request["headers"].items()}
    webhook = Webhook(request["method"], lowered, {}, base64.b64decode(request["body_b64"]))
    now = datetime.fromtimestamp(vector["now"], UTC)

    if expect["verdict"] == "reject":
        with pytest.raises(Rejected):
            Slack(bot).receive(webhook, now=now)
        return
    parsed = Slack(bot).receive(webhook, now=now)
    assert isinstance(parsed, Ignored) is (expect["verdict"] == "ignore")
    decoded = expect.get("decoded") or {}
    assert {name: told(parsed, name) for name in decoded.keys() & _TOLD} == {
        name: decoded[name] for name in decoded.keys() & _TOLD
    }


_TOLD = {
    "text", "command", "sender_id", "sender_name", "conversation_id", "conversation_type",
    "response_url", "thread_ts", "value", "challenge", "dedupe_key",
}  # fmt: skip


def told(parsed: Parsed, name: str) -> Any:
    if isinstance(parsed, Challenge):
        return json.loads(parsed.body)[name]
    assert isinstance(parsed, IncomingMessage | Press)
    if name == "value":
        assert isinstance(parsed, Press)
        return parsed.token
    if name in ("text", "command"):
        assert isinstance(parsed, IncomingMessage)
        return parsed.text if name == "text" else parsed.slash
    if name in ("response_url", "thread_ts"):
        return parsed.route.get("thread" if name == "thread_ts" else name) or None
    return {
        "dedupe_key": parsed.press_id if isinstance(parsed, Press) else parsed.message_id,
        "sender_id": parsed.sender.id,
        "sender_name": parsed.sender.name or None,
        "conversation_id": parsed.conversation,
        "conversation_type": "single" if parsed.private else "group",
    }[name]


def test_a_repeated_delivery_has_the_same_id() -> None:
    first, second = (one for one in VECTORS if one.get("sequence") == "slack-dup-pub")
    ids = set()
    for vector in (first, second):
        known = vector["credentials"]
        bot = a_bot(app_id=known["api_app_id"], team_id=known["team_id"])
        bot.secrets = {"signing_secret": known["signing_secret"]}
        lowered = {k.lower(): v for k, v in vector["request"]["headers"].items()}
        body = base64.b64decode(vector["request"]["body_b64"])
        now = datetime.fromtimestamp(vector["now"], UTC)
        ids.add(message(Slack(bot).receive(Webhook("POST", lowered, {}, body), now=now)).message_id)
    assert ids == {"C0LAN2Q65:1790000000.502313"}


# Signature, freshness, form ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "stamp",
    ["abc", "now", "NaN", "1e9", "179000000", "17900000000", "+179000000", " 1790000000",
     "1790000000 ", "1790000000\n", "1_79000000", "１７９０００００００", "-790000000", "1790000000.0",
     "\xff\xfe", "\ud800"],
)  # fmt: skip
def test_it_refuses_a_timestamp_that_is_not_ten_digits(stamp: str) -> None:
    given = {"x-slack-request-timestamp": stamp}
    assert refusal(EVENT, given=given) == ("bad_timestamp", 401)


@pytest.mark.parametrize("name", ["x-slack-request-timestamp", "x-slack-signature"])
def test_it_refuses_a_missing_or_repeated_header(name: str) -> None:
    assert refusal(EVENT, given={name: ""}) == ("missing_header", 401)
    value = headers(EVENT, FORM)[name]
    for joined in (f"{value},{value}", f"{value}, x", f"x,{value}"):
        assert refusal(EVENT, given={name: joined}) == ("repeated_header", 401)


GOOD = sign(STAMP, EVENT, SECRET)


@pytest.mark.parametrize(
    "given",
    ["é", "\xff", "\ud800", "null", GOOD.upper(), "v0=" + GOOD[3:].upper(), GOOD + " ", " " + GOOD,
     GOOD[3:], "v1=" + GOOD[3:], "sha256=" + GOOD[3:], GOOD[:-1], GOOD + "0",
     "v0=" + base64.b64encode(bytes.fromhex(GOOD[3:])).decode(), sign(STAMP, EVENT, SECRET + "x"),
     sign(STAMP, EVENT, ""), sign("1790000001", EVENT, SECRET), sign(STAMP, EVENT + b" ", SECRET)],
)  # fmt: skip
def test_it_refuses_any_other_spelling_of_a_signature(given: str) -> None:
    assert refusal(EVENT, given={"x-slack-signature": given}) == ("bad_signature", 401)


@settings(deadline=None)
@given(st.text(max_size=80), st.text(max_size=20))
def test_it_refuses_made_up_headers_without_a_crash(mark: str, stamp: str) -> None:
    made_up = {"x-slack-signature": mark or "x", "x-slack-request-timestamp": stamp or "x"}
    for name in made_up:
        with pytest.raises(Rejected):
            receive(EVENT, given={name: made_up[name]})


@settings(deadline=None)
@given(st.integers(0, len(EVENT) * 8 - 1))
def test_one_bit_turned_anywhere_in_the_body_breaks_the_signature(n: int) -> None:
    turned = bytearray(EVENT)
    turned[n // 8] ^= 1 << n % 8
    assert refusal(bytes(turned), given={"x-slack-signature": GOOD}) == ("bad_signature", 401)


def test_it_is_closed_while_it_has_no_secret() -> None:
    bot = a_bot()
    bot.secrets = {}
    given = headers(EVENT, "application/json", secret="")
    assert refusal(EVENT, bot=bot, given=given) == ("bad_signature", 401)


def test_it_takes_the_old_secret_too_until_that_is_removed() -> None:
    bot = a_bot()
    bot.secrets = {"signing_secret": "the-new-one", "signing_secret_old": SECRET}
    for secret in ("the-new-one", SECRET):
        given = headers(EVENT, "application/json", secret=secret)
        assert isinstance(receive(EVENT, bot=bot, given=given), IncomingMessage)
    bot.secrets = {"signing_secret": "the-new-one"}
    assert refusal(EVENT, bot=bot) == ("bad_signature", 401)


@pytest.mark.parametrize("direction", [1, -1])
def test_it_takes_five_minutes_and_not_a_moment_more(direction: int) -> None:
    window = direction * timedelta(seconds=300)
    assert isinstance(receive(EVENT, now=NOW + window), IncomingMessage)
    beyond = NOW + window + direction * timedelta(milliseconds=1)
    assert refusal(EVENT, now=beyond) == ("expired", 401)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data", "application/jsonp", "text/json"]
)
def test_it_refuses_another_content_type(kind: str) -> None:
    assert refusal(EVENT, given={"content-type": kind}) == ("content_type", 415)
    assert refusal(EVENT, given={"content-encoding": "gzip"}) == ("content_encoding", 415)


def test_it_refuses_another_method() -> None:
    webhook = Webhook("GET", headers(EVENT, "application/json"), {}, EVENT)
    with pytest.raises(Rejected) as caught:
        Slack(a_bot()).receive(webhook, now=NOW)
    assert caught.value.status == 405


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"1", b"[" * 50_000, b'{"a":1,"a":1}', b'{"a":NaN}',
             b"\xef\xbb\xbf{}", b"\xff"]
)  # fmt: skip
def test_it_calls_a_body_malformed_unless_it_is_one_json_object(body: bytes) -> None:
    assert refusal(body) == ("malformed", 400)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"user_id=%ff", b"user_id=%ED%A0%80", b"user_id=U1&user_id=U2",
     b"&".join(b"f%d=1" % n for n in range(101)), b"payload=", b"payload=x", b"payload=[]",
     b"payload=%7B%22a%22%3A1%2C%22a%22%3A2%7D"],
)  # fmt: skip
def test_it_calls_a_form_malformed_that_has_more_than_one_meaning(body: bytes) -> None:
    assert refusal(body, FORM) == ("malformed", 400)


# For whom ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["other", "", None, 1, [TEAM], {"a": 1}, TEAM.lower(), ...])
def test_it_refuses_what_is_for_another_workspace(value: object) -> None:
    body = json.dumps(an_event(outer_team_id=value)).encode()
    assert refusal(body) == ("wrong_tenant", 401)
    pressed = urlencode({"payload": json.dumps(a_press(team={"id": value, "x": 1} if value is not ...
                                                       else ...))}).encode()  # fmt: skip
    assert refusal(pressed, FORM) == ("wrong_tenant", 401)


@pytest.mark.parametrize("value", ["other", "", None, 1, [APP], {"a": 1}, APP.lower()])
def test_it_refuses_what_is_for_another_app(value: object) -> None:
    body = json.dumps(an_event(outer_api_app_id=value)).encode()
    assert refusal(body) == ("wrong_app", 401)


def test_it_refuses_everything_while_it_does_not_know_who_it_is() -> None:
    body = json.dumps(an_event(outer_team_id="", outer_api_app_id="")).encode()
    assert refusal(body, bot=a_bot(team_id="")) == ("wrong_tenant", 401)
    assert refusal(EVENT, bot=a_bot(app_id="")) == ("wrong_app", 401)


def test_it_answers_the_challenge_and_only_a_signed_one() -> None:
    body = b'{"type": "url_verification", "challenge": "c1", "token": "legacy"}'
    challenge = receive(body)
    assert challenge == Challenge(b'{"challenge": "c1"}', "application/json")
    given = {"x-slack-signature": "v0=" + "0" * 64}
    assert refusal(body, given=given) == ("bad_signature", 401)
    for odd in (b'["c"]', b"1", b'""', b'"' + b"c" * 501 + b'"'):
        parsed = receive(b'{"type": "url_verification", "challenge": ' + odd + b"}")
        assert parsed == Ignored("schema")
