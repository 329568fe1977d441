"""WeCom's aibot over HTTP: who is believed, what is read, and the answers it fetches."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wechatpy.work.crypto import WeChatCrypto

from bot.platforms.base import (
    Body,
    Challenge,
    Ignored,
    IncomingMessage,
    Parsed,
    Poll,
    Press,
    Rejected,
    Said,
    SendFailed,
    Webhook,
)
from bot.platforms.wecom.aibot import WeComAibot
from chatops_site.sandbox.wecom.crypto import Keys, seal, sign
from tests.wecom_street import aibot

CASES = json.loads(Path(__file__).with_name("cases").joinpath("wecom_aibot_http.json").read_text())
VECTORS = CASES["vectors"]
STAMP = 1_790_000_000
NOW = datetime.fromtimestamp(STAMP, UTC)
CORP, BOT_ID, BOT_NAME = "ww-demo-corp", "aibDemoBot", "ChatOps 助手"
TOKEN, AES_KEY = "demoAibotToken", "demoAibotAesKeyForTheSandboxOfChatOps000002"
KEYS = Keys(TOKEN, AES_KEY, "")
ADDRESS = "https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=95658a5c"


def payload(**changes: Any) -> dict[str, Any]:
    told = {
        "msgid": "vwWdJjfrqA8qaaQQ=",
        "aibotid": BOT_ID,
        "chatid": "wrRelease",
        "chattype": "group",
        "from": {"userid": "zhangsan"},
        "response_url": ADDRESS,
        "msgtype": "text",
        "text": {"content": f"@{BOT_NAME} /merge 233"},
    }
    return {name: value for name, value in {**told, **changes}.items() if value is not ...}


def pressed(**changes: Any) -> dict[str, Any]:
    told = {"card_type": "button_interaction", "event_key": "button-1", "task_id": "task-1"}
    event = {"eventtype": "template_card_event", "template_card_event": told}
    return payload(**{"msgtype": "event", "text": ..., "event": event, **changes})


def polled(stream: object) -> dict[str, Any]:
    return payload(msgtype="stream", text=..., stream={"id": stream})


def delivery(told: Any, keys: Keys = KEYS, **changes: Any) -> Webhook:
    sealed = seal(keys, told if isinstance(told, str) else json.dumps(told))
    nonce = changes.pop("nonce", "6830653229")
    query = {"timestamp": [str(STAMP)], "nonce": [nonce]}
    query |= {"msg_signature": [sign(keys, str(STAMP), nonce, sealed)]}
    headers = changes.pop("headers", {"content-type": "application/json"})
    body = changes.pop("body", json.dumps({"encrypt": sealed}).encode())
    return Webhook("POST", headers, query | changes.pop("query", {}), body, "192.0.2.7")


def receive(webhook: Webhook, platform: WeComAibot | None = None) -> Parsed:
    return (platform or aibot()).receive(webhook, now=NOW)


def message(**changes: Any) -> IncomingMessage:
    parsed = receive(delivery(payload(**changes)))
    assert isinstance(parsed, IncomingMessage), parsed
    return parsed


def refusal(webhook: Webhook, platform: WeComAibot | None = None) -> tuple[str, int]:
    with pytest.raises(Rejected) as caught:
        receive(webhook, platform)
    return caught.value.reason, caught.value.status


# The vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_judges_the_vectors_of_wechatpy_and_the_vendor_s_sample(vector: dict[str, Any]) -> None:
    known, expect, request = vector["credentials"], vector["expect"], vector["request"]
    secrets = {"token": known["token"], "aes_key": known["encoding_aes_key"]}
    names = {"bot_id": known["aibot_id"], "bot_name": known["bot_name"]}
    platform = aibot(secrets=secrets, **names, receive_id=known["receive_id"])
    lowered = {name.lower(): value for name, value in request["headers"].items()}
    query = {name: [value] for name, value in request["query"].items()}
    body = base64.b64decode(request["body_b64"])
    webhook = Webhook(request["method"], lowered, query, body)
    now = datetime.fromtimestamp(vector["now"], UTC)

    if expect["verdict"] == "reject":
        with pytest.raises(Rejected):
            platform.receive(webhook, now=now)
        return
    parsed = platform.receive(webhook, now=now)
    if "response_text" in expect:
        assert parsed == Challenge(expect["response_text"].encode(), "text/plain")
        return
    decoded = expect["decoded"]
    assert told(parsed) == {name: decoded[name] for name in told(parsed)}


def told(parsed: Parsed) -> dict[str, Any]:
    if isinstance(parsed, Poll):
        return {"stream_id": parsed.message_id}
    if isinstance(parsed, Press):
        told = {"message_id": parsed.press_id, "event_key": parsed.token}
        told |= {"task_id": parsed.route["task_id"]}
    else:
        assert isinstance(parsed, IncomingMessage)
        place = None if parsed.private else parsed.conversation
        kind = "single" if parsed.private else "group"
        told = {"message_id": parsed.message_id, "text": parsed.text, "conversation_type": kind}
        told |= {} if place is None else {"conversation_id": place}
    return told | {"sender_id": parsed.sender.id, "response_url": parsed.route["response_url"]}


# Who is believed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"encrypt":1}', b'{"encrypt":""}', b'{"encrypt":["x"]}', b"[" * 60_000,
     b'{"encrypt":"QQ==","encrypt":"QQ=="}', b"\xef\xbb\xbf{}", b"\xff",
     json.dumps({f"k{n}": n for n in range(3_000)}).encode()],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_an_envelope_without_a_ciphertext_is_malformed_before_anything_is_believed(
    body: bytes,
) -> None:
    assert refusal(delivery(payload(), body=body)) == ("malformed", 400)


def test_a_huge_envelope_is_not_read() -> None:
    assert refusal(delivery(payload(), body=b" " * 262_145)) == ("too_large", 413)


@pytest.mark.parametrize("value", ["other", "", None, 1, [BOT_ID], BOT_ID.upper(), ...])
def test_it_refuses_what_is_for_another_bot(value: object) -> None:
    assert refusal(delivery(payload(aibotid=value))) == ("wrong_app", 401)


def test_it_refuses_everything_while_it_does_not_know_who_it_is() -> None:
    assert refusal(delivery(payload(aibotid="")), aibot(bot_id="")) == ("wrong_app", 401)


def test_the_receiver_is_nobody_unless_a_setting_names_one() -> None:
    named = Keys(TOKEN, AES_KEY, "ww-suite")
    assert refusal(delivery(payload(), named)) == ("decrypt_failed", 400)
    assert isinstance(
        receive(delivery(payload(), named), aibot(receive_id="ww-suite")), IncomingMessage
    )
    assert refusal(delivery(payload()), aibot(receive_id="ww-suite")) == ("decrypt_failed", 400)


def test_exchanging_timestamp_and_nonce_makes_no_other_message() -> None:
    near = str(STAMP + 60)
    genuine = delivery(payload(), nonce=near)
    query = dict(genuine.query) | {"timestamp": [near], "nonce": [str(STAMP)]}
    swapped = receive(Webhook("POST", genuine.headers, query, genuine.body))
    assert isinstance(swapped, IncomingMessage)
    assert swapped.message_id == message().message_id


@pytest.mark.parametrize("content", ["", "null", "[]", "1", '{"a":1}x', "{" * 10_000, "hello"])
def test_a_content_that_is_no_object_is_malformed(content: str) -> None:
    assert refusal(delivery(content)) == ("malformed", 400)


def test_other_methods_and_kinds_are_refused() -> None:
    webhook = delivery(payload())
    assert refusal(Webhook("PUT", webhook.headers, webhook.query, webhook.body))[1] == 405
    assert refusal(delivery(payload(), headers={"content-type": "text/xml"}))[1] == 415


# What is read ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (f"@{BOT_NAME} /merge 233", "/merge 233"),
        (f"@{BOT_NAME}\u2005/merge 233", "/merge 233"),
        (f"  @{BOT_NAME}\u3000／merge　２３３ ", "／merge　２３３"),
        (f"@{BOT_NAME}/merge 233", "/merge 233"),
        (f"@{BOT_NAME}\n/merge 233\n/x", "/merge 233\n/x"),
        (f"@{BOT_NAME}", ""),
        (f"@{BOT_NAME}二号 /merge 233", f"@{BOT_NAME}二号 /merge 233"),
        (f"@{BOT_NAME} @lisi /merge 1", "@lisi /merge 1"),
        ("@lisi /merge 233", "@lisi /merge 233"),
        ("/merge 233", "/merge 233"),
    ],
)
def test_a_group_s_text_loses_the_bot_s_own_name(content: str, text: str) -> None:
    assert message(text={"content": content}).text == text


def test_in_private_nothing_is_taken_off() -> None:
    heard = message(chattype="single", chatid=..., text={"content": f" @{BOT_NAME} /x "})
    assert heard.text == f"@{BOT_NAME} /x"
    assert (heard.conversation, heard.private) == ("user:zhangsan", True)


def test_its_people_are_those_of_wecom() -> None:
    heard = message()
    assert (heard.platform, WeComAibot.accounts_of) == ("wecom", "wecom")
    assert (heard.sender.tenant, heard.sender.id, heard.conversation) == (
        CORP,
        "zhangsan",
        "wrRelease",
    )
    stranger = message(**{"from": {"userid": "zhangsan", "corpid": "ww-other"}}).sender
    assert (stranger.tenant, stranger.id) == ("ww-other", "zhangsan")


def test_the_route_holds_what_an_answer_needs_and_fits_json() -> None:
    route = message().route
    assert json.loads(json.dumps(route)) == {
        "response_url": ADDRESS,
        "expires": STAMP + 59 * 60,
        "conversation": "wrRelease",
        "private": False,
        "user": "zhangsan",
    }


@pytest.mark.parametrize("kind", ["image", "mixed", "voice", "file", "video", "", None, 1, [], ...])
def test_it_ignores_what_is_no_text(kind: object) -> None:
    assert receive(delivery(payload(msgtype=kind))) == Ignored("not_text", "vwWdJjfrqA8qaaQQ=")


@pytest.mark.parametrize(
    "changes",
    [{"msgid": ...}, {"msgid": 7}, {"msgid": "m" * 201}, {"chattype": "channel"}, {"chattype": []},
     {"chatid": ...}, {"chatid": "c" * 201}, {"from": ...}, {"from": "zhangsan"}, {"from": {}},
     {"from": {"userid": 7}}, {"from": {"userid": "z", "corpid": 7}}, {"text": ...},
     {"text": "/merge"}, {"text": {"content": ["/merge"]}}],
    ids=str,
)  # fmt: skip
def test_it_ignores_fields_of_a_wrong_shape(changes: dict[str, Any]) -> None:
    parsed = receive(delivery(payload(**changes)))
    assert isinstance(parsed, Ignored)
    assert parsed.reason == "schema"


def test_it_ignores_text_that_cannot_be_stored() -> None:
    assert receive(delivery(payload(text={"content": "\ud800"}))) == Ignored(
        "bad_text", "vwWdJjfrqA8qaaQQ="
    )


@pytest.mark.parametrize(
    ("event", "reason"),
    [({"eventtype": "enter_chat"}, "enter_chat"), ({"eventtype": "feedback_event"}, "event"),
     ({}, "event"), ({"eventtype": ["x"]}, "event"), ("x", "schema"),
     ({"eventtype": "template_card_event"}, "schema"),
     ({"eventtype": "template_card_event", "template_card_event": {"event_key": "settled"}},
      "settled")],
    ids=str,
)  # fmt: skip
def test_it_ignores_other_events(event: object, reason: str) -> None:
    parsed = receive(delivery(pressed(event=event)))
    assert isinstance(parsed, Ignored)
    assert parsed.reason == reason


def test_a_press_carries_its_button_s_token() -> None:
    press = receive(delivery(pressed(create_time=STAMP - 5)))
    assert isinstance(press, Press)
    assert (press.platform, press.press_id, press.token) == (
        "wecom",
        "vwWdJjfrqA8qaaQQ=",
        "button-1",
    )
    assert (press.route["task_id"], press.pressed_at) == ("task-1", NOW - timedelta(seconds=5))


@pytest.mark.parametrize("odd", [STAMP + 99, "1790000000", True, -1, 0, 1.5, None, 10**18])
def test_a_replay_cannot_make_itself_younger(odd: object) -> None:
    assert message(create_time=odd).sent_at == NOW


@pytest.mark.parametrize("address", [..., None, 7, ["x"], "", "x" * 5_000, "a\0b", "ü"])
def test_an_address_that_is_none_is_forgotten_and_the_command_stays(address: object) -> None:
    heard = message(response_url=address)
    assert (heard.text, heard.route["response_url"]) == ("/merge 233", "")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([*sorted(pressed()), "stream", "text", "create_time"])


@settings(deadline=None)
@given(st.dictionaries(NAMES, ANYTHING), st.sampled_from([payload(), pressed(), polled("x")]))
def test_a_signed_content_of_any_shape_is_read_or_ignored(
    changes: dict[str, Any], told: dict[str, Any]
) -> None:
    try:
        parsed = receive(delivery({**told, **changes, "aibotid": BOT_ID}))
    except Rejected:
        return
    assert isinstance(parsed, IncomingMessage | Ignored | Press | Poll)


# What is answered --------------------------------------------------------------------------------


def answered(told: dict[str, Any], said: Said, *, now: datetime = NOW) -> dict[str, Any] | None:
    """As WeCom would read it, by wechatpy."""
    platform, webhook = aibot(), delivery(told)
    body = platform.acknowledge(webhook, receive(webhook, platform), said, now=now)
    if body == Body():
        return None
    sealed = json.loads(body.content)
    parts = (sealed["msgsignature"], str(sealed["timestamp"]), sealed["nonce"])
    oracle = WeChatCrypto(TOKEN, AES_KEY, "")
    read: dict[str, Any] = json.loads(
        oracle.decrypt_message({"Encrypt": sealed["encrypt"]}, *parts)
    )
    return read


def stream(told: dict[str, Any], said: Said, *, now: datetime = NOW) -> dict[str, Any]:
    read = answered(told, said, now=now)
    assert read is not None
    assert read["msgtype"] == "stream"
    found: dict[str, Any] = read["stream"]
    return found


def test_a_message_opens_a_stream_whose_polls_name_that_message() -> None:
    opened = stream(payload(), Said("⏳ Merging"))
    assert (opened["finish"], opened["content"]) == (False, "⏳ Merging")
    poll = receive(delivery(polled(opened["id"])))
    assert isinstance(poll, Poll)
    assert poll.message_id == message().message_id


def test_a_stream_ends_with_the_last_word() -> None:
    assert stream(payload(), Said("✅ Merged", final=True))["finish"]
    opened = stream(payload(), Said())
    assert (opened["finish"], opened["content"]) == (False, "⏳")
    ended = stream(polled(opened["id"]), Said("✅ Merged", final=True))
    assert ended == {"id": opened["id"], "finish": True, "content": "✅ Merged"}


def test_a_stream_ends_after_five_and_a_half_minutes_whatever_is_still_to_come() -> None:
    opened = stream(payload(), Said("⏳ Merging"))
    before, after = NOW + timedelta(seconds=329), NOW + timedelta(seconds=330)
    assert not stream(polled(opened["id"]), Said("⏳ Merging"), now=before)["finish"]
    last = stream(polled(opened["id"]), Said("⏳ Merging"), now=after)
    assert last["finish"]
    assert last["content"].startswith("⏳ Merging\nThis takes longer.")
    final = stream(polled(opened["id"]), Said("✅ Merged", final=True), now=after)
    assert final["content"] == "✅ Merged"


def test_a_stream_that_nobody_here_began_is_ended() -> None:
    assert stream(polled("stream-575da5"), Said())["finish"]
    for odd in (None, "", 7, ["x"], "x" * 301):
        assert isinstance(receive(delivery(polled(odd))), Ignored)


def test_a_long_answer_is_cut_at_the_end_of_a_line() -> None:
    text = "\n".join(f"第 {n} 行" for n in range(3_000))
    content = stream(payload(), Said(text, final=True))["content"]
    assert len(content.encode()) <= 20_480
    assert content.endswith("行\n…")


def test_a_press_changes_the_card_for_whoever_pressed_and_for_nobody_else() -> None:
    read = answered(pressed(), Said("⛔ You may not\nAsk 王芳", final=True))
    assert read is not None
    assert (read["response_type"], read["userids"]) == ("update_template_card", ["zhangsan"])
    card = read["template_card"]
    assert card["task_id"] == "task-1"
    assert (card["main_title"]["title"], card["sub_title_text"]) == ("⛔ You may not", "Ask 王芳")
    assert [button["key"] for button in card["button_list"]] == ["settled"]
    private = answered(pressed(chattype="single"), Said("x", final=True))
    assert private is not None
    assert "userids" not in private


def test_whoever_enters_is_welcomed_and_the_rest_is_only_acknowledged() -> None:
    enter = answered(pressed(event={"eventtype": "enter_chat"}), Said())
    assert enter is not None
    assert enter["msgtype"] == "text"
    assert "/help" in enter["text"]["content"]
    assert answered(payload(msgtype="image"), Said()) is None
    assert answered(pressed(), Said()) is None


# Test connection ---------------------------------------------------------------------------------


def test_it_says_what_can_be_said_without_asking_anybody() -> None:
    assert "have the right form" in aibot().check()
    for secrets in ({"token": ""}, {"aes_key": "short"}):
        with pytest.raises(SendFailed, match="EncodingAESKey"):
            aibot(secrets=secrets).check()
