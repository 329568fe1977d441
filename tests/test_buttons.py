"""Buttons: whoever presses is asked for their own rights, and what changes something is taken once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Entry
from bot.dispatch import accept
from bot.people.models import Grant
from bot.platforms.base import IncomingMessage, Outgoing, Sender
from bot.runs.buttons import AlreadyTaken
from bot.runs.models import Button, Reply, Run, RunState
from tests.platform_stand import TEAM, Pagers, pagers_fixture

__all__ = ["pagers_fixture"]


def labels(message: Outgoing) -> list[str]:
    return [one.label for one in message.buttons]


def merge_button(pagers: Pagers) -> str:
    """Of a pull request that is ready."""
    pagers.chat.make_ready()
    pagers.say("/pr 233")
    return pagers.newest.button("Merge")


def test_a_pull_request_can_be_approved_tested_and_merged_by_pressing(pagers: Pagers) -> None:
    pagers.say("/pr 233")
    shown = pagers.newest

    for label in labels(shown.message):
        pagers.press(shown.button(label))

    assert labels(shown.message) == ["Approve", "Test", "Merge"]
    assert [one.command for one in Run.objects.order_by("pk")] == ["pr", "approve", "test", "merge"]
    assert pagers.newest.text.startswith("✅ Merged shop#233")


def test_the_button_tells_the_platform_nothing_but_an_id(pagers: Pagers) -> None:
    token = merge_button(pagers)

    assert len(token) >= 32
    assert "233" not in token
    assert Button.objects.get(token=token).line == "/merge 233 shop"


def test_a_second_press_is_told_who_was_first_and_does_nothing(pagers: Pagers) -> None:
    token = merge_button(pagers)
    pagers.press(token)
    effects = pagers.chat.effects()

    pagers.press(token, by="wangfang")

    merge = Run.objects.get(command="merge")
    assert pagers.newest.text == f"⛔ Merge was pressed already, by 张三: run {merge.pk}."
    assert pagers.chat.effects() == effects


def test_the_same_press_delivered_again_says_nothing_more(pagers: Pagers) -> None:
    token = merge_button(pagers)
    pagers.press(token, number="press-1")
    shown = len(pagers.shown)

    assert pagers.press(token, number="press-1").status_code == 200

    assert Run.objects.filter(command="merge").count() == 1
    assert len(pagers.shown) == shown


def test_who_may_not_is_refused_and_leaves_the_button_to_others(pagers: Pagers) -> None:
    token = merge_button(pagers)

    pagers.press(token, by="zhaoliu")
    refused = pagers.newest.text
    pagers.press(token, by="zhangsan")

    assert refused.startswith("⛔ You may not `/merge 233 shop`")
    assert pagers.newest.text.startswith("✅ Merged shop#233")


def test_a_stranger_who_presses_is_told_their_account(pagers: Pagers) -> None:
    token = merge_button(pagers)

    pagers.press(token, by="nobody")

    assert "pager pager-nobody" in pagers.newest.text
    assert not Run.objects.exclude(state=RunState.REFUSED).filter(command="merge").exists()


def test_of_two_who_press_in_the_same_moment_one_is_accepted(pagers: Pagers) -> None:
    token = merge_button(pagers)
    seen = Button.objects.get(token=token)
    pagers.press(token)

    with pytest.raises(AlreadyTaken):
        accept(pagers.bot, a_message("/merge 233 shop"), button=seen)

    assert Run.objects.filter(command="merge").count() == 1


def a_message(text: str) -> IncomingMessage:
    """As a press of 王芳 becomes one, while somebody else's is written down."""
    return IncomingMessage(
        platform="pager",
        message_id="press-of-the-other",
        sender=Sender(TEAM, "pager-wangfang", "wangfang"),
        conversation="room",
        conversation_name="room",
        private=False,
        text=text,
        sent_at=timezone.now(),
    )


def test_a_right_that_was_taken_away_since_does_not_count(pagers: Pagers) -> None:
    token = merge_button(pagers)
    Grant.objects.all().delete()

    pagers.press(token)

    assert pagers.newest.text.startswith("⛔")
    assert Run.objects.latest("pk").state == RunState.REFUSED


def test_it_merges_the_head_that_was_shown_or_nothing(pagers: Pagers) -> None:
    token = merge_button(pagers)
    pagers.chat.sandbox.push("acme/shop", 233)
    pagers.chat.make_ready()
    before = pagers.chat.effects()

    pagers.press(token)

    assert "moved from" in pagers.newest.text
    assert pagers.chat.effects() == before


