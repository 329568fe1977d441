"""Feishu over HTTP: who is believed, and what is opened."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.platforms.base import (
    Challenge,
    Ignored,
    IncomingMessage,
    Parsed,
    Rejected,
    Webhook,
)
from bot.platforms.feishu.crypto import sign, unseal
from tests.feishu_letters import (
    APP,
    KEY,
    NOW,
    STAMP,
    TOKEN,
    UNSIGNED,
    a_bot,
    a_message,
    an_event,
    encrypt,
    headers,
    lengthened,
    message,
    receive,
    refusal,
    seal,
    take,
)

CASES = json.loads(Path(__file__).with_name("cases").joinpath("feishu_http.json").read_text())
VECTORS = [one for one in CASES["vectors"] if one["group"] == "feishu_http"]
PUBLISHED = [one for one in CASES["vectors"] if one["group"] == "feishu_decrypt"]

# The vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_judges_the_vectors_of_the_vendor_s_sdk(vector: dict[str, Any]) -> None:
    known, request = vector["credentials"], vector["request"]
    secrets = {name: known[name] for name in ("encrypt_key", "verification_token")}
    bot = a_bot(secrets, app_id=known["app_id"], bot_open_id=known["bot_open_id"], tenant_key="")
    lowered = {name.lower(): value for name, value in request["headers"].items()}
    body, now = base64.b64decode(request["body_b64"]), datetime.fromtimestamp(vector["now"], UTC)

    if vector["expect"]["verdict"] == "reject":
        reasons = vector["expect"].get("reason_any") or _REASONS[vector["expect"]["reason"]]
        assert refusal(body, lowered, bot=bot, now=now)[0] in reasons
        return
    parsed = take(body, lowered, bot=bot, now=now)
    _KINDS[vector["kind"]](parsed, vector["expect"]["decoded"])


_REASONS = {
    "bad_signature": ["bad_signature"],
    "bad_token": ["bad_token"],
    "bad_padding": ["decrypt_failed"],
    "bad_ciphertext": ["decrypt_failed"],
    "missing_header": ["missing_header"],
    "wrong_app": ["wrong_app"],
    "expired": ["expired"],
}


def _is_message(parsed: Parsed, decoded: dict[str, Any] | None) -> None:
    assert isinstance(parsed, IncomingMessage)
    if decoded is None:
        # The second of two deliveries: the same id, which the store has had.
        assert parsed.message_id.startswith("om_")
        return
    assert parsed.message_id == decoded["message_id"]
    assert parsed.text == decoded["text"]
    assert parsed.sender.id == decoded["sender_id"]
    assert parsed.conversation == decoded["conversation_id"]
    assert parsed.private == (decoded["conversation_type"] == "single")


def _is_challenge(parsed: Parsed, decoded: dict[str, Any]) -> None:
    assert isinstance(parsed, Challenge)
    assert json.loads(parsed.body) == decoded
    assert parsed.content_type == "application/json"


def _is_press(parsed: Parsed, decoded: dict[str, Any]) -> None:
    """Authentic, but the vectors' buttons are none of ours: theirs carry orders instead of a token."""
    assert "button" not in decoded["action_value"]
    assert parsed == Ignored("not_our_button", decoded["event_id"])


_KINDS = {
    "message": _is_message,
    "url_verification": _is_challenge,
    "card_action": _is_press,
}


def test_both_deliveries_of_a_repeated_one_have_one_id() -> None:
    first, second = (one for one in VECTORS if one.get("sequence"))
    ids = []
    for vector in (first, second):
        known, request = vector["credentials"], vector["request"]
        secrets = {name: known[name] for name in ("encrypt_key", "verification_token")}
        bot = a_bot(secrets, app_id=known["app_id"], tenant_key="")
        lowered = {name.lower(): value for name, value in request["headers"].items()}
        now = datetime.fromtimestamp(vector["now"], UTC)
        parsed = take(base64.b64decode(request["body_b64"]), lowered, bot=bot, now=now)
        assert isinstance(parsed, IncomingMessage)
        ids.append(parsed.message_id)
    assert ids[0] == ids[1]


@pytest.mark.parametrize("vector", PUBLISHED, ids=lambda vector: vector["id"])
def test_it_opens_what_the_vendor_published(vector: dict[str, Any]) -> None:
    key = vector["credentials"]["encrypt_key"]
    assert unseal(vector["ciphertext"], [key]).decode() == vector["expect"]["plaintext"]


