"""Replies: harmless whatever they quote, sent until they arrive, and never a reason to act twice."""

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Entry
from bot import replies
from bot.engine import announce
from bot.people.models import Account, Person
from bot.platforms.models import Bot
from bot.runs.models import Reply, ReplyState, Run
from bot.wording import LONGEST_REPLY, block, code, cut, duration, escape, link, listed, sentences
from tests.portal import Chat, Post, last_run

EVIL = "@all @所有人 ＠all <!channel> [x](javascript:1) `a` **b** \u202ec\u2066 \x1b[2J\u200b"


def the_reply() -> Reply:
    return Reply.objects.latest("pk")


def wait_no_longer() -> None:
    Reply.objects.update(due_at=timezone.now())


@pytest.mark.parametrize("text", ["/prs web", "/pr 12 web"])
def test_a_hostile_title_is_shown_and_does_nothing(chat: Chat, text: str) -> None:
    chat.sandbox.change_gitee("set_title", repository="acme/web", number=12, title=EVIL)

    answer = chat.say(text, by="wangfang")

    assert "@\u200ball @\u200b所有人 @\u200ball" in answer
    assert r"\<!channel\> \[x\](javascript:1) \`a\` \*\*b\*\* c \[2J" in answer
    assert not {"\u202e", "\u2066", "\x1b"} & set(answer)


def test_only_who_asked_is_mentioned_and_never_everybody(chat: Chat) -> None:
    chat.say("/prs web", by="wangfang")

    said = [one for one in chat.sandbox.messages() if one["from"] == "bot"]

    assert [(one["at_user_ids"], one["at_all"]) for one in said] == [(["user103"], False)]


def test_what_a_person_typed_is_not_markup_either(chat: Chat) -> None:
    answer = chat.say("/deploy @all[x](http://evil)")
    assert "@all" not in answer
    assert "](http" not in answer


def test_a_secret_in_a_title_does_not_get_into_the_chat(chat: Chat) -> None:
    title = "rotate glpat-abcdefghij1234567890"
    chat.sandbox.change_gitee("set_title", repository="acme/shop", number=233, title=title)
    assert "rotate [redacted]" in chat.say("/pr 233")


def test_a_long_log_is_cut_to_what_a_message_holds(chat: Chat) -> None:
    lines = [f"{number} ```{'x' * 400}" for number in range(60)]
    chat.sandbox.change_jenkins("set_job", path="team/shop-test", log=lines, result="FAILURE")

    answer = chat.say("/test 233")

    assert len(answer) <= LONGEST_REPLY
    assert answer.count("```") == 2
    assert answer.endswith("\n```\n…")


def test_a_reply_that_fails_is_sent_again_later_and_the_effect_is_not_repeated(chat: Chat) -> None:
    chat.sandbox.fault("chat", "status", path_regex="robot", status=500, times=-1)
    assert chat.say("/close 233") == ""
    waiting = the_reply()
    assert (waiting.state, waiting.attempts) == (ReplyState.WAITING, 1)
    assert waiting.due_at > timezone.now()

    chat.sandbox.clear_faults()
    wait_no_longer()
    chat.carry_out()

    assert chat.heard() == ["✅ Closed shop#233"]
    assert len(chat.effects()) == 1


