"""Replies to Slack, over real HTTP to the sandbox's stand-in, and what foreign words do in them."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.platforms.base import Button, Outgoing, SendFailed
from bot.platforms.models import Bot
from bot.platforms.reading import find_address
from bot.platforms.slack.adapter import _RESPONSE_PATH, RESPONSE_ORIGINS, Slack
from bot.platforms.slack.words import blocks, mrkdwn, notice, split
from bot.wording import block, code, escape, link
from chatops_site.sandbox.slack.app import BOT_TOKEN
from tests.loopback import Serve, answer_with, serving
from tests.slack_street import Street, now, street_fixture, whole_street_fixture

__all__ = ["street_fixture", "whole_street_fixture"]

serve = pytest.fixture(serving)
BUTTONS = (Button("token-1", "Approve", "primary"), Button("token-2", "Cancel", "danger"))


def send(street: Street, route: dict[str, Any], text: str = "✅ done", **more: Any) -> str:
    return street.platform.send(route, Outgoing(text, **more), now=now())


def failure(street: Street, route: dict[str, Any]) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        send(street, route)
    assert caught.value.sentence.endswith(".")
    assert BOT_TOKEN not in str(caught.value)
    return caught.value


# Where replies go --------------------------------------------------------------------------------


def test_it_answers_in_the_channel_and_mentions_who_asked(street: Street) -> None:
    sent = send(street, street.hear("/merge 233").route, "✅ Merged **shop#233**  \nNext: `/x`")
    (answer,) = street.answers()
    assert re.fullmatch(r"C0RELEASE:\d{10}\.\d{6}", sent)
    assert answer["mrkdwn"] == "<@U0ZHANGSAN> ✅ Merged *shop#233*\nNext: `/x`"
    assert answer["notice"] == "✅ Merged shop#233"
    assert (answer["mentions"], answer["unfurls"]) == (["zhangsan"], False)
    assert (answer["conversation"], answer["by"]) == ("cid-release", "chat.postMessage")


def test_a_private_answer_mentions_nobody(street: Street) -> None:
    send(street, street.hear(conversation="private").route)
    (answer,) = street.answers()
    assert (answer["conversation"], answer["mentions"]) == ("cid-private-zhangsan", [])


def test_an_answer_to_a_thread_stays_there(street: Street) -> None:
    heard = street.hear(tamper={"event": {"thread_ts": "1790000000.000001"}})
    send(street, heard.route)
    assert street.answers()[0]["thread_ts"] == "1790000000.000001"


def test_an_answer_is_changed_in_place(street: Street) -> None:
    route = street.hear().route
    sent = send(street, route, "⏳ Merging", buttons=BUTTONS)
    street.platform.update(route, sent, Outgoing("✅ Merged"), now=now())
    (answer,) = street.answers()
    assert (answer["markdown"], answer["changes"]) == ("✅ Merged", 1)
    assert answer["buttons"] == []


@pytest.mark.parametrize("external", ["", "x", "C0RELEASE:1790000000.999999", "C9:1790000000.1"])
def test_what_cannot_be_changed_any_more_is_sent_anew(street: Street, external: str) -> None:
    route = street.hear().route
    street.platform.update(route, external, Outgoing("✅ Merged"), now=now())
    assert [answer["changes"] for answer in street.answers()] == [0]


def test_a_slash_command_is_answered_in_the_channel_where_the_bot_is(street: Street) -> None:
    sent = send(street, street.hear("/ops merge 233").route)
    assert sent.startswith("C0RELEASE:")
    assert [answer["by"] for answer in street.answers()] == ["chat.postMessage"]


def test_where_the_bot_is_not_a_slash_command_is_answered_by_its_own_address(
    street: Street,
) -> None:
    street.slack.control("not_in_channel", {"conversation": "cid-dev"})
    sent = send(street, street.hear("/ops merge 233", conversation="cid-dev").route)
    (answer,) = street.answers()
    assert sent == ""
    assert (answer["by"], answer["ephemeral"]) == ("response_url", False)
    assert (answer["conversation"], answer["mentions"]) == ("cid-dev", ["zhangsan"])


def test_between_two_people_only_the_asker_sees_the_answer(street: Street) -> None:
    street.slack.control("not_in_channel", {"conversation": "cid-private-lisi"})
    heard = street.hear("/ops pr 1", person="lisi", conversation="private")
    send(street, heard.route)
    assert street.answers()[0]["ephemeral"]


def test_after_half_an_hour_the_answer_goes_to_the_person(street: Street) -> None:
    street.slack.control("not_in_channel", {"conversation": "cid-dev"})
    route = street.hear("/ops merge 233", conversation="cid-dev").route
    late = now() + timedelta(minutes=30, seconds=1)
    sent = street.platform.send(route, Outgoing("✅ late"), now=late)
    (answer,) = street.answers()
    assert sent.startswith("D0ZHANGSAN:")
    assert (answer["by"], answer["conversation"]) == ("chat.postMessage", "cid-private-zhangsan")


@pytest.mark.parametrize("ended", ["five uses", "the platform's clock"])
def test_when_slack_ends_the_address_the_answer_goes_to_the_person(
    street: Street, ended: str
) -> None:
    street.slack.control("not_in_channel", {"conversation": "cid-dev"})
    route = street.hear("/ops merge 233", conversation="cid-dev").route
    uses = 5 if ended == "five uses" else 0
    for _ in range(uses):
        send(street, route)
    if not uses:
        street.clock.advance(1_801)
    assert send(street, route).startswith("D0ZHANGSAN:")
    assert len(street.answers()) == uses + 1


def test_who_mentioned_a_bot_that_was_taken_out_is_answered_directly(street: Street) -> None:
    route = street.hear().route
    street.slack.control("not_in_channel", {"conversation": "cid-release"})
    assert send(street, route).startswith("D0ZHANGSAN:")


def test_where_posting_is_restricted_the_asker_alone_sees_the_answer(street: Street) -> None:
    route = street.hear().route
    refusal = {"method": "chat.postMessage", "error": "restricted_action"}
    street.slack.control("refuse", refusal)
    assert send(street, route) == ""
    (answer,) = street.answers()
    assert (answer["by"], answer["seen_by"]) == ("chat.postEphemeral", "zhangsan")


@pytest.mark.parametrize("user", ["", "x", "<!channel>", "U0NOBODY"])
def test_an_answer_without_any_way_is_told(street: Street, user: str) -> None:
    route = street.hear().route | {"user": user, "channel": "C0GONE"}
    problem = failure(street, route)
    assert "channel_not_found" in problem.sentence
    assert "/invite" in problem.sentence
    assert not problem.retryable


HOSTILE = [
    "https://hooks.slack.com.evil.example/commands/T/1/x",
    "https://hooks.slack.com@evil.example/commands/T/1/x",
    "https://user:pw@hooks.slack.com/commands/T/1/x",
    "https://evil.example\\@hooks.slack.com/commands/T/1/x",
    "https://hooks.slack.com\\@evil.example/commands/T/1/x",
    "https://hooks.slack.com#@evil.example/commands/T/1/x",
    "https://hooks.slack.com?@evil.example/commands/T/1/x",
    "https://evil.example/https://hooks.slack.com/commands/T/1/x",
    "http://hooks.slack.com/commands/T/1/x",
    "HTTPS://hooks.slack.com/commands/T/1/x",
    "https://HOOKS.slack.com/commands/T/1/x",
    "https://hooks.slack.com./commands/T/1/x",
    "https://hooks.slack.com:443/commands/T/1/x",
    "https://hooks.slack.com:8443/commands/T/1/x",
    "https://hooks.slack.com/commands/../x",
    "https://hooks.slack.com//commands/T/1/x",
    "https://hooks.slack.com/commands/%2e%2e/x",
    "https://hooks.slack.com/commands/T/1/x?y",
    "https://hooks.slack.com/commands/T/1/x#y",
    "https://hooks.slack.com/commands/T/1/x y",
    "https://hooks.slack.com/commands/T/1/x\n",
    "https://hooks.slack.com/",
    "https://hooks.slack.com",
    "https://hooks.slack.com/" + "a/" * 5_000,
    "https://hooks。slack。com/commands/T/1/x",
    "https://1.2.3.4/commands/T/1/x",
    "//hooks.slack.com/commands/T/1/x",
    "file:///etc/passwd",
    "",
    None,
    7,
    ["https://hooks.slack.com/commands/T/1/x"],
]


@pytest.mark.parametrize("address", HOSTILE, ids=lambda text: str(text)[:50])
def test_no_answer_goes_where_a_body_wants_it(street: Street, address: object) -> None:
    assert find_address(address, RESPONSE_ORIGINS, _RESPONSE_PATH) is None
    street.slack.control("not_in_channel", {"conversation": "cid-dev"})
    heard = street.hear("/ops help", conversation="cid-dev")
    send(street, heard.route | {"response_url": address})
    assert street.answers()[0]["conversation"] == "cid-private-zhangsan"


def test_no_answer_goes_to_another_port_of_the_same_host(street: Street) -> None:
    street.slack.control("not_in_channel", {"conversation": "cid-dev"})
    route = street.hear("/ops help", conversation="cid-dev").route
    tricked = f"{street.origin}@{street.trap_origin[7:]}"
    for start in (street.trap_origin, tricked, "https://hooks.slack.com"):
        send(street, route | {"response_url": f"{start}/commands/T/1/x"})
    assert street.trap.requests == []
    assert [answer["by"] for answer in street.answers()] == ["chat.postMessage"] * 3


def test_slack_s_own_address_may_be_answered() -> None:
    path = "/commands/T0PUBTEAM/349794664800/bNUNHz2sOyzmtpXmnz6TfR5D"
    origin = "https://hooks.slack.com"
    assert find_address(origin + path, RESPONSE_ORIGINS, _RESPONSE_PATH) == (origin, path)


# Failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("told", "pause"), [(7, 7), (None, 30)])
def test_over_the_limit_the_reply_waits_as_long_as_slack_says(
    street: Street, told: int | None, pause: float
) -> None:
    route = street.hear().route
    street.slack.control("limit", {"times": 1, "retry_after": told})
    problem = failure(street, route)
    assert (problem.retryable, problem.retry_after) == (True, pause)
    assert send(street, route)


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        ({"mode": "status", "status": 502}, True),
        ({"mode": "reset_before"}, True),
        ({"mode": "close_mid"}, True),
        ({"mode": "huge", "megabytes": 3}, False),
        ({"mode": "status", "status": 404}, False),
        ({"mode": "status", "status": 200, "body": "[]"}, False),
        ({"mode": "status", "status": 200, "body": '{"ok": 1}'}, False),
    ],
    ids=str,
)
def test_a_failed_reply_says_whether_a_retry_helps(
    street: Street, fault: dict[str, Any], retryable: bool
) -> None:
    route = street.hear().route
    street.faults.add("chat", path_regex="chat.postMessage", **fault)
    assert failure(street, route).retryable is retryable


@pytest.mark.parametrize(
    "fault",
    [
        {"mode": "status", "status": 502},
        {"mode": "e429", "retry_after": 7},
        {"mode": "reset_before"},
        {"mode": "close_mid"},
    ],
    ids=str,
)
def test_a_failure_at_a_response_url_does_not_tell_that_address(
    street: Street, fault: dict[str, Any]
) -> None:
    street.slack.control("not_in_channel", {"conversation": "cid-release"})
    route = street.hear("/ops help").route
    street.faults.add("chat", path_regex="commands", **fault)
    problem = failure(street, route)
    assert problem.retryable
    assert "commands" not in problem.sentence


@pytest.mark.parametrize(
    ("code", "advice", "retryable"),
    [
        ("invalid_auth", "copy the new bot token", False),
        ("token_revoked", "copy the new bot token", False),
        ("missing_scope", "Add the missing scope", False),
        ("internal_error", "refused: internal_error.", True),
        ("invalid_blocks", "refused: invalid_blocks.", False),
        ("made up <b> xoxb-secret-word-1", "refused: status 200.", False),
    ],
)
def test_every_refusal_says_what_to_do(
    street: Street, code: str, advice: str, retryable: bool
) -> None:
    route = street.hear().route
    street.slack.control("refuse", {"method": "chat.postMessage", "error": code})
    problem = failure(street, route)
    assert advice in problem.sentence
    assert problem.retryable is retryable
    assert "secret-word" not in problem.sentence


def test_a_revoked_token_is_told(street: Street) -> None:
    route = street.hear().route
    street.slack.control("revoke_token", {})
    assert "token_revoked" in failure(street, route).sentence


def test_a_redirect_is_not_followed(street: Street) -> None:
    route = street.hear().route
    location = f"{street.trap_origin}/api/chat.postMessage"
    street.faults.add(
        "chat", mode="redirect", path_regex="postMessage", status=307, location=location
    )
    assert not failure(street, route).retryable
    assert street.trap.requests == []


def test_the_token_goes_in_a_header_and_never_in_an_address(serve: Serve) -> None:
    peer = serve(answer_with(b'{"ok": true}'))
    bot = Bot(name="ops", platform="slack", settings={"api_base": peer.url})
    bot.secrets = {"bot_token": "xoxb-t"}
    Slack(bot).check()
    assert peer.calls[0].line == "POST /api/auth.test HTTP/1.1"
    assert peer.calls[0].headers["authorization"] == "Bearer xoxb-t"


# Test connection, names --------------------------------------------------------------------------


def test_it_says_who_the_bot_is(street: Street) -> None:
    assert street.platform.check() == (
        "Slack knows the bot chatops (U0CHATOPS) in the workspace Demo (T0DEMO)."
    )


@pytest.mark.parametrize(
    ("name", "told"), [("team_id", "T0DEMO"), ("app_id", "A0DEMO"), ("bot_user_id", "U0CHATOPS")]
)
def test_it_says_which_setting_is_wrong(street: Street, name: str, told: str) -> None:
    sentence = street.connect(**{name: "X1"}).check()
    assert sentence.endswith(f"But its {name} is {told}, and the settings say X1: correct them.")


def test_without_the_right_to_ask_the_app_is_not_compared(street: Street) -> None:
    street.slack.control("refuse", {"method": "bots.info", "error": "missing_scope"})
    assert "But" not in street.connect(app_id="X1").check()


@pytest.mark.parametrize("token", ["", "xoxb-wrong", "xapp-demo-app-token"])
def test_a_wrong_token_is_told_and_kept(street: Street, token: str) -> None:
    with pytest.raises(SendFailed) as caught:
        street.connect(bot_token=token).check()
    assert not caught.value.retryable
    assert not token or token not in caught.value.sentence


def test_a_wrong_app_token_is_told_too(street: Street) -> None:
    with pytest.raises(SendFailed, match="connections:write"):
        street.connect(app_token="xapp-wrong").check()
    assert street.connect(app_token="").check().startswith("Slack knows")


@pytest.mark.parametrize("told", [b"{}", b"[]", b"<html>", b'{"ok": "yes"}'])
def test_an_answer_that_is_none_is_no_success(serve: Serve, told: bytes) -> None:
    bot = Bot(name="o", platform="slack", settings={"api_base": serve(answer_with(told)).url})
    bot.secrets = {"bot_token": "xoxb-t"}
    with pytest.raises(SendFailed):
        Slack(bot).check()


@pytest.mark.parametrize(
    ("account", "name"), [("U0LISI", "李四"), ("U0NOBODY", ""), ("", ""), ("x&y=1", "")]
)
def test_it_tells_the_name_of_an_account(street: Street, account: str, name: str) -> None:
    assert street.platform.name_of(account) == name


# Words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "slack_s"),
    [
        ("**3 open in shop**  \n#233", "*3 open in shop*\n#233"),
        ("[build 57](https://ci/j?a=1&b=2)", "<https://ci/j?a=1&amp;b=2|build 57>"),
        ("[**job**](https://ci/j)", "<https://ci/j|job>"),
        ("[x|y](https://ci/a|b)", "<https://ci/a%7Cb|x¦y>"),
        ("[x](javascript:alert(1))", "x)"),
        ("[x](https://evil>)", "x"),
        ("`a < b && c`", "`a &lt; b &amp;&amp; c`"),
        ("```\na **b** <c>\n```", "```\na **b** &lt;c&gt;\n```"),
        ("```\nnever closed", "```\nnever closed\n```"),
        (r"\#1 \[x\] \\ \_", "#1 [x] \\ _"),
        (r"fix \*all\* \`now\` \~", "fix ∗all∗ ˋnowˋ ∼"),
        (r"\> quoted", "\u200b&gt; quoted"),
        ("a > b", "a &gt; b"),
        ("❓", "❓"),
        ("", ""),
    ],
)  # fmt: skip
def test_our_markdown_becomes_slack_s(ours: str, slack_s: str) -> None:
    assert mrkdwn(ours) == slack_s


EVIL = [
    "<!channel>", "<!here|here>", "<@U0LISI>", "<#C0DEV>", "<https://evil.example|shop#1>",
    "&lt;!channel&gt;", "\\<!channel\\>", "@channel @everyone", "[x](https://evil.example)",
    "](https://evil.example)", "```", "`` ` ``", "*x* _y_ ~z~", "> x", "\n\n> x", "<!date^1^x|y>",
    "mailto:a@b", "<mailto:a@b|c>", "\u202e<!channel>", "<<!channel>>", "<\u200b!channel>",
]  # fmt: skip


@pytest.mark.parametrize("title", EVIL)
def test_a_hostile_title_is_only_words(street: Street, title: str) -> None:
    text = f"⏳ Merging {escape(title)}  \n{code(title)} {link(escape(title), 'https://ci/1')}"
    send(street, street.hear().route, f"{text}\n{block([title])}")
    (answer,) = street.answers()
    assert answer["specials"] == []
    assert answer["mentions"] == ["zhangsan"]
    tokens = re.findall(r"<[^>]*>", answer["mrkdwn"])
    assert tokens[0] == "<@U0ZHANGSAN>"
    assert all(one.startswith("<https://ci/1|") for one in tokens[1:])
    assert answer["mrkdwn"].count("```") == 2


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("<>&@!|*_~`\\[]()# \nab字U0"), max_size=60))
def test_no_words_at_all_call_anybody(text: str) -> None:
    for written in (mrkdwn(text), mrkdwn(escape(text)), notice(text)):
        assert re.findall(r"<(?!https?://)", written) == []
        assert re.findall(r"&(?!amp;|lt;|gt;)", written) == []


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["&<>" * 50, "字" * 400, "\n", "```\nx\n```\n", "a" * 3_100,
                                 "[l](https://ci/" + "p" * 600 + ")", "`" + "&" * 90 + "`", " "]),
                max_size=40))  # fmt: skip
def test_every_section_is_whole_and_small_enough(parts: list[str]) -> None:
    sections = split(mrkdwn("".join(parts)))
    assert all(0 < len(one) <= 3_000 for one in sections)
    assert sum(len(one) for one in sections) <= 12_500
    for one in sections:
        assert one.count("```") % 2 == 0
        assert re.findall(r"&(?!amp;|lt;|gt;)", one) == []
        assert one.count("<") == one.count(">")


def test_a_long_log_is_shown_in_several_blocks(street: Street) -> None:
    log = "\n".join(f"line {n} <&>" for n in range(2_000))
    send(street, street.hear().route, f"⛔ failed\n```\n{log}\n```")
    (answer,) = street.answers()
    assert answer["mrkdwn"].endswith("```\n…")
    assert "line 0 &lt;&amp;&gt;" in answer["mrkdwn"]


def test_a_notice_is_the_first_line_without_markup() -> None:
    assert notice("\n\n⛔ `a_b` [x](https://y) **b** \\[z\\] <c>") == "⛔ a_b x b [z] &lt;c&gt;"
    assert notice("```\nlog\n```") == "log"
    assert notice("") == "ChatOps"
    assert len(notice("字" * 999)) == 150


def test_buttons_carry_their_tokens(street: Street) -> None:
    send(street, street.hear().route, "⛔ 1 approval missing", buttons=BUTTONS)
    (answer,) = street.answers()
    assert [(one["id"], one["label"], one["tone"]) for one in answer["buttons"]] == [
        ("token-1", "Approve", "primary"),
        ("token-2", "Cancel", "danger"),
    ]
    assert [one["action_id"] for one in answer["buttons"]] == ["chatops_0", "chatops_1"]


def test_buttons_keep_to_slack_s_sizes(street: Street) -> None:
    many = tuple(Button(f"t{n}", "长" * 99 if n else "", "odd") for n in range(30))
    send(street, street.hear().route, "x", buttons=many)
    (answer,) = street.answers()
    assert len(answer["buttons"]) == 25
    assert {len(one["label"]) for one in answer["buttons"]} == {1, 75}


def test_blocks_are_plain_json_of_the_documented_shape() -> None:
    section, actions = blocks("x", BUTTONS[:1], mention="U1")
    assert section["text"] == {"type": "mrkdwn", "text": "<@U1> x", "verbatim": True}
    assert actions["elements"][0]["value"] == "token-1"
    assert json.dumps([section, actions])
