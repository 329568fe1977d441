"""WeCom's seal: who is believed, what nobody can learn from refusals, and what XML may not do."""

import base64
import re
import struct
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wechatpy.work.crypto import WeChatCrypto

from bot.platforms.base import Challenge, IncomingMessage, Rejected, Webhook
from bot.platforms.wecom.app import read_xml
from bot.platforms.wecom.crypto import Seal, Unopened, answer_by
from chatops_site.sandbox.wecom.crypto import Keys, encrypt, encrypt_padded, seal, sign
from tests.wecom_delivery import (
    AES_KEY,
    CORP,
    KEYS,
    NOW,
    OTHER_KEY,
    STAMP,
    TOKEN,
    delivery,
    fields,
    packed,
    receive,
    refusal,
    xml,
)
from tests.wecom_street import app

# Against the vendor's scheme as wechatpy has it ---------------------------------------------------


@pytest.mark.parametrize("text", ["", "hello", "合并 🚀", "x" * 31, "x" * 5_000])
def test_wechatpy_reads_what_we_seal_and_we_what_it_seals(text: str) -> None:
    oracle, ours = WeChatCrypto(TOKEN, AES_KEY, CORP), Seal(TOKEN, AES_KEY, CORP)
    answer = answer_by(ours, text.encode(), now=NOW)
    parts = (answer.signature, answer.timestamp, answer.nonce)
    assert oracle.decrypt_message({"Encrypt": answer.sealed}, *parts) == text

    sealed = re.search(r"Encrypt><!\[CDATA\[(.*?)\]\]", oracle.encrypt_message(text, "n1", "1"))
    assert sealed is not None
    assert ours.open(sealed[1]).decode() == text
    assert ours.sign("1", "n1", sealed[1]) == sign(KEYS, "1", "n1", sealed[1])


def test_a_key_whose_last_character_says_too_much_is_taken_as_what_it_says() -> None:
    stray = AES_KEY[:-1] + "2"
    assert base64.b64decode(stray + "=") == base64.b64decode(AES_KEY + "=")
    assert Seal(TOKEN, stray, CORP).open(seal(KEYS, "x")) == b"x"


@pytest.mark.parametrize("key", ["", "x" * 42, "x" * 44, "x" * 42 + "=", "x" * 42 + "!", "é" * 43])
def test_it_is_closed_while_its_key_or_token_is_none(key: str) -> None:
    for secrets in ({"aes_key": key}, {"token": ""}):
        platform = app(secrets=secrets)
        keys = Keys(platform.secret("token"), AES_KEY, CORP)
        webhook = packed(seal(KEYS, xml(fields())), keys)
        assert refusal(webhook, platform=platform) == ("bad_signature", 401)


def test_the_old_pair_counts_until_it_is_removed() -> None:
    both = {"token": "new", "aes_key": OTHER_KEY, "token_old": TOKEN, "aes_key_old": AES_KEY}
    assert isinstance(receive(delivery(), platform=app(secrets=both)), IncomingMessage)
    new = packed(seal(Keys("new", OTHER_KEY, CORP), xml(fields())), Keys("new", OTHER_KEY, CORP))
    assert isinstance(receive(new, platform=app(secrets=both)), IncomingMessage)
    gone = app(secrets={"token": "new", "aes_key": OTHER_KEY})
    assert refusal(delivery(), platform=gone) == ("bad_signature", 401)


def test_a_key_can_change_while_the_token_stays() -> None:
    platform = app(secrets={"aes_key": OTHER_KEY, "aes_key_old": AES_KEY})
    assert isinstance(receive(delivery(), platform=platform), IncomingMessage)


# Signature, freshness, form ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce"])
def test_it_refuses_a_parameter_that_is_missing_or_there_twice(name: str) -> None:
    assert refusal(delivery(query={name: None})) == ("missing_param", 401)
    webhook = delivery()
    doubled = {**webhook.query, name: [*webhook.query[name], "x"]}
    twice = Webhook("POST", webhook.headers, doubled, webhook.body)
    assert refusal(twice) == ("repeated_param", 401)


@pytest.mark.parametrize(
    "stamp",
    ["abc", "179000000", "17900000000", "+790000000", " 790000000", "1790000000\n", "１７９０００００００",
     "1_90000000", "-790000000", "1790000.00", "\ud800"],
)  # fmt: skip
def test_it_refuses_a_timestamp_that_is_not_ten_digits(stamp: str) -> None:
    assert refusal(delivery(query={"timestamp": stamp})) == ("bad_timestamp", 401)


