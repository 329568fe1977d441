"""Feishu's messages and buttons as they are read, and that nothing at all breaks the reading."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.base import (
    Body,
    Ignored,
    Parsed,
    Press,
    Rejected,
    Said,
    Webhook,
)
from bot.platforms.feishu.crypto import Unopened, unseal
from tests.feishu_letters import (
    KEY,
    NOW,
    TENANT,
    TOKEN,
    UNSIGNED,
    a_bot,
    a_mention,
    a_message,
    a_press,
    an_event,
    headers,
    message,
    reason,
    receive,
    refusal,
    seal,
    take,
)

# Messages ----------------------------------------------------------------------------------------


def test_it_reads_a_message() -> None:
    heard = message(a_message())
    assert (heard.platform, heard.message_id, heard.text) == ("feishu", "om_1", "/merge 233")
    assert (heard.sender.tenant, heard.sender.id, heard.sender.name) == (TENANT, "ou_1", "")
    assert (heard.conversation, heard.private) == ("oc_1", False)
    assert heard.sent_at == datetime.fromtimestamp(1_789_999_999.8, UTC)
    assert heard.source_ip == "192.0.2.7"
    assert heard.route == {"message": "om_1", "chat": "oc_1", "person": "ou_1", "private": False}


def test_a_message_cannot_make_itself_younger() -> None:
    assert message(a_message(create_time="1890000000000")).sent_at == NOW
    assert message(a_message(create_time="soon")).sent_at == NOW
    old = message(a_message(create_time="1700000000000"))
    assert old.sent_at == datetime.fromtimestamp(1_700_000_000, UTC)


OTHER, TENTH = a_mention("@_user_2", "ou_2", "李四"), a_mention("@_user_10", "ou_10", "王芳")


@pytest.mark.parametrize(
    ("text", "mentions", "read"),
    [
        ("@_user_1 /help", [a_mention()], "/help"),
        ("@_user_1/help", [a_mention()], "/help"),
        ("@_user_1\u00a0/help", [a_mention()], "/help"),
        ("@_user_1\u2005/help", [a_mention()], "/help"),
        ("/help @_user_1", [a_mention()], "/help"),
        ("@_user_1 tell @_user_2 now", [a_mention(), OTHER], "tell @李四 now"),
        ("@_user_10 @_user_1 /x", [a_mention(), TENTH], "@王芳 /x"),
        ("@_user_1 @_user_10", [a_mention(), TENTH], "@王芳"),
        ("@_user_2 /merge 1", [OTHER], "@李四 /merge 1"),
        ("@_user_1 @_user_7", [a_mention()], "@_user_7"),
        ("@_user_1", ..., "@_user_1"),
        ("@_all @_user_1 /x", [a_mention()], "@_all /x"),
        ("@_user_1 \n /x\n y  z ", [a_mention()], "/x\n y  z"),
        ("@_user_2 x", [a_mention("@_user_2", "ou_2", "\u202e李\n四")], "@李四 x"),
        ("@_user_2 x", [a_mention("@_user_2", "ou_2", 7)], "@ x"),  # type: ignore[arg-type]
    ],
)
def test_of_the_mentions_the_bot_s_own_is_left_out(text: str, mentions: Any, read: str) -> None:
    assert message(a_message(text, mentions=mentions)).text == read


@pytest.mark.parametrize(
    ("text", "mentions", "read"),
    [
        ("@_user_1 /help", [a_mention()], "/help"),
        ("/help @_user_1", [a_mention()], "/help"),
        ("@_user_1 tell @_user_2", [a_mention(), OTHER], "tell @李四"),
        ("tell @_user_2 @_user_1", [a_mention(), OTHER], "tell @李四 @机器人"),
    ],
)
def test_not_knowing_itself_it_is_the_only_one_or_the_first(
    text: str, mentions: Any, read: str
) -> None:
    heard = message(a_message(text, mentions=mentions), bot=a_bot(bot_open_id=""))
    assert heard.text == read


def test_in_private_it_reads_what_was_typed() -> None:
    heard = message(a_message("@_user_1 /help", chat_type="p2p", mentions=...))
    assert (heard.text, heard.private) == ("@_user_1 /help", True)


def a_post(*paragraphs: list[dict[str, Any]], title: str = "") -> dict[str, Any]:
    content = json.dumps({"title": title, "content": paragraphs})
    return a_message(message_type="post", content=content)


def test_it_reads_a_rich_text() -> None:
    at = {"tag": "at", "user_id": "@_user_1", "user_name": "机器人"}
    link = {"tag": "a", "href": "https://x", "text": "233"}
    picture = {"tag": "img", "image_key": "k"}
    heard = message(a_post([at, {"tag": "text", "text": " /merge "}, link, picture]))
    assert heard.text == "/merge 233"


def test_a_code_block_in_a_rich_text_is_quoted_and_not_said() -> None:
    block = {"tag": "code_block", "text": "/deploy myservice"}
    assert message(a_post([block])).text == ""
    titled = a_post([{"tag": "at", "user_id": "ou_9", "user_name": "李四"}], title="标题")
    assert message(titled).text == "标题\n@李四"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"message_type": "image"}, "not_text"),
        ({"message_type": ["text"]}, "not_text"),
        ({"message_type": "interactive"}, "not_text"),
        ({"content": 7}, "not_text"),
        ({"content": "{"}, "schema"),
        ({"content": "[]"}, "schema"),
        ({"content": "{}"}, "schema"),
        ({"content": json.dumps({"text": ["/help"]})}, "schema"),
        ({"content": json.dumps({"text": "a\ud800"})}, "bad_text"),
        ({"content": "\ud800"}, "schema"),
        ({"message_type": "post", "content": '{"content": 7}'}, "schema"),
        ({"message_id": ...}, "schema"),
        ({"message_id": "x" * 201}, "schema"),
        ({"message_id": "a\u0000"}, "schema"),
        ({"chat_id": 7}, "schema"),
        ({"chat_type": "other"}, "chat_type"),
        ({"chat_type": ...}, "chat_type"),
        ({"mentions": {"a": 1}}, "schema"),
    ],
    ids=str,
)
def test_what_is_no_command_has_a_stable_reason(changes: dict[str, Any], expected: str) -> None:
    assert reason(a_message(**changes)) == expected


@pytest.mark.parametrize("kind", ["app", "anonymous", "", None, 7, ["user"]], ids=str)
def test_other_bots_are_not_answered(kind: object) -> None:
    content = a_message()
    content["event"]["sender"]["sender_type"] = kind
    assert reason(content) == "bot"


def test_what_is_ignored_is_told_by_its_id() -> None:
    assert receive(a_message(message_type="image")) == Ignored("not_text", "om_1")
    assert receive(an_event({}, "im.chat.updated_v1")) == Ignored("event_type", "event1")
    assert receive(an_event({}, ["x"])) == Ignored("event_type", "event1")  # type: ignore[arg-type]


def test_old_schemas_are_told_apart() -> None:
    assert reason({"uuid": "u", "token": TOKEN, "type": "event_callback"}) == "schema_version"
    assert refusal(seal({"uuid": "u", "token": "other"})) == ("bad_token", 401)


def test_a_sender_without_an_id_is_a_stranger() -> None:
    content = a_message()
    content["event"]["sender"]["sender_id"] = None
    assert message(content).sender.id == ""


# Buttons -----------------------------------------------------------------------------------------


def test_it_reads_a_press() -> None:
    parsed = receive(a_press())
    assert isinstance(parsed, Press)
    assert (parsed.press_id, parsed.token) == ("event1", "b1")
    assert (parsed.sender.tenant, parsed.sender.id) == (TENANT, "ou_1")
    assert parsed.conversation == "oc_1"
    assert parsed.pressed_at == NOW
    assert parsed.route["message"] == "om_9"
    assert parsed.source_ip == "192.0.2.7"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"op": "approve"}, "not_our_button"),
        ("b1", "not_our_button"),
        ([], "not_our_button"),
        ({"button": 7}, "schema"),
        ({"button": ""}, "schema"),
        ({"button": "x" * 201}, "schema"),
        ({"button": {"button": "b1"}}, "schema"),
    ],
    ids=str,
)
def test_what_is_no_button_of_ours_is_not_pressed(value: object, expected: str) -> None:
    assert reason(a_press(value)) == expected


def test_whoever_pressed_is_told_and_nobody_else() -> None:
    bot, webhook = a_bot(), Webhook("POST", {}, {}, b"")
    pressed, heard = receive(a_press()), message(a_message())

    def _body(parsed: Parsed, text: str) -> Any:
        body = bot.acknowledge(webhook, parsed, Said(text), now=NOW)
        assert isinstance(body, Body)
        assert body.content_type == "application/json"
        return json.loads(body.content)

    assert _body(heard, "⏳ Merging") == {}
    assert _body(pressed, "") == {}
    assert _body(pressed, "⛔ Not **yours**: `x`\nmore") == {
        "toast": {"type": "info", "content": "⛔ Not yours: x"}
    }
    assert bot.toasts


# Anything at all ---------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=300))
def test_no_bytes_break_it(body: bytes) -> None:
    for given_headers in (headers(body), UNSIGNED):
        with pytest.raises(Rejected):
            take(body, given_headers)


@given(st.binary(max_size=300))
def test_no_sealed_bytes_break_it(content: bytes) -> None:
    body = seal(content)
    with pytest.raises(Rejected) as caught:
        take(body)
    assert caught.value.status in (400, 401)


@given(
    st.sampled_from(["sender", "message", "operator", "action", "context"]),
    JUNK,
    st.sampled_from(["im.message.receive_v1", "card.action.trigger"]),
)
def test_no_shape_of_an_event_breaks_it(name: str, junk: object, kind: str) -> None:
    event = {**a_message()["event"], **a_press()["event"], name: junk}
    assert receive(an_event(event, kind)) is not None


@given(st.text(max_size=200))
def test_no_text_of_base64_breaks_the_opening(sealed: str) -> None:
    with pytest.raises(Unopened):
        unseal(sealed, [KEY])