# Signature, freshness, form ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "stamp",
    [
        "abc",
        "1790000000000",
        "+790000000",
        " 790000000",
        "１７９０００００００",
        "1e9",
        "-90000000",
    ],
)
def test_it_refuses_a_timestamp_that_is_not_ten_digits(stamp: str) -> None:
    body = seal(a_message())
    assert refusal(body, headers(body, stamp=stamp)) == ("bad_timestamp", 401)


@pytest.mark.parametrize("hours", [-8, 8])
def test_the_window_is_eight_hours_and_not_a_second_more(hours: int) -> None:
    body = seal(a_message())
    at_the_end = NOW + timedelta(hours=hours)
    assert isinstance(take(body, now=at_the_end), IncomingMessage)
    beyond = at_the_end + timedelta(seconds=1 if hours > 0 else -1)
    assert refusal(body, now=beyond) == ("expired", 401)


@pytest.mark.parametrize("name", ["timestamp", "nonce"])
def test_it_refuses_without_a_header_or_with_two(name: str) -> None:
    body, full = seal(a_message()), f"x-lark-request-{name}"
    without = {key: value for key, value in headers(body).items() if key != full}
    assert refusal(body, without) == ("missing_header", 401)
    assert refusal(body, headers(body, **{full: "1, 1"})) == ("repeated_header", 401)


@pytest.mark.parametrize("given", ["", "0" * 64, "é" * 64, "\ud800", "a, b", "A" * 10_000])
def test_it_refuses_another_signature(given: str) -> None:
    body = seal(a_message())
    assert refusal(body, headers(body) | {"x-lark-signature": given})[1] == 401


def test_the_signature_is_over_the_raw_body() -> None:
    body = seal(a_message())
    assert refusal(body + b" ", headers(body)) == ("bad_signature", 401)


def test_a_body_that_was_lengthened_without_the_key_is_refused() -> None:
    """sha256(… key body) can be carried on by whoever saw it, so the signature is right."""
    body = seal(a_message())
    signed = headers(body)
    head = len(f"{STAMP}n1{KEY}")
    forged, signature = lengthened(body, signed["x-lark-signature"], head, b'{"encrypt": "x"}')
    assert sign(STAMP, "n1", KEY, forged) == signature
    assert refusal(forged, signed | {"x-lark-signature": signature}) == ("malformed", 400)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("text/plain", 415), ("", 415), ("application/x-www-form-urlencoded", 415)],
)
def test_it_refuses_another_content_type(kind: str, status: int) -> None:
    body = seal(a_message())
    assert refusal(body, headers(body) | {"content-type": kind}) == ("content_type", status)


def test_it_takes_posts_only() -> None:
    with pytest.raises(Rejected) as caught:
        a_bot().receive(Webhook("GET", {}, {}, b""), now=NOW)
    assert caught.value.status == 405


def test_without_a_key_nothing_is_believed() -> None:
    body = seal(a_message(), "")
    bot = a_bot({"encrypt_key": ""})
    assert refusal(body, headers(body, ""), bot=bot) == ("bad_signature", 401)


def test_what_is_not_encrypted_is_refused_even_if_signed() -> None:
    body = json.dumps(a_message()).encode()
    assert refusal(body) == ("not_encrypted", 400)


def test_the_old_key_counts_while_it_is_changed() -> None:
    new = {"encrypt_key": "new", "encrypt_key_old": KEY}
    assert isinstance(receive(a_message(), bot=a_bot(new)), IncomingMessage)
    body = seal(a_message(), "new")
    assert isinstance(take(body, headers(body, "new"), bot=a_bot(new)), IncomingMessage)
    assert refusal(seal(a_message()), bot=a_bot(new | {"encrypt_key_old": ""}))[1] == 401


def test_one_key_does_not_open_what_the_other_signed() -> None:
    both = {"encrypt_key": "new", "encrypt_key_old": KEY}
    body = seal(a_message(), "new")
    assert refusal(body, headers(body, KEY), bot=a_bot(both)) == ("decrypt_failed", 400)


@pytest.mark.parametrize("last", range(256))
def test_every_wrong_padding_has_one_answer(last: int) -> None:
    whole = b"{" + b" " * 14 + bytes([last])
    body = json.dumps({"encrypt": encrypt(whole)}).encode()
    assert refusal(body)[1] == 400


