"""The story in every chat: what people say and press there, and what they see."""

import re

import pytest

from bot.runs.models import Reply, ReplyState, Run, RunState
from tests.messenger import Messenger, messenger_fixture, platform_fixture
from tests.portal import plain

__all__ = ["messenger_fixture", "platform_fixture"]

EVIL = "@all <!channel> <at id=all></at> <@all> @所有人 [x](http://evil.example) **b** `c` \u202e"

# Where people can press without a connection of ours; where others see the button too.
PRESSED = ("feishu", "wecom", "slack")
PRESSED_IN_GROUPS = ("feishu", "slack")
# Where the bot has a token that is renewed; where replies are sent, not fetched.
WITH_TOKENS = ("dingtalk", "feishu", "wecom")
SENT_TO = ("dingtalk", "feishu", "wecom", "slack")


def test_a_change_goes_from_the_list_to_the_branch(messenger: Messenger) -> None:
    listed = messenger.text(messenger.say("/prs"))
    approved = messenger.text(messenger.say("/approve 233 shop"))
    tested = messenger.text(messenger.say("/test 233 shop"))
    merged = messenger.text(messenger.say("/合并 233 shop"))

    assert "#233" in listed
    assert "修复支付回调" in listed
    assert "Approved shop#233" in plain(approved)
    assert "Tests passed" in plain(tested)
    assert re.search(r"Merged shop#233 into master as \w{7}", plain(merged))
    assert messenger.chat.effects().count("PUT /api/v5/repos/acme/shop/pulls/233/merge") == 1


def test_what_blocks_is_listed_with_its_way_out(messenger: Messenger) -> None:
    told = plain(messenger.text(messenger.say("/merge 233 shop")))

    assert "Not merged: shop#233" in told
    assert "1 approval missing" in told
    assert "/approve 233 shop" in told


def test_who_may_not_is_told_their_account_and_whom_to_ask(messenger: Messenger) -> None:
    told = plain(messenger.text(messenger.say("/merge 233 shop", by="zhaoliu")))

    run = Run.objects.get()
    assert run.state == RunState.REFUSED
    assert f"{run.platform} {run.account}" in told.replace("\\", "")
    assert "张三" in told


def test_a_stranger_learns_their_id_and_nothing_else(messenger: Messenger) -> None:
    told = plain(messenger.text(messenger.say("/merge 233 shop", by="stranger")))

    run = Run.objects.get()
    assert run.account
    assert f"{run.platform} {run.account}" in told.replace("\\", "")
    assert "acme" not in told


def test_whoami_tells_what_an_operator_needs(messenger: Messenger) -> None:
    told = messenger.text(messenger.say("/whoami"))

    run = Run.objects.get()
    assert "张三" in told
    assert run.account in told
    assert run.tenant in told


def test_a_message_delivered_three_times_has_one_effect_and_one_answer(
    messenger: Messenger,
) -> None:
    messenger.chat.make_ready()

    messenger.say("/merge 233 shop", times=3)

    assert Run.objects.count() == 1
    assert messenger.chat.effects().count("PUT /api/v5/repos/acme/shop/pulls/233/merge") == 1
    assert len([one for one in messenger.said() if "Merged" in messenger.text(one)]) == 1


def test_one_run_is_told_in_as_few_messages_as_the_platform_lets_us(messenger: Messenger) -> None:
    messenger.only_say("/test 233 shop")
    messenger.chat.turn_until_built()
    messenger.chat.turn()
    messenger.chat.send_replies()
    messenger.carry_out()

    most = 2 if messenger.platform in ("dingtalk", "wecom") else 1
    assert 1 <= len(messenger.said()) <= most
    assert "Tests passed" in messenger.text(messenger.said()[-1])


def test_a_hostile_title_mentions_nobody_and_links_nowhere(messenger: Messenger) -> None:
    messenger.chat.sandbox.change_gitee("set_title", repository="acme/shop", number=233, title=EVIL)

    said = messenger.say("/pr 233 shop")

    told = messenger.text(said)
    assert said["mentions"] in ([], ["zhangsan"])
    assert not re.search(r"(?<!\\)\]\(http://evil", told)
    assert "<at id=all>" not in told
    assert "<!channel>" not in told
    assert "\u202e" not in told


def test_a_text_of_sixty_thousand_characters_is_answered_and_not_run(messenger: Messenger) -> None:
    messenger.say("/merge 233 " + "shop" * 15_000)

    assert Run.objects.get().state == RunState.REFUSED
    assert messenger.chat.effects() == []


def test_what_another_than_the_platform_signed_is_not_believed(messenger: Messenger) -> None:
    told = messenger.only_say("/merge 233 shop", tamper={"secret": "somebody-else-s-secret"})

    assert told["status"] == 401
    assert messenger.deliveries[-1].answer == b""
    assert not Run.objects.exists()


@pytest.mark.parametrize("platform", WITH_TOKENS)
def test_a_token_revoked_meanwhile_is_replaced_and_the_reply_arrives(
    messenger: Messenger,
) -> None:
    messenger.say("/help")
    messenger.change("revoke_token")

    messenger.say("/close 234 shop")

    assert "Closed shop#234" in plain(messenger.text(messenger.said()[-1]))
    assert not Reply.objects.exclude(state=ReplyState.SENT).exists()


@pytest.mark.parametrize("platform", PRESSED)
def test_a_pull_request_is_merged_by_pressing(messenger: Messenger) -> None:
    messenger.chat.make_ready()
    shown = messenger.say("/pr 233 shop")

    messenger.press(shown, "Merge")

    assert Run.objects.get(command="merge").state == RunState.SUCCEEDED
    assert "Merged shop#233" in plain(messenger.text(messenger.said()[-1]))


@pytest.mark.parametrize("platform", PRESSED)
def test_who_presses_second_is_told_and_nothing_happens(messenger: Messenger) -> None:
    messenger.chat.make_ready()
    shown = messenger.say("/pr 233 shop")
    messenger.press(shown, "Merge")

    messenger.press(shown, "Merge")

    assert Run.objects.filter(command="merge").count() == 1
    told = [*map(messenger.text, messenger.said()), *messenger.toasts()]
    assert any("pressed already" in text for text in told)


@pytest.mark.parametrize("platform", PRESSED_IN_GROUPS)
def test_who_may_not_press_is_refused(messenger: Messenger) -> None:
    messenger.chat.make_ready()
    shown = messenger.say("/pr 233 shop")

    messenger.press(shown, "Merge", by="zhaoliu")

    assert Run.objects.get(command="merge").state == RunState.REFUSED
    assert messenger.chat.effects() == []


@pytest.mark.parametrize("platform", SENT_TO)
def test_a_reply_that_the_platform_did_not_take_comes_later_and_once(
    messenger: Messenger,
) -> None:
    sandbox = messenger.chat.sandbox
    sandbox.fault("chat", "status", path_regex="^/(?!__control)", status=502, times=-1)
    messenger.only_say("/close 234 shop")
    messenger.chat.carry_out()
    assert messenger.said() == []

    sandbox.clear_faults()
    messenger.chat.carry_out(late=True)

    assert [plain(messenger.text(one)) for one in messenger.said()] == ["✅ Closed shop#234"]
    assert len(messenger.chat.effects()) == 1


@pytest.mark.parametrize("platform", PRESSED)
def test_a_menu_is_chosen_from_by_pressing(messenger: Messenger) -> None:
    menu = messenger.say("/deploy web", by="wangfang")

    messenger.press(menu, "2. web → staging", by="wangfang")

    assert "Deployed web" in messenger.text(messenger.said()[-1])
