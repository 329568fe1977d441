"""Replies to Feishu, over real HTTP to the sandbox's stand-in: cards, and only what we mean in them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.base import Button, Outgoing, SendFailed
from bot.platforms.feishu.adapter import API_BASE, Feishu
from bot.platforms.feishu.words import LONGEST_BYTES, MOST_BUTTONS, card, markdown, notice
from bot.platforms.models import Bot
from bot.wording import block, code, escape, link
from chatops_site.sandbox.feishu.app import APP_ID, APP_SECRET, BOT_OPEN_ID
from chatops_site.sandbox.feishu.cards import shown
from tests.feishu_street import Street, all_at_once, now, street_fixture, whole_street_fixture
from tests.loopback import Serve, answer_with, serving

__all__ = ["street_fixture", "whole_street_fixture"]

serve = pytest.fixture(serving)

BUTTONS = (Button("b1", "批准", "primary"), Button("b2", "拒绝", "danger"), Button("b3", "看"))


def answer_once(street: Street) -> dict[str, Any]:
    (answer,) = street.answers()
    return answer


def failure(street: Street, route: dict[str, Any], text: str = "x") -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        street.platform.send(route, Outgoing(text), now=now())
    return caught.value


# Sending -----------------------------------------------------------------------------------------


def test_it_answers_the_message_with_a_card_and_mentions_who_asked(street: Street) -> None:
    heard = street.hear("/merge 233")
    sent = street.platform.send(
        heard.route, Outgoing("✅ Merged **shop#233**  \nNext: `/x`"), now=now()
    )
    answer = answer_once(street)
    assert answer["message_id"] == sent
    assert answer["markdown"] == "✅ Merged **shop#233**  \nNext: `/x`".replace("#", "#")
    assert (answer["by"], answer["mentions"]) == ("reply", ["zhangsan"])
    assert answer["summary"] == "✅ Merged shop#233"
    assert answer["reply_to"] is not None


def test_in_private_nobody_is_mentioned(street: Street) -> None:
    heard = street.hear(conversation="private")
    street.platform.send(heard.route, Outgoing("hello"), now=now())
    answer = answer_once(street)
    assert answer["open_ids"] == []
    assert answer["conversation"] == "cid-private-zhangsan"


def test_it_puts_buttons_under_it_that_come_back_as_their_tokens(street: Street) -> None:
    heard = street.hear()
    street.platform.send(heard.route, Outgoing("⏳ Sure", buttons=BUTTONS), now=now())
    answer = answer_once(street)
    shown_buttons = [(one["id"], one["label"], one["tone"]) for one in answer["buttons"]]
    assert shown_buttons == [("b1", "批准", "primary"), ("b2", "拒绝", "danger"), ("b3", "看", "")]
    pressed = street.press(answer["n"], "批准", "lisi")
    assert (pressed.token, pressed.sender.id) == ("b1", "ou_lisi")
    assert pressed.conversation == heard.conversation


def test_the_answer_to_a_press_mentions_who_pressed(street: Street) -> None:
    street.platform.send(street.hear().route, Outgoing("x", buttons=BUTTONS), now=now())
    pressed = street.press(answer_once(street)["n"], "b1", "lisi")
    street.platform.send(pressed.route, Outgoing("done"), now=now())
    assert street.answers()[-1]["mentions"] == ["lisi"]


def test_it_puts_a_later_reply_in_the_place_of_the_earlier_one(street: Street) -> None:
    route = street.hear().route
    sent = street.platform.send(route, Outgoing("⏳ Merging", buttons=BUTTONS), now=now())
    assert street.platform.update(route, sent, Outgoing("✅ Merged"), now=now()) == sent
    answer = answer_once(street)
    assert (answer["markdown"], answer["buttons"], answer["changes"]) == ("✅ Merged", [], 1)


@pytest.mark.parametrize("earlier", ["", "om_unknown", "../../x", "om_1?a=b"])
def test_what_cannot_be_changed_is_sent_anew(street: Street, earlier: str) -> None:
    route = street.hear().route
    assert street.platform.update(route, earlier, Outgoing("later"), now=now()).startswith("om_")
    assert answer_once(street)["markdown"] == "later"


def test_a_reply_that_was_recalled_is_sent_anew(street: Street) -> None:
    route = street.hear().route
    sent = street.platform.send(route, Outgoing("⏳"), now=now())
    street.stand.control("recall", {"message_id": sent})
    again = street.platform.update(route, sent, Outgoing("✅"), now=now())
    assert again not in ("", sent)


def test_where_the_message_was_recalled_it_goes_to_the_conversation(street: Street) -> None:
    heard = street.hear(person="lisi")
    street.stand.control("recall", {"message_id": heard.message_id})
    street.platform.send(heard.route, Outgoing("late", key="k"), now=now())
    answer = answer_once(street)
    assert (answer["by"], answer["conversation"]) == ("send", "cid-release")
    assert answer["mentions"] == ["lisi"]


def test_a_message_id_never_becomes_another_path(street: Street) -> None:
    route = street.hear().route | {"message": "om_1/../../x"}
    street.platform.send(route, Outgoing("x"), now=now())
    assert street.calls()[-1] == "POST /open-apis/im/v1/messages"


def test_without_a_conversation_there_is_no_way(street: Street) -> None:
    problem = failure(street, {})
    assert not problem.retryable
    assert street.calls() == []


def test_a_reply_that_is_tried_again_is_there_once(street: Street) -> None:
    route = street.hear().route
    told = Outgoing("✅ Merged", key="run 7, reply 1, and a key as long as it likes to be " * 3)
    street.faults.add("chat", mode="reset_after", path_regex="/reply$", times=1)
    with pytest.raises(SendFailed) as caught:
        street.platform.send(route, told, now=now())
    assert caught.value.retryable
    first = street.platform.send(route, told, now=now())
    assert answer_once(street)["message_id"] == first
    other = street.platform.send(route, Outgoing("✅", key="another"), now=now())
    assert other != first


# Tokens, limits, refusals ------------------------------------------------------------------------


def test_it_fetches_one_token_for_many_messages(street: Street) -> None:
    route = street.hear().route
    send = lambda: street.platform.send(route, Outgoing("x"), now=now())  # noqa: E731
    with all_at_once([send] * 5):
        assert len(street.answers()) == 5
    assert street.tokens() == 1


def test_it_renews_a_token_once_that_is_not_taken_any_more(street: Street) -> None:
    route = street.hear().route
    street.platform.send(route, Outgoing("one"), now=now())
    street.stand.control("revoke_token", {})
    street.platform.send(route, Outgoing("two"), now=now())
    assert (len(street.answers()), street.tokens()) == (2, 2)

    street.stand.control("refuse", {"call": "reply", "code": 99991663})
    problem = failure(street, route)
    assert "99991663" in problem.sentence
    assert not problem.retryable
    assert street.tokens() == 3


@pytest.mark.parametrize(
    ("reset", "pause"),
    [({"reset": 7}, 7.0), ({"reset": 0}, 1.0), ({}, 2.0), ({"reset": 10**5}, 600.0)],
)
def test_too_many_messages_wait_as_long_as_feishu_says(
    street: Street, reset: dict[str, int], pause: float
) -> None:
    route = street.hear().route
    street.stand.control("limit", {"times": 1, **reset})
    problem = failure(street, route)
    assert (problem.retryable, problem.retry_after) == (True, pause)
    assert street.platform.send(route, Outgoing("now"), now=now())


@pytest.mark.parametrize("code_", [230020, 99991400, 11232])
def test_limits_told_by_a_number_wait_too(street: Street, code_: int) -> None:
    street.stand.control("refuse", {"call": "reply", "code": code_})
    problem = failure(street, street.hear().route)
    assert problem.retryable
    assert problem.retry_after == 2.0


@pytest.mark.parametrize(
    ("code_", "advice"),
    [
        (230002, "Add the bot to the group"),
        (230006, "publish a version"),
        (99991672, "[im:message, im:x]"),
        (99991672, "missing permission"),
        (230099, "230099"),
    ],
)
def test_a_refusal_says_what_to_do(street: Street, code_: int, advice: str) -> None:
    street.stand.control("refuse", {"call": "reply", "code": code_})
    problem = failure(street, street.hear().route)
    assert advice in problem.sentence
    assert not problem.retryable


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        ({"mode": "status", "status": 503}, True),
        ({"mode": "status", "status": 404}, False),
        ({"mode": "reset_before"}, True),
    ],
    ids=str,
)
def test_what_passes_is_tried_again(street: Street, fault: dict[str, Any], retryable: bool) -> None:
    route = street.hear().route
    street.faults.add("chat", path_regex="/reply$", **fault)
    assert failure(street, route).retryable is retryable


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"code": "0"}', b'{"code": true}', b"{", b'{"data": {}}'],
    ids=repr,
)
def test_no_answer_breaks_it(serve: Serve, street: Street, body: bytes) -> None:
    token = b'{"code": 0, "tenant_access_token": "t-1", "expire": 7200}'
    peer = serve(answer_with(token), answer_with(body))
    bot = street.bot(api_base=peer.url)
    route = {"message": "om_1", "chat": "oc_1"}
    with pytest.raises(SendFailed, match=r"\.$"):
        bot.send(route, Outgoing("x"), now=now())


def test_secrets_are_never_told(street: Street, caplog: pytest.LogCaptureFixture) -> None:
    """The stand-in repeats what it was given, as gateways do."""
    caplog.set_level(logging.DEBUG)
    wrong = street.bot({"app_secret": "canary-c4n4ry"})
    with pytest.raises(SendFailed) as caught:
        wrong.send({"chat": "oc_release"}, Outgoing("x"), now=now())
    street.platform.send(street.hear().route, Outgoing("x"), now=now())
    street.stand.control("refuse", {"call": "reply", "code": 230099})
    told = [caught.value.sentence, failure(street, street.hear().route).sentence, caplog.text]
    assert "App Secret" in caught.value.sentence
    for text in told:
        assert "canary-c4n4ry" not in text
        assert APP_SECRET not in text
        assert "Bearer" not in text


# Who is who --------------------------------------------------------------------------------------


def test_the_check_tells_who_the_bot_is(street: Street) -> None:
    assert BOT_OPEN_ID in street.bot(bot_open_id="").check()
    assert "ChatOps" in street.platform.check()
    told = street.bot(bot_open_id="ou_other").check()
    assert "ou_other" in told
    assert "correct" in told


def test_the_check_fails_in_a_sentence(street: Street) -> None:
    with pytest.raises(SendFailed, match="10014"):
        street.bot({"app_secret": "wrong"}).check()


def test_it_asks_once_which_mention_is_its_own(street: Street) -> None:
    bot = street.bot(bot_open_id="")
    bot.learn_bot()
    bot.learn_bot()
    assert street.calls().count("GET /open-apis/bot/v3/info") == 1
    street.platform.learn_bot()
    assert street.calls().count("GET /open-apis/bot/v3/info") == 1


def test_nothing_is_asked_while_something_is_received(street: Street) -> None:
    street.stub.platform = street.bot(bot_open_id="")
    assert street.hear("/help").text == "/help"
    assert street.calls() == []


def test_it_tells_names_where_it_may(street: Street) -> None:
    assert street.platform.name_of("ou_lisi") == "李四"
    assert street.platform.name_of("ou_nobody") == ""
    assert street.platform.name_of("../x") == ""
    street.stand.control("refuse", {"call": "user", "code": 99991672})
    assert street.platform.name_of("ou_lisi") == ""
    street.stand.control("refuse", {"call": "user", "code": 230099})
    with pytest.raises(SendFailed):
        street.platform.name_of("ou_lisi")


def test_lark_is_another_address_and_feishu_the_usual_one() -> None:
    settings = {"app_id": APP_ID, "api_base": "https://open.larksuite.com"}
    assert Feishu(Bot(name="ops", platform="feishu", settings=settings)).setting("api_base")
    assert API_BASE == "https://open.feishu.cn"


# Words -------------------------------------------------------------------------------------------

HOSTILE = [
    "<at id=all></at>",
    '<at user_id="all">everyone</at>',
    "< at id=all>",
    "&lt;at id=all&gt;&lt;/at&gt;",
    "&#60;at id=all&#62;",
    "[click](https://evil.example/x)",
    "](https://evil.example/x)",
    "![x](https://evil.example/x.png)",
    "<https://evil.example/x>",
    "https://evil.example/x",
    "HTTP://evil.example/x",
    "www.evil.example",
    "<a href='https://evil.example'>x</a>",
    "<link url='https://evil.example'>x</link>",
    "<font color='red'>x</font>",
    "**bold** *it* ~~no~~ __u__ `code`",
    "```\nblock\n```",
    "# big",
    "- list",
    "> quote",
    "---",
    "$x$",
    '"}]},{"tag":"button"}',
    "\\<at id=all\\>",
    "a\u202eb\u0000c",
    "@all @所有人",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_a_foreign_title_is_only_words(title: str) -> None:
    text = f"✅ {escape(title)}  \n{code(title)}  \n{block([title])}"
    made = shown(card(text, BUTTONS, mention="ou_zhangsan"))
    assert made["open_ids"] == ["ou_zhangsan"]
    assert made["tags"] == []
    assert len(made["buttons"]) == 3
    words = shown(card(f"✅ {escape(title)}", ()))
    assert words["links"] == []
    for mark in ("**", "~~", "```", "`", "[", "<", "&lt"):
        assert mark not in words["markdown"].replace(f"\\{mark[0]}", "")


@pytest.mark.parametrize("title", HOSTILE)
def test_a_foreign_label_does_not_leave_its_link(title: str) -> None:
    made = shown(card(link(escape(title), "https://shop.example/233?a=1&b=2"), ()))
    assert made["links"] == ["https://shop.example/233?a=1&b=2"]
    assert (made["open_ids"], made["tags"]) == ([], [])


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "lark://x", "https://a<at id=all>", "https://a\\b", "//x", ""]
)
def test_only_web_addresses_become_links(url: str) -> None:
    assert shown(card(f"[x]({url})", ()))["links"] == []
    assert "](" not in markdown(f"[x]({url})")


def test_names_and_signs_of_ours_are_read_as_they_are() -> None:
    text = "shop_api & co <5 a*b ~ [x] $1 | \\_ 100% #233"
    made = shown(card(text, ()))["markdown"].replace("\u200b", "")
    assert made.replace("\\", "") == text.replace("\\", "")


def test_a_notice_is_the_first_line_without_markup() -> None:
    assert notice("\n✅ **Merged** [shop#233](https://x) `a`\nmore") == "✅ Merged shop#233 a"
    assert notice("") == "ChatOps"
    assert len(notice("x" * 1_000)) == 150


@pytest.mark.parametrize(
    "text",
    [
        "长" * 50_000,
        "<" * 50_000,
        "\\<" * 40_000,
        "```\n" + "<log>\n" * 20_000 + "```",
        "x\n" * 40_000,
    ],
    ids=lambda text: repr(text[:4]),
)
def test_what_is_too_long_is_cut_and_stays_a_card(text: str) -> None:
    written = markdown(text)
    assert len(written.encode()) <= LONGEST_BYTES
    assert written.endswith("…")
    assert written.count("```") % 2 == 0
    many = tuple(Button("t" * 200, "长" * 200) for _ in range(40))
    assert len(shown(card(text, many))["buttons"]) == MOST_BUTTONS


@given(st.text(max_size=300))
def test_no_text_mentions_anybody_or_breaks_the_card(text: str) -> None:
    made = shown(card(text, BUTTONS))
    assert made["open_ids"] == []
    assert made["tags"] == []
    assert [one["id"] for one in made["buttons"]] == ["b1", "b2", "b3"]


@given(st.text("<>at id=ou_l/\\`*[]()&#60;\n ", max_size=80))
def test_no_mixture_of_markup_mentions_anybody(text: str) -> None:
    made = shown(card(text, ()))
    assert (made["open_ids"], made["tags"]) == ([], [])


def test_a_card_is_json_2(street: Street) -> None:
    street.platform.send(street.hear().route, Outgoing("x", buttons=BUTTONS[:1]), now=now())
    content = json.loads(answer_once(street)["raw"])
    assert content["schema"] == "2.0"
    (words, row) = content["body"]["elements"]
    assert words["tag"] == "markdown"
    button = row["columns"][0]["elements"][0]
    assert button["behaviors"] == [{"type": "callback", "value": {"button": "b1"}}]
    assert (button["type"], button["text"]["tag"]) == ("primary", "plain_text")


@pytest.fixture(autouse=True)
def nothing_refused(street: Street) -> Iterator[None]:
    yield
    street.stand.reset()