@pytest.mark.parametrize("label", ["Approve", "Test"])
def test_nor_is_another_head_approved_or_tested(pagers: Pagers, label: str) -> None:
    pagers.say("/pr 233")
    token = pagers.newest.button(label)
    pagers.chat.sandbox.push("acme/shop", 233)
    before = pagers.chat.effects()

    pagers.press(token)

    assert "has moved from" in pagers.newest.text
    assert pagers.chat.effects() == before


def test_a_button_of_yesterday_says_what_to_type(pagers: Pagers) -> None:
    token = merge_button(pagers)
    Button.objects.update(made_at=timezone.now() - timedelta(hours=25))

    pagers.press(token)

    assert pagers.newest.text == (
        "⛔ This button is older than a day. Type what you want: `/merge 233 shop`"
    )


def test_a_button_of_another_conversation_does_nothing(pagers: Pagers) -> None:
    token = merge_button(pagers)

    pagers.press(token, where="another-room")

    assert pagers.newest.text == "⛔ This button belongs to another conversation."
    assert not Run.objects.filter(command="merge").exists()


def test_a_made_up_button_does_nothing(pagers: Pagers) -> None:
    pagers.press("a" * 32)

    assert pagers.newest.text == "⛔ This button is not known any more."
    assert Entry.objects.get(reason="button_unknown").account == "pager-zhangsan"


def test_pressing_a_dead_button_on_and_on_is_answered_once_a_minute(pagers: Pagers) -> None:
    for _press in range(5):
        pagers.press("a" * 32)

    assert len(pagers.shown) == 1
    assert Entry.objects.filter(reason="button_unknown").count() == 5


def test_another_bot_s_button_is_unknown_here(pagers: Pagers) -> None:
    token = merge_button(pagers)
    Button.objects.update(bot=pagers.chat.bot)

    pagers.press(token)

    assert pagers.newest.text == "⛔ This button is not known any more."


def test_what_is_under_way_can_be_cancelled_by_pressing(pagers: Pagers) -> None:
    pagers.chat.sandbox.set_speed(1)
    pagers.only_say("/test 233")
    pagers.chat.turn_until_built()
    pagers.chat.turn()
    pagers.chat.send_replies()

    pagers.press(pagers.newest.button("Cancel"))

    assert Run.objects.get(command="test").state == RunState.CANCELLED


def test_a_failed_build_can_be_repeated_and_its_log_shown(pagers: Pagers) -> None:
    pagers.chat.sandbox.change_jenkins(
        "set_job", path="team/shop-test", log=["it broke"], result="FAILURE"
    )
    pagers.say("/test 233")
    failed = pagers.newest

    pagers.press(failed.button("Show log"))
    log = pagers.newest.text
    pagers.press(failed.button("Show log"))
    pagers.press(failed.button("Try again"))

    assert labels(failed.message) == ["Try again", "Show log"]
    assert "it broke" in log
    assert Run.objects.filter(command="log", state=RunState.SUCCEEDED).count() == 2
    assert Run.objects.filter(command="test").count() == 2


def test_a_menu_s_lines_can_be_pressed(pagers: Pagers) -> None:
    pagers.say("/deploy web", by="wangfang")
    menu = pagers.newest

    pagers.press(menu.message.buttons[1].token, by="wangfang")

    assert "1. `/deploy web to production`" in menu.text
    assert labels(menu.message) == ["1. web → production", "2. web → staging"]
    assert "Deployed web" in pagers.newest.text
    assert "to staging" in pagers.newest.text


def test_a_reply_that_is_tried_again_carries_the_same_buttons(pagers: Pagers) -> None:
    pagers.say("/pr 233")
    first = [one.token for one in pagers.newest.message.buttons]
    Reply.objects.update(state="waiting", due_at=timezone.now())

    pagers.chat.send_replies()

    assert [one.token for one in pagers.newest.message.buttons] == first


def test_the_record_tells_that_it_was_pressed_and_by_whom(pagers: Pagers) -> None:
    pagers.press(merge_button(pagers), by="wangfang")

    asked = Entry.objects.get(event="command.received", command="merge")

    assert (asked.text, asked.person) == ("/merge 233 shop", "王芳")
    assert asked.external == {"button": "Merge"}
