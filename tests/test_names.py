"""A stranger whose messages told no name: the platform is asked for it, at most three times."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from bot.engine import names
from bot.management.commands import worker
from bot.people.models import AccessRequest
from bot.platforms import PLATFORMS
from bot.platforms.base import SendFailed
from bot.platforms.models import Bot
from tests.platform_stand import TEAM, Pager, Pagers, pagers_fixture
from tests.portal import Chat

__all__ = ["pagers_fixture"]

BUSY = SendFailed("The desk is busy.", retryable=True)
GONE = SendFailed("The desk knows no such pager.", retryable=False)


class Named(Pager):
    """Tells what `answer` says, and counts how often it was asked."""

    answer: Any = ""
    asked = 0

    def name_of(self, account: str) -> str:
        type(self).asked += 1
        if isinstance(self.answer, SendFailed):
            raise self.answer
        return str(self.answer)


@pytest.fixture(name="stranger")
def stranger_fixture(pagers: Pagers, monkeypatch: pytest.MonkeyPatch) -> AccessRequest:
    """Somebody with a pager whose messages tell no name; the platform is Named."""
    monkeypatch.setitem(PLATFORMS, "named", f"{__name__}.Named")
    Bot.objects.filter(pk=pagers.bot.pk).update(platform="named")
    Named.answer, Named.asked = "", 0
    return AccessRequest.objects.create(
        bot=pagers.bot, platform="named", tenant=TEAM, external_id="pager-7"
    )


def carry_out() -> None:
    for number in names.ready(timezone.now()):
        names.ask(number)


def later(request: AccessRequest, **pause: float) -> None:
    """So much time passes."""
    passed = timedelta(**pause)
    request.refresh_from_db()
    AccessRequest.objects.filter(pk=request.pk).update(
        at=request.at - passed,
        name_asked_at=request.name_asked_at and request.name_asked_at - passed,
    )


def shown() -> str:
    return AccessRequest.objects.get().shown_name


def test_the_platform_s_name_is_shown_to_the_operator(stranger: AccessRequest) -> None:
    Named.answer = "王小明"

    carry_out()
    carry_out()

    assert (shown(), Named.asked) == ("王小明", 1)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("  Wang \n\t Xiaoming ", "Wang Xiaoming"),
        ("王\u202e小\x00明\u200b", "王小明"),
        ("x" * 5000, "x" * 100),
        ("😀\ud800明", "😀明"),
    ],
)
def test_a_name_is_one_short_line_without_what_is_not_seen(
    stranger: AccessRequest, told: str, kept: str
) -> None:
    Named.answer = told
    carry_out()
    assert shown() == kept


@pytest.mark.parametrize("answer", ["", "\u200b", GONE])
def test_what_it_does_not_tell_is_not_asked_again(stranger: AccessRequest, answer: Any) -> None:
    Named.answer = answer

    for _number in range(4):
        carry_out()
        later(stranger, minutes=10)

    assert (shown(), Named.asked) == ("", 1)


def test_a_failure_is_tried_three_times_with_pauses(stranger: AccessRequest) -> None:
    Named.answer = BUSY
    tries = []

    for pause in (0, 29, 1, 200, 68, 2, 3600):
        later(stranger, seconds=pause)
        carry_out()
        carry_out()
        tries.append(Named.asked)

    assert tries == [1, 1, 2, 2, 2, 3, 3]


def test_the_second_try_may_tell_it(stranger: AccessRequest) -> None:
    Named.answer = BUSY
    carry_out()
    Named.answer = "王小明"
    later(stranger, seconds=31)

    carry_out()

    assert shown() == "王小明"


def test_a_worker_does_it_among_its_chores(stranger: AccessRequest) -> None:
    Named.answer = "王小明"

    for chore in worker.CHORES:
        for number in chore.ready(timezone.now()):
            chore.do(number)

    assert shown() == "王小明"


def test_two_workers_ask_once(stranger: AccessRequest) -> None:
    """Both have seen it waiting; the second comes when the first has taken it."""
    Named.answer = BUSY
    seen = names.ready(timezone.now())

    for number in [*seen, *seen]:
        names.ask(number)

    assert Named.asked == 1


@pytest.mark.parametrize(
    "change",
    [{"state": "declined"}, {"state": "accepted"}, {"shown_name": "already told"}],
)
def test_only_those_who_wait_without_a_name_are_asked_for(
    stranger: AccessRequest, change: dict[str, str]
) -> None:
    AccessRequest.objects.update(**change)

    assert names.ready(timezone.now()) == []
    names.ask(stranger.pk)
    assert Named.asked == 0


@pytest.mark.parametrize("change", [{"enabled": False}, {"platform": "of an older portal"}])
def test_a_bot_that_is_off_or_unknown_is_not_asked(
    stranger: AccessRequest, change: dict[str, Any]
) -> None:
    Bot.objects.filter(pk=stranger.bot_id).update(**change)

    carry_out()

    assert Named.asked == 0


def test_dingtalk_s_messages_tell_the_name_themselves(chat: Chat) -> None:
    chat.say("/prs", by="stranger")

    assert shown() == "陌生人"
    assert names.ready(timezone.now()) == []


def test_a_dingtalk_id_is_asked_for_at_dingtalk_and_never_in_vain_for_ever(chat: Chat) -> None:
    """Whether DingTalk tells it is its adapter's; here, that the chore comes to an end with it."""
    request = AccessRequest.objects.create(
        bot=chat.bot, platform="dingtalk", tenant="ding-demo-corp", external_id="user999"
    )

    for _number in range(4):
        carry_out()
        later(request, minutes=10)

    assert shown() in ("", "陌生人")
    assert names.ready(timezone.now()) == []