@pytest.mark.parametrize(
    "sealed",
    ["", "=", "AAAA", "A" * 44, "é" * 44, "A" * 43 + " ", "*" * 44, None, 7, [], {"a": 1}],
    ids=str,
)
def test_what_is_no_ciphertext_has_the_same_answer(sealed: object) -> None:
    assert refusal(json.dumps({"encrypt": sealed}).encode())[1] == 400


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{} {}",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_strict_json_object_inside_is_malformed(content: bytes) -> None:
    assert refusal(seal(content)) == ("malformed", 400)


# The check of the address ------------------------------------------------------------------------


def a_check(**changes: Any) -> dict[str, Any]:
    return {"challenge": "c1", "token": TOKEN, "type": "url_verification", **changes}


def test_the_check_is_answered_sealed_or_not_signed_or_not() -> None:
    plain, sealed = json.dumps(a_check()).encode(), seal(a_check())
    answers = [take(plain, UNSIGNED), take(sealed, UNSIGNED), take(sealed), take(plain)]
    answers.append(take(plain, headers(plain, "another key")))
    for answer in answers:
        assert answer == Challenge(b'{"challenge": "c1"}', "application/json")


@pytest.mark.parametrize("token", ["wrong", "", None, 7, "\ud800", [TOKEN], ...], ids=str)
def test_the_check_needs_the_verification_token(token: object) -> None:
    check = {key: value for key, value in a_check(token=token).items() if value is not ...}
    for body in (json.dumps(check).encode(), seal(check)):
        assert refusal(body, UNSIGNED)[1] == 401


@pytest.mark.parametrize(
    ("challenge", "status"), [(None, 400), (7, 400), ("", 400), ("x" * 1_000_000, 413)], ids=str
)
def test_a_challenge_is_a_short_text(challenge: object, status: int) -> None:
    assert refusal(json.dumps(a_check(challenge=challenge)).encode(), UNSIGNED)[1] == status


def test_a_challenge_comes_back_as_json_whatever_is_in_it() -> None:
    parsed = take(json.dumps(a_check(challenge='"><script>')).encode(), UNSIGNED)
    assert isinstance(parsed, Challenge)
    assert json.loads(parsed.body) == {"challenge": '"><script>'}


def test_without_a_signature_nobody_learns_what_a_ciphertext_holds() -> None:
    wrong = json.dumps({"encrypt": encrypt(b"x" * 32)}).encode()
    bodies = [wrong, seal(a_message()), seal(b"{"), seal(a_check(), "another"), b"{", b"[]"]
    assert {refusal(body, UNSIGNED) for body in bodies} == {("missing_header", 401)}


def test_a_large_body_without_a_signature_is_not_even_opened() -> None:
    padded = a_check(more="x" * 10_000)
    assert refusal(seal(padded), UNSIGNED) == ("missing_header", 401)


def test_a_bot_without_a_token_answers_no_check() -> None:
    body = json.dumps(a_check(token="")).encode()
    assert refusal(body, UNSIGNED, bot=a_bot({"verification_token": ""})) == ("bad_token", 401)


# Whose it is -------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["wrong", "", None, 7, ["x"], ...], ids=str)
def test_the_token_inside_has_to_be_ours(token: object) -> None:
    content = a_message()
    content["header"] = an_event({}, "x", token=token)["header"]
    assert refusal(seal(content)) == ("bad_token", 401)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"app_id": "cli_other"}, "wrong_app"),
        ({"app_id": ...}, "wrong_app"),
        ({"app_id": [APP]}, "wrong_app"),
        ({"tenant_key": "tenant2"}, "wrong_tenant"),
        ({"tenant_key": ...}, "wrong_tenant"),
    ],
    ids=str,
)
def test_app_and_tenant_have_to_be_ours(header: dict[str, Any], expected: str) -> None:
    content = an_event(a_message()["event"], "im.message.receive_v1", **header)
    assert refusal(seal(content)) == (expected, 401)


def test_a_bot_without_an_app_id_takes_nothing() -> None:
    assert refusal(seal(a_message()), bot=a_bot(app_id="")) == ("wrong_app", 401)


def test_everybody_keeps_the_tenant_that_is_theirs() -> None:
    content = a_message()
    content["event"]["sender"]["tenant_key"] = "tenant2"
    assert message(content).sender.tenant == "tenant2"
    content["header"]["tenant_key"] = "tenant3"
    del content["event"]["sender"]["tenant_key"]
    assert message(content, bot=a_bot(tenant_key="")).sender.tenant == "tenant3"
