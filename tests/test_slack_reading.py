"""What Slack says: events, slash commands and presses, and what of them is a message to the bot."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.platforms.base import Ignored, IncomingMessage, Press, Sender
from bot.platforms.slack.adapter import FORM, Slack
from tests.slack_payloads import (
    APP,
    BOT,
    NOW,
    SENT,
    STAMP,
    TEAM,
    a_bot,
    a_slash,
    an_event,
    event,
    message,
    press,
    receive,
    slash,
)

# Events ------------------------------------------------------------------------------------------


def test_a_mention_is_a_message_to_the_bot() -> None:
    parsed = message(event())
    assert parsed == IncomingMessage(
        platform="slack",
        message_id=f"C0RELEASE:{SENT}",
        sender=Sender(TEAM, "U0ZHANG", ""),
        conversation="C0RELEASE",
        conversation_name="",
        private=False,
        text="/merge 233",
        sent_at=datetime(2026, 9, 21, 14, 13, 19, 100, UTC),
        route={"channel": "C0RELEASE", "user": "U0ZHANG", "private": False, "thread": ""},
        source_ip="192.0.2.7",
    )


def test_a_direct_message_needs_no_mention() -> None:
    parsed = message(event(type="message", channel="D1", channel_type="im", text="/help"))
    assert (parsed.text, parsed.private) == ("/help", True)


@pytest.mark.parametrize(("channel", "private"), [("D1", True), ("C1", False), ("G1", False)])
def test_where_the_kind_is_not_told_the_id_tells_it(channel: str, private: bool) -> None:
    assert message(event(channel=channel)).private is private
    assert not message(event(channel=channel, channel_type="group")).private


def test_the_two_events_of_one_post_are_one_message() -> None:
    mention = message(event())
    posted = message(event(type="message", channel_type="channel"))
    assert mention == posted


@pytest.mark.parametrize("kind", ["channel", "group", "mpim"])
def test_what_is_said_to_others_is_none_of_its_business(kind: str) -> None:
    parsed = event(type="message", channel_type=kind, text="/merge 233 <@U0LISI>")
    assert parsed == Ignored("no_mention", f"C0RELEASE:{SENT}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user": BOT}, "own_message"),
        ({"bot_id": "B1"}, "bot_message"),
        ({"bot_profile": {"id": "B1"}}, "bot_message"),
        ({"subtype": "message_changed"}, "subtype"),
        ({"subtype": "message_deleted"}, "subtype"),
        ({"subtype": "thread_broadcast"}, "subtype"),
        ({"subtype": "channel_join"}, "subtype"),
        ({"edited": {"user": "U0ZHANG", "ts": SENT}}, "edited"),
        ({"type": "reaction_added"}, "event_type"),
        ({"type": ["app_mention"]}, "event_type"),
        ({"type": ...}, "event_type"),
        ({"outer_type": "app_rate_limited"}, "event_type"),
    ],
    ids=str,
)
def test_it_ignores_what_nobody_said_to_it_just_now(changes: dict[str, Any], reason: str) -> None:
    assert event(**changes) == Ignored(reason, f"C0RELEASE:{SENT}")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (f"<@{BOT}> /merge 233", "/merge 233"),
        (f"<@{BOT}|chatops> /merge 233", "/merge 233"),
        (f"<@{BOT}>\u00a0/merge 233", "/merge 233"),
        (f"<@{BOT}>/merge 233", "/merge 233"),
        (f"<@{BOT}>  a  b\n c ", "a  b\n c"),
        (f"please <@{BOT}> /merge 233", "please /merge 233"),
        (f"<@{BOT}> <@{BOT}> /merge 233", f"<@{BOT}> /merge 233"),
        (f"<@{BOT}> <@U0LISI> hello", "<@U0LISI> hello"),
        (f"<@{BOT}X> /merge 233", f"<@{BOT}X> /merge 233"),
        (f"&lt;@{BOT}&gt; /merge 233", f"<@{BOT}> /merge 233"),
        (f"<@{BOT}> a &lt;b&gt; &amp;&amp; &amp;lt; &quot;", "a <b> && &lt; &quot;"),
        (f"<@{BOT}> <https://x|/merge 1>", "<https://x|/merge 1>"),
        (f"<@{BOT}> ／merge　２３３", "／merge　２３３"),
        (f"<@{BOT}>", ""),
        ("", ""),
        (f"<@{BOT}> " + "长" * 60_000, "长" * 60_000),
    ],
    ids=lambda text: text[:30],
)
def test_a_text_loses_one_mention_and_is_unescaped_once(text: str, read: str) -> None:
    assert message(event(text=text)).text == read


def test_the_event_itself_tells_who_the_bot_is() -> None:
    bot = a_bot(bot_user_id="")
    authorized = [
        {"team_id": "T0OTHER", "user_id": "U0LISI", "is_bot": True},
        {"team_id": TEAM, "user_id": "U0LISI", "is_bot": False},
        {"team_id": TEAM, "user_id": "U0NEW", "is_bot": True},
    ]
    payload = an_event(text="<@U0LISI> <@U0NEW> /help", outer_authorizations=authorized)
    parsed = message(receive(json.dumps(payload).encode(), bot=bot))
    assert parsed.text == "<@U0LISI> /help"


@pytest.mark.parametrize("told", [..., [], {}, "x", [1], [{"is_bot": True, "team_id": "T2"}]])
def test_a_leading_mention_is_the_bot_s_where_nothing_tells_it(told: object) -> None:
    payload = an_event(text="<@U0BOT9> /help <@U0LISI>", outer_authorizations=told)
    parsed = message(receive(json.dumps(payload).encode(), bot=a_bot(bot_user_id="")))
    assert parsed.text == "/help <@U0LISI>"


@pytest.mark.parametrize(
    "changes",
    [
        {"text": ["/merge 1"]}, {"text": 1}, {"text": None}, {"text": ...},
        {"channel": ...}, {"channel": ""}, {"channel": 1}, {"channel": "C" * 101},
        {"channel": "C\0"}, {"user": ["U1"]}, {"user": "U" * 201}, {"user_team": ["T"]},
        {"user_team": "T" * 101},
    ],
    ids=str,
)  # fmt: skip
def test_it_ignores_fields_of_a_wrong_shape(changes: dict[str, Any]) -> None:
    parsed = event(**changes)
    assert isinstance(parsed, Ignored)
    assert parsed.reason == "schema"


@pytest.mark.parametrize("stamp", [..., "", 1, "1789999999", "x.y", "1789999999.0000001", "１.１"])
def test_it_ignores_an_event_without_a_proper_time(stamp: object) -> None:
    assert event(ts=stamp) == Ignored("schema")


@pytest.mark.parametrize("inner", [None, [], "x", 1])
def test_it_ignores_an_event_that_is_none(inner: object) -> None:
    parsed = receive(json.dumps({**an_event(), "event": inner}).encode())
    assert isinstance(parsed, Ignored)


def test_it_ignores_text_that_cannot_be_stored() -> None:
    assert event(text=f"<@{BOT}> \ud800") == Ignored("bad_text", f"C0RELEASE:{SENT}")
    assert event(user="\udfff") == Ignored("bad_text", f"C0RELEASE:{SENT}")


def test_it_ignores_ten_thousand_unknown_keys_quickly() -> None:
    assert event(**{f"key{n}": n for n in range(10_000)}) == Ignored("schema")


def test_a_message_cannot_make_itself_younger() -> None:
    assert message(event(ts="9999999999.000000")).sent_at == NOW
    assert message(event(ts="1000000000.5")).sent_at.year == 2001


@pytest.mark.parametrize("name", ["user_team", "source_team", "team"])
def test_a_person_of_another_company_keeps_that_one_s_name(name: str) -> None:
    sender = message(event(**{name: "T0OTHER"})).sender
    assert (sender.tenant, sender.id) == ("T0OTHER", "U0ZHANG")


def test_in_a_shared_channel_nobody_is_taken_for_one_of_ours() -> None:
    assert message(event(outer_is_ext_shared_channel=True)).sender.tenant == ""
    assert message(event(outer_is_ext_shared_channel=True, team=TEAM)).sender.tenant == TEAM
    assert message(event(outer_is_ext_shared_channel=False)).sender.tenant == TEAM


@pytest.mark.parametrize("user", [..., None, ""])
def test_somebody_without_an_id_is_a_stranger(user: object) -> None:
    assert message(event(user=user)).sender.id == ""


@pytest.mark.parametrize(
    ("thread", "kept"),
    [("1789999000.000100", "1789999000.000100"), (..., ""), (1, ""), ("x", ""), ([], "")],
)
def test_the_answer_stays_in_the_thread(thread: object, kept: str) -> None:
    assert message(event(thread_ts=thread)).route["thread"] == kept


# Slash commands ----------------------------------------------------------------------------------


def test_a_slash_command_keeps_its_name_beside_its_text() -> None:
    parsed = message(slash())
    assert (parsed.slash, parsed.text) == ("/ops", "merge 233")
    assert (parsed.message_id, parsed.conversation_name) == ("1.2.abc", "release")
    assert parsed.sender == Sender(TEAM, "U0ZHANG", "zhangsan")
    assert parsed.sent_at == NOW
    assert parsed.route["response_url"] == "https://hooks.slack.com/commands/T1/1/abc"
    assert parsed.route["expires"] == int(STAMP) + 1_800


@pytest.mark.parametrize(
    ("channel", "name", "private"),
    [("D1", "directmessage", True), ("D1", "x", True), ("G1", "privategroup", False)],
)
def test_a_slash_command_tells_where_it_was_typed(channel: str, name: str, private: bool) -> None:
    parsed = message(slash(channel_id=channel, channel_name=name))
    assert parsed.private is private
    assert parsed.conversation_name == ("x" if name == "x" else "")


def test_a_slash_command_alone_has_an_empty_text() -> None:
    assert message(slash(text="")).text == ""
    assert message(slash(text=...)).text == ""


@pytest.mark.parametrize(
    "name", ["channel_id", "user_id", "command", "trigger_id"]
)  # fmt: skip
def test_it_ignores_a_slash_command_with_a_part_missing(name: str) -> None:
    for value in (..., "", "x" * 300, "\0"):
        parsed = slash(**{name: value})
        assert isinstance(parsed, Ignored)
        assert parsed.reason == "schema"


def test_slack_s_look_at_the_certificate_is_no_command() -> None:
    assert slash(ssl_check="1") == Ignored("ssl_check", "1.2.abc")


def test_a_clock_ahead_of_ours_makes_no_command_younger() -> None:
    early = NOW - timedelta(seconds=200)
    parsed = message(receive(urlencode(a_slash()).encode(), FORM, now=early))
    assert parsed.sent_at == early


# Presses -----------------------------------------------------------------------------------------


def test_a_press_carries_the_token_and_who_pressed() -> None:
    parsed = press()
    assert isinstance(parsed, Press)
    assert (parsed.token, parsed.press_id) == ("token-1", "1.2.def")
    assert parsed.sender == Sender(TEAM, "U0ZHANG", "zhangsan")
    assert (parsed.conversation, parsed.conversation_name) == ("C0RELEASE", "release")
    assert parsed.pressed_at < NOW
    assert parsed.source_ip == "192.0.2.7"
    assert parsed.route["thread"] == "1789999000.000100"
    assert parsed.route["expires"] == int(STAMP) + 1_800


def test_a_press_without_a_trigger_is_known_by_its_time() -> None:
    parsed = press(trigger_id=...)
    assert isinstance(parsed, Press)
    assert parsed.press_id == SENT


def test_a_presser_of_another_company_keeps_that_one_s_name() -> None:
    parsed = press(user={"id": "U9", "team_id": "T0OTHER"})
    assert isinstance(parsed, Press)
    assert parsed.sender == Sender("T0OTHER", "U9", "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "view_submission"}, "interaction_type"),
        ({"type": ...}, "interaction_type"),
        ({"actions": []}, "schema"),
        ({"actions": {}}, "schema"),
        ({"actions": ["x"]}, "schema"),
        ({"actions": [{"type": "static_select"}]}, "action_type"),
        ({"actions": [{"type": "button"}]}, "schema"),
        ({"actions": [{"type": "button", "value": ["x"]}]}, "schema"),
        ({"actions": [{"type": "button", "value": "v" * 201}]}, "schema"),
        ({"user": ...}, "schema"),
        ({"user": []}, "schema"),
        ({"user": {"id": 1}}, "schema"),
        ({"channel": []}, "schema"),
        ({"channel": {"id": 1}}, "schema"),
        ({"container": 1}, "schema"),
        ({"message": "x"}, "schema"),
    ],
    ids=str,
)
def test_it_ignores_a_press_that_is_none_of_its_buttons(
    changes: dict[str, Any], reason: str
) -> None:
    assert press(**changes) == Ignored(reason, "1.2.def")


@pytest.mark.parametrize("told", ["javascript:x y", "h" * 501, 1, None, "https://x\r\n"])
def test_an_address_that_cannot_be_one_is_not_kept(told: object) -> None:
    parsed = press(response_url=told)
    assert isinstance(parsed, Press)
    assert "response_url" not in parsed.route


# Anything at all ---------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["app_mention", "message", "im", TEAM, APP, BOT, SENT, "block_actions", "button", "U1", "D1"]
)
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)
INNER = st.dictionaries(
    st.sampled_from(["type", "user", "text", "ts", "channel", "channel_type", "thread_ts", "team",
                     "bot_id", "id", "value", "actions", "subtype", "team_id"]),
    VALUES, max_size=8,
)  # fmt: skip


@settings(deadline=None)
@given(INNER, INNER, st.lists(INNER, max_size=2), VALUES)
def test_nothing_signed_makes_it_crash(
    event: dict[str, Any], user: dict[str, Any], actions: list[Any], odd: object
) -> None:
    told = {"event": event, "authorizations": odd, "user": user, "actions": actions,
            "channel": event, "container": odd, "message": odd, "response_url": odd}  # fmt: skip
    bound = {"team_id": TEAM, "api_app_id": APP, "team": {"id": TEAM}}
    platform = Slack(a_bot())
    for kind, name in (("events_api", "event_callback"), ("interactive", "block_actions")):
        parsed = platform.read(kind, {**told, **bound, "type": name}, now=NOW)
        assert isinstance(parsed, IncomingMessage | Press | Ignored)
    assert platform.read("slash_commands", {**event, **told, **bound}, now=NOW)
    assert platform.read("workflow", told, now=NOW) == Ignored("envelope_type")
