"""WeCom's app over HTTP: what is read, and what is answered at once."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from wechatpy.work.crypto import WeChatCrypto

from bot.platforms.base import (
    Body,
    Challenge,
    Ignored,
    IncomingMessage,
    Parsed,
    Press,
    Rejected,
    Said,
    Webhook,
)
from bot.platforms.wecom.app import read_xml
from chatops_site.sandbox.wecom.crypto import Keys, seal
from tests.wecom_delivery import (
    AES_KEY,
    CORP,
    NOW,
    OTHER_KEY,
    STAMP,
    TOKEN,
    delivery,
    fields,
    message,
    packed,
    pressed,
    receive,
    refusal,
    xml,
)
from tests.wecom_street import app

CASES = json.loads(Path(__file__).with_name("cases").joinpath("wecom_http.json").read_text())
VECTORS = CASES["vectors"]


# The vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_judges_the_vectors_of_wechatpy_and_of_the_vendor(vector: dict[str, Any]) -> None:
    known, expect = vector["credentials"], vector["expect"]
    agent = known.get("agent_id") or (expect.get("decoded") or {}).get("agent_id", "")
    secrets = {"token": known["token"], "aes_key": known["encoding_aes_key"]}
    platform = app(secrets=secrets, corp_id=known["corp_id"], agent_id=str(agent))
    now = datetime.fromtimestamp(vector["now"], UTC)

    if expect["verdict"] == "reject":
        with pytest.raises(Rejected):
            platform.receive(webhook_of(vector), now=now)
        return
    parsed = platform.receive(webhook_of(vector), now=now)
    if "response_text" in expect:
        assert parsed == Challenge(expect["response_text"].encode(), "text/plain")
        return
    if expect.get("decoded"):
        assert told(parsed).items() >= expected(expect["decoded"]).items()


def webhook_of(vector: dict[str, Any]) -> Webhook:
    request = vector["request"]
    lowered = {name.lower(): value for name, value in request["headers"].items()}
    query = {name: [value] for name, value in request["query"].items()}
    return Webhook(request["method"], lowered, query, base64.b64decode(request["body_b64"]))


def told(parsed: Parsed) -> dict[str, Any]:
    if isinstance(parsed, Press):
        task = parsed.route["task_id"]
        return {"sender_id": parsed.sender.id, "event_key": parsed.token, "task_id": task}
    assert isinstance(parsed, IncomingMessage)
    return {
        "message_id": parsed.message_id,
        "text": parsed.text,
        "sender_id": parsed.sender.id,
        "conversation_type": "single" if parsed.private else "group",
    }


def expected(decoded: dict[str, Any]) -> dict[str, Any]:
    names = ("message_id", "text", "sender_id", "conversation_type", "event_key", "task_id")
    return {name: decoded[name] for name in names if name in decoded}


def test_a_redelivery_is_the_same_message_and_a_swap_of_time_and_nonce_too() -> None:
    first, again = (one for one in VECTORS if one.get("sequence") == "wecom-dup-pub")
    known = first["credentials"]
    secrets = {"token": known["token"], "aes_key": known["encoding_aes_key"]}
    platform = app(secrets=secrets, corp_id=known["corp_id"])
    heard = [receive(webhook_of(one), platform=platform) for one in (first, again)]
    ids = {one.message_id for one in heard if isinstance(one, IncomingMessage)}
    assert ids == {"4561255354251345932"}


@pytest.mark.parametrize("content", [fields(), pressed()], ids=["message", "press"])
def test_exchanging_timestamp_and_nonce_makes_no_other_message(content: dict[str, Any]) -> None:
    near = str(STAMP + 60)
    genuine = delivery(content, nonce=near)
    query = dict(genuine.query) | {"timestamp": [near], "nonce": [str(STAMP)]}
    swapped = Webhook("POST", genuine.headers, query, genuine.body, genuine.source_ip)
    assert receive(swapped) == receive(genuine)


# Who and what ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["other", "", CORP.upper(), ...])
def test_it_refuses_what_is_for_somebody_else(value: object) -> None:
    assert refusal(delivery(fields(ToUserName=value))) == ("wrong_tenant", 401)
    assert refusal(delivery(fields(AgentID=value))) == ("wrong_app", 401)


def test_it_refuses_everything_while_it_does_not_know_who_it_is() -> None:
    nobody = Keys(TOKEN, AES_KEY, "")
    webhook = packed(seal(nobody, xml(fields(ToUserName=""))), nobody)
    assert refusal(webhook, platform=app(corp_id="")) == ("wrong_tenant", 401)
    without = delivery(fields(AgentID=""))
    assert refusal(without, platform=app(agent_id="")) == ("wrong_app", 401)


def test_a_message_is_private_and_has_a_conversation_of_its_own() -> None:
    heard = message()
    assert (heard.platform, heard.message_id) == ("wecom", "7830199367388289921")
    assert (heard.sender.tenant, heard.sender.id, heard.sender.name) == (CORP, "zhangsan", "")
    assert (heard.conversation, heard.conversation_name) == ("user:zhangsan", "")
    assert heard.private
    assert heard.text == "/merge 233"
    assert heard.source_ip == "192.0.2.7"
    assert json.loads(json.dumps(heard.route)) == {
        "user": "zhangsan",
        "conversation": "user:zhangsan",
    }


@pytest.mark.parametrize("kind", ["image", "voice", "video", "location", "link", "", "TEXT", ...])
def test_it_ignores_what_is_no_text(kind: object) -> None:
    parsed = receive(delivery(fields(MsgType=kind)))
    assert parsed == Ignored("not_text", "7830199367388289921")


@pytest.mark.parametrize("kind", ["enter_agent", "subscribe", "LOCATION", "click", ""])
def test_it_ignores_other_events(kind: str) -> None:
    parsed = receive(delivery(pressed(Event=kind)))
    assert isinstance(parsed, Ignored)
    assert parsed.reason == "event"
    assert parsed.message_id.startswith("event:")


@pytest.mark.parametrize(
    "changes",
    [{"MsgId": ...}, {"MsgId": "m" * 201}, {"FromUserName": ...}, {"FromUserName": "u" * 65},
     {"Content": ...}],
    ids=str,
)  # fmt: skip
def test_it_ignores_fields_of_a_wrong_shape(changes: dict[str, Any]) -> None:
    parsed = receive(delivery(fields(**changes)))
    assert isinstance(parsed, Ignored)
    assert parsed.reason == "schema"


def test_a_button_that_says_nothing_is_no_press() -> None:
    parsed = receive(delivery(pressed(EventKey="settled")))
    assert isinstance(parsed, Ignored)
    assert parsed.reason == "settled"


def test_a_press_carries_its_button_s_token_and_is_the_same_when_it_comes_again() -> None:
    first, again = (receive(delivery(pressed())) for _ in range(2))
    assert isinstance(first, Press)
    assert first == again
    assert (first.token, first.sender.id, first.private) == ("button-1", "zhangsan", True)
    assert first.pressed_at == NOW - timedelta(seconds=3)
    others: list[dict[str, Any]] = [
        {"EventKey": "b"},
        {"TaskId": "t"},
        {"CreateTime": STAMP},
        {"FromUserName": "lisi"},
    ]
    parsed = [receive(delivery(pressed(**other))) for other in others]
    ids = {one.press_id for one in parsed if isinstance(one, Press)}
    assert len({first.press_id, *ids}) == 5


def test_a_replay_cannot_make_itself_younger() -> None:
    assert message(CreateTime=STAMP + 3_000).sent_at == NOW
    assert message(CreateTime=STAMP - 60).sent_at == NOW - timedelta(minutes=1)
    for odd in (..., "", "soon", "-1", "9" * 30, "１７９０００００００"):
        assert message(CreateTime=odd).sent_at == NOW


@pytest.mark.parametrize(
    ("content", "text"),
    [("  /merge 233\n", "/merge 233"), ("\u3000／merge　２３３", "／merge　２３３"), ("", ""),
     ("<b>&amp;</b>", "<b>&amp;</b>"), ("a" * 9_000, "a" * 9_000)],
)  # fmt: skip
def test_a_text_loses_only_the_blanks_around_it(content: str, text: str) -> None:
    assert message(Content=content).text == text


# What is answered at once ------------------------------------------------------------------------


def answered(parsed_from: dict[str, Any], said: Said, **secrets: str) -> Body:
    platform, webhook = app(secrets=secrets), delivery(parsed_from)
    parsed = platform.receive(webhook, now=NOW)
    return platform.acknowledge(webhook, parsed, said, now=NOW)


def opened(body: Body, oracle: WeChatCrypto | None = None) -> dict[str, str]:
    """As WeCom would read it, by wechatpy."""
    assert body.content_type == "text/xml"
    told = read_xml(body.content)
    assert set(told) == {"Encrypt", "MsgSignature", "TimeStamp", "Nonce"}
    parts = (told["MsgSignature"], told["TimeStamp"], told["Nonce"])
    crypto = oracle or WeChatCrypto(TOKEN, AES_KEY, CORP)
    text = crypto.decrypt_message(body.content.decode(), *parts)
    return {**read_xml(text.encode()), "": text}


def test_a_refusal_is_told_in_the_answer_to_the_message() -> None:
    text = "⛔ No command `/x`, **really**: see [help](http://h/?a=1&b=2) & \\<b\\>"
    read = opened(answered(fields(), Said(text, final=True)))
    assert read["MsgType"] == "text"
    assert (read["ToUserName"], read["FromUserName"]) == ("zhangsan", CORP)
    assert read["Content"] == (
        '⛔ No command /x, really: see <a href="http://h/?a=1&b=2">help</a> & ＜b>'
    )


def test_what_does_not_fit_or_is_not_the_last_word_is_left_to_be_sent() -> None:
    assert answered(fields(), Said("字" * 682, final=True)) != Body()
    assert answered(fields(), Said("字" * 683, final=True)) == Body()
    assert answered(fields(), Said("⏳ Merging")) == Body()
    assert answered(fields(), Said()) == Body()
    assert answered(fields(MsgType="image"), Said("x", final=True)) == Body()


def test_a_press_turns_its_card_into_what_became_of_it() -> None:
    read = opened(answered(pressed(), Said("⏳ Merging shop\\#233\nrun 7 <&>", final=True)))
    assert read["MsgType"] == "update_template_card"
    card = read[""]
    assert "<Title>⏳ Merging shop#233</Title>" in card
    assert "<SubTitleText>run 7 &lt;&amp;&gt;</SubTitleText>" in card
    assert "<TaskId>task-1</TaskId><ReplaceText>Settled</ReplaceText>" in card


def test_an_answer_has_the_seal_of_the_question() -> None:
    new = {"token": "new", "aes_key": OTHER_KEY, "token_old": TOKEN, "aes_key_old": AES_KEY}
    assert opened(answered(fields(), Said("x", final=True), **new))["Content"] == "x"