@pytest.mark.parametrize("given", ["", "x", "é", "\ud800", "0" * 40, "A" * 4_000])
def test_it_refuses_any_other_signature(given: str) -> None:
    reason = "bad_signature" if given else "missing_param"
    assert refusal(delivery(query={"msg_signature": given})) == (reason, 401)


@pytest.mark.parametrize(
    "spelt", [str.upper, "{} ".format, " {}".format, "{}0".format, "0x{}".format]
)
def test_it_refuses_a_right_signature_in_another_spelling(spelt: Callable[[str], str]) -> None:
    sealed = seal(KEYS, xml(fields()))
    right = sign(KEYS, str(STAMP), "1", sealed)
    webhook = packed(sealed, nonce="1", query={"msg_signature": spelt(right)})
    assert refusal(webhook) == ("bad_signature", 401)


@pytest.mark.parametrize("direction", [1, -1])
def test_it_takes_eight_hours_and_not_a_second_more(direction: int) -> None:
    hours = direction * timedelta(hours=8)
    assert isinstance(receive(delivery(), now=NOW + hours), IncomingMessage)
    late = NOW + hours + direction * timedelta(seconds=1)
    assert refusal(delivery(), now=late) == ("expired", 401)


def test_it_refuses_other_methods_and_kinds() -> None:
    webhook = delivery()
    put = Webhook("PUT", webhook.headers, webhook.query, webhook.body)
    assert refusal(put) == ("method", 405)
    for kind in ("application/json", "text/plain", "multipart/form-data"):
        assert refusal(delivery(headers={"content-type": kind})) == ("content_type", 415)
    packed_body = {"content-type": "text/xml", "content-encoding": "gzip"}
    assert refusal(delivery(headers=packed_body)) == ("content_encoding", 415)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<xml></xml>",
        b"<xml><Encrypt></Encrypt></xml>",
        b"<xml><Encrypt>%%</Encrypt></xml>",
        b"<xml><Encrypt>QQ==</Encrypt><Encrypt>QQ==</Encrypt></xml>",
        b"<xml><encrypt>QQ==</encrypt></xml>",
        b"\xff\xfe",
    ],
)
def test_a_body_without_one_ciphertext_is_malformed(body: bytes) -> None:
    assert refusal(delivery(body=body)) == ("malformed", 400)


def test_a_huge_body_is_not_even_searched() -> None:
    assert refusal(delivery(body=b"<" * 262_145)) == ("too_large", 413)


# T7: no oracle -----------------------------------------------------------------------------------


def test_all_that_is_wrong_behind_a_right_signature_looks_the_same() -> None:
    whole = b"r" * 16 + struct.pack(">I", 5) + b"<xml>" + CORP.encode()
    block = whole + b"\0" * (-len(whole) % 32)
    texts = [encrypt_padded(KEYS, block[:-1] + bytes([last])) for last in range(256)]
    texts += [
        seal(Keys(TOKEN, AES_KEY, "ww-other"), "<xml/>"),
        seal(Keys(TOKEN, AES_KEY, CORP + "x"), "<xml/>"),
        seal(Keys(TOKEN, OTHER_KEY, CORP), "<xml/>"),
        encrypt(KEYS, b"r" * 16 + struct.pack(">I", 2**32 - 1) + CORP.encode()),
        encrypt(KEYS, b"r" * 16 + struct.pack(">I", 0) + b"more" + CORP.encode()),
        encrypt(KEYS, b""),
        encrypt(KEYS, b"r" * 19),
        encrypt_padded(KEYS, b"\x10" * 16),
        encrypt_padded(KEYS, whole + b"\x0b" * (48 - len(whole))),
        base64.b64encode(b"x" * 15).decode(),
        base64.b64encode(b"x" * 48).decode(),
        "AAAAA",
    ]
    assert {refusal(packed(text)) for text in texts} == {("decrypt_failed", 400)}


@pytest.mark.parametrize("length", [2**32 - 1, 6, 4, 0])
def test_a_length_that_is_none_is_noticed_where_no_receiver_follows(length: int) -> None:
    nobody = Keys(TOKEN, AES_KEY, "")
    text = encrypt(nobody, b"r" * 16 + struct.pack(">I", length) + b"hello")
    with pytest.raises(Unopened):
        Seal(TOKEN, AES_KEY, "").open(text)


def test_nothing_is_decrypted_under_a_wrong_signature() -> None:
    broken = encrypt_padded(KEYS, b"\0" * 32)
    good = seal(KEYS, xml(fields()))
    for text in (broken, good):
        webhook = packed(text, query={"msg_signature": "0" * 40})
        assert refusal(webhook) == ("bad_signature", 401)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_was_encrypted_is_opened_or_refused(content: bytes) -> None:
    ours = Seal(TOKEN, AES_KEY, CORP)
    try:
        ours.open(encrypt(KEYS, content))
    except Unopened:
        return
    raise AssertionError("a content without a receiver was opened")