def test_a_reply_is_given_up_after_a_day(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    chat.sandbox.fault("chat", "status", path_regex="robot", status=500, times=-1)
    chat.say("/close 233")
    Reply.objects.update(created_at=timezone.now() - timedelta(hours=25))
    wait_no_longer()

    with caplog.at_level(logging.WARNING):
        chat.send_replies()

    assert the_reply().state == ReplyState.FAILED
    entry = Entry.objects.get(event="reply.failed")
    assert (entry.run, entry.detail) == (
        last_run().pk,
        "DingTalk answered 500; it may work again soon.",
    )
    assert f"of run {last_run().pk} was not delivered" in caplog.text


def test_what_can_never_arrive_is_not_tried_again(chat: Chat) -> None:
    person = last_person()
    Account.objects.create(
        person=person, platform="dingtalk", tenant="ding-demo-corp", external_id="user777"
    )
    chat.send("/help", conversationType="1", senderStaffId="user777")
    chat.carry_out()

    assert the_reply().state == ReplyState.FAILED
    assert the_reply().error == "DingTalk does not know the receiver."


def last_person() -> Person:
    return Account.objects.select_related("person").earliest("pk").person


def test_an_operator_can_have_it_sent_again(chat: Chat) -> None:
    chat.say("/close 233")

    replies.send_again(the_reply())
    chat.send_replies()

    assert chat.heard() == ["✅ Closed shop#233"] * 2
    assert len(chat.effects()) == 1


def test_a_sender_that_died_loses_no_reply(chat: Chat) -> None:
    chat.only_say("/help")
    chat.turn()
    Reply.objects.update(
        state=ReplyState.SENDING, lease_until=timezone.now() + timedelta(seconds=30)
    )
    chat.send_replies()
    assert chat.heard() == []

    Reply.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    chat.send_replies()

    assert len(chat.heard()) == 1


@pytest.mark.parametrize("expires", [0, 4_000_000_000_000])
def test_a_foreign_session_webhook_is_never_called(chat: Chat, post: Post, expires: int) -> None:
    post.packets.clear()
    trap = f"{post.origin}/robot/sendBySession?session=x"

    chat.send("/help", sessionWebhook=trap, sessionWebhookExpiredTime=expires)
    chat.carry_out()

    assert post.packets == []
    assert len(chat.heard(where="cid-release")) == 1


def test_a_private_question_is_answered_in_private(chat: Chat) -> None:
    chat.say("/help", where="private")
    assert len(chat.heard(where="cid-private-zhangsan")) == 1
    assert chat.heard(where="cid-release") == []


def test_when_the_session_has_ended_the_answer_goes_by_the_api(chat: Chat) -> None:
    chat.only_say("/help")
    chat.sandbox.change_chat("end_sessions")
    chat.carry_out()
    assert len(chat.heard(where="cid-release")) == 1


def test_a_run_that_takes_a_while_says_so_once(chat: Chat) -> None:
    run = chat.only_say("/merge 233")
    assert run is not None
    for _look in range(2):
        announce.announce(timezone.now() + timedelta(seconds=3))
    Reply.objects.update(due_at=timezone.now())
    chat.send_replies()

    assert chat.heard() == [f"⏳ `/merge 233` · run {run.pk}"]


def test_a_run_that_waits_for_another_says_for_which(chat: Chat) -> None:
    first = chat.only_say("/deploy myservice")
    assert first is not None
    Run.objects.update(lease_until=timezone.now() + timedelta(seconds=30), state="running")
    second = chat.only_say("/deploy myservice v1.4.2", by="wangfang")
    announce.announce(timezone.now() + timedelta(seconds=3))

    assert Reply.objects.get(run=second).text.endswith(
        f"Waiting for run {first.pk} by 张三: `/deploy myservice`"
    )


def test_a_result_replaces_what_was_not_said_yet(chat: Chat) -> None:
    chat.only_say("/close 233")
    announce.announce(timezone.now() + timedelta(seconds=3))

    chat.carry_out()

    assert chat.heard() == ["✅ Closed shop#233"]
    assert Reply.objects.filter(state=ReplyState.SUPERSEDED).count() == 1


def test_a_reply_is_in_the_language_of_its_bot_and_stays_so(chat: Chat) -> None:
    chat.only_say("/close 233")
    Bot.objects.update(language="zh-hans")
    chat.carry_out()
    assert chat.heard() == ["✅ Closed shop#233"]
    assert chat.say("/reopen 233") == "✅ 已重新打开 shop#233"


def test_the_title_is_the_first_line_for_a_phone(chat: Chat) -> None:
    chat.say("/merge 235")
    said = [one for one in chat.sandbox.messages() if one["from"] == "bot"]
    assert said[-1]["title"] == "⛔ Not merged: shop#235"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.4, "59 s"),
        (192, "3 min 12 s"),
        (3_600, "1 h 0 min"),
        (7_325, "2 h 2 min"),
    ],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand more", "two lines and more"),
        ("# head", r"\# head"),
        ("- list", r"\- list"),
        ("a|b~c", r"a\|b\~c"),
        ("x" * 81, "x" * 79 + "…"),
        ("\u200b\u202e", ""),
    ],
)
def test_foreign_text_is_one_harmless_line(foreign: str, shown: str) -> None:
    assert escape(foreign) == shown


def test_pieces_cannot_be_left_from_inside() -> None:
    assert code("a`b\u202ec") == "`abc`"
    assert block(["x```y"]) == "```\nx'''y\n```"
    assert link("name", "javascript:alert(1)") == "name"
    assert link("name", "https://a.b/c)d") == "name"
    assert link("name", "https://a.b/c?d=1") == "[name](https://a.b/c?d=1)"


def test_a_cut_text_ends_at_a_line_and_closes_its_block() -> None:
    text = "head\n```\n" + "\n".join("x" * 99 for _ in range(50))
    assert len(cut(text)) <= LONGEST_REPLY
    assert cut(text).endswith("x\n```\n…")
    assert cut("short") == "short"


def test_sentences_and_names_in_a_row() -> None:
    assert sentences("One.", "Two.") == "One. Two."
    assert sentences("", "Two.") == "Two."
    assert listed(["a", "b"]) == "a, b"