# T8: XML -----------------------------------------------------------------------------------------

BOMBS = [
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><xml>&b;</xml>',
    '<!DOCTYPE x SYSTEM "file:///etc/passwd"><xml/>',
    '<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:1/">]><xml><Content>&a;</Content></xml>',
    '<!DOCTYPE x [<!ATTLIST xml a CDATA "b">]><xml/>',
    "<!DOCTYPE xml><xml/>",
    "<xml>" + "<a>" * 5_000 + "</a>" * 5_000 + "</xml>",
    "<xml>" + "".join(f"<a{n}/>" for n in range(5_000)) + "</xml>",
    "<xml>&undefined;</xml>",
    "<xml><FromUserName>a</FromUserName><FromUserName>admin</FromUserName></xml>",
    "<html/>",
    "<xml>",
    "<xml/><xml/>",
    "hello",
    "",
    "<?xml version='1.0' encoding='utf-7'?><xml>+ADw-</xml>x",
    "<xml>\x00</xml>",
]


@pytest.mark.parametrize("content", BOMBS, ids=lambda text: text[:50])
def test_xml_that_is_no_message_is_refused_quickly(content: str) -> None:
    began = time.perf_counter()
    assert refusal(delivery(content)) == ("malformed", 400)
    assert time.perf_counter() - began < 0.5


def test_an_envelope_with_a_doctype_is_refused_though_it_is_signed() -> None:
    sealed = seal(KEYS, xml(fields()))
    body = f"<!DOCTYPE x><xml><Encrypt>{sealed}</Encrypt></xml>".encode()
    assert refusal(packed(sealed, body=body)) == ("malformed", 400)
    comment = f"<xml><!-- <Encrypt>{sealed}</Encrypt> --></xml>".encode()
    assert refusal(packed(sealed, body=comment)) == ("malformed", 400)


@pytest.mark.parametrize("raw", [b"\xff<xml/>", "<xml/>".encode("utf-16"), b"\xef\xbb\xbf\xff"])
def test_xml_is_utf_8_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(Rejected, match="malformed"):
        read_xml(raw)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_signed_text_of_any_kind_is_refused_and_nothing_else(text: str) -> None:
    if text.encode("utf-8", "ignore").decode() == text:
        assert refusal(delivery(text))[1] == 400


# The handshake -----------------------------------------------------------------------------------


def handshake(echo: str, **changes: Any) -> Webhook:
    sealed = seal(KEYS, echo)
    query = {"echostr": changes.pop("echostr", sealed)}
    webhook = packed(sealed, query=query, **changes)
    return Webhook("GET", {}, webhook.query, b"")


def test_the_handshake_is_answered_by_the_bare_number() -> None:
    assert receive(handshake("1616140317555161061")) == Challenge(
        b"1616140317555161061", "text/plain"
    )
    sealed = next(one for n in range(200) if "+" in (one := seal(KEYS, f"{n}")))
    query = {"echostr": sealed.replace("+", " ")}
    webhook = packed(sealed, query=query)
    assert isinstance(receive(Webhook("GET", {}, webhook.query, b"")), Challenge)


def test_an_old_or_wrong_handshake_is_refused() -> None:
    assert refusal(handshake("1"), now=NOW + timedelta(days=1)) == ("expired", 401)
    assert refusal(handshake("1", echostr="QQ==")) == ("bad_signature", 401)
    assert refusal(handshake("1", echostr=None)) == ("missing_param", 401)
    assert refusal(handshake("1", echostr="A" * 262_145)) == ("too_large", 413)


@pytest.mark.parametrize("text", ["", "<script>", "a b", "1\n", "é", "9" * 129])
def test_the_handshake_echoes_nothing_richer_than_a_number(text: str) -> None:
    assert refusal(handshake(text)) == ("decrypt_failed", 400)


def test_a_captured_message_is_not_read_out_by_a_handshake() -> None:
    sealed = seal(KEYS, xml(fields()))
    captured = packed(sealed, query={"echostr": sealed})
    assert refusal(Webhook("GET", {}, captured.query, b"")) == ("decrypt_failed", 400)


def test_no_secret_is_shown_by_repr() -> None:
    for secret in (TOKEN, AES_KEY):
        assert secret not in repr(Seal(TOKEN, AES_KEY, CORP))
