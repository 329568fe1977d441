"""Sending: in the platform's pace, through its failures, every reply once and in order."""

from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from bot import replies, sending
from bot.platforms.base import SendFailed
from bot.runs.models import Reply, ReplyState, Run
from tests.platform_stand import Pager, Pagers, pagers_fixture

__all__ = ["pagers_fixture"]


def owe(pagers: Pagers, text: str, *, where: str = "room") -> Reply:
    return replies.owe_without_run(
        pagers.bot,
        text,
        route={"where": where},
        place=where,
        answers="",
        now=timezone.now(),
    )


def owe_many(pagers: Pagers, count: int) -> None:
    for number in range(count):
        owe(pagers, f"result {number}")


def send_due() -> None:
    for number in sending.ready(timezone.now(), limit=1_000):
        sending.send(number)


def let_pass(seconds: float) -> None:
    """What was is so much longer ago, and what is due comes so much sooner."""
    past = timedelta(seconds=seconds)
    Reply.objects.update(due_at=F("due_at") - past, created_at=F("created_at") - past)
    Reply.objects.exclude(tried_at=None).update(tried_at=F("tried_at") - past)


def texts(pagers: Pagers) -> list[str]:
    return [one.text for one in pagers.shown]


def test_a_hundred_results_in_a_minute_keep_to_twenty_a_minute_and_none_is_lost(
    pagers: Pagers,
) -> None:
    owe_many(pagers, 100)

    sent = []
    for _minute in range(6):
        send_due()
        send_due()
        sent.append(len(pagers.shown))
        let_pass(60.1)

    assert sent == [20, 40, 60, 80, 100, 100]
    assert texts(pagers) == [f"result {number}" for number in range(100)]


def test_progress_leaves_half_of_the_pace_to_results(pagers: Pagers) -> None:
    for number in range(15):
        owe(pagers, f"progress {number}")
    Reply.objects.update(kind=Reply.Kind.PROGRESS)
    send_due()
    owe(pagers, "result")

    send_due()

    assert texts(pagers)[-1] == "result"
    assert len(pagers.shown) == 11


def test_a_result_takes_the_place_of_progress_that_still_waits(pagers: Pagers) -> None:
    pagers.only_say("/close 234")
    run = Run.objects.get()
    for text in ("one", "two", "three"):
        replies.owe(run, Reply.Kind.PROGRESS, text, now=timezone.now())
    pagers.chat.carry_out()

    assert texts(pagers) == ["✅ Closed shop#234"]
    assert Reply.objects.filter(state=ReplyState.SUPERSEDED).count() == 3


def test_a_result_does_not_overtake_progress_that_is_on_its_way(pagers: Pagers) -> None:
    pagers.only_say("/close 234")
    progress = replies.owe(Run.objects.get(), Reply.Kind.PROGRESS, "⏳", now=timezone.now())
    Reply.objects.filter(pk=progress.pk).update(
        state=ReplyState.SENDING, lease_until=timezone.now() + timedelta(seconds=30)
    )

    pagers.chat.carry_out()

    assert pagers.shown == []
    assert Reply.objects.get(kind=Reply.Kind.FINAL).state == ReplyState.WAITING


def test_an_hour_without_the_platform_loses_none_of_a_hundred_results(pagers: Pagers) -> None:
    Pager.trouble = SendFailed("The pagers answered 502.", retryable=True)
    owe_many(pagers, 100)
    for _minute in range(60):
        send_due()
        let_pass(60)
    asked = Pager.tries

    Pager.trouble = None
    for _minute in range(8):
        let_pass(61)
        send_due()

    assert asked < 1_000
    assert sorted(texts(pagers)) == sorted(f"result {number}" for number in range(100))


def test_after_a_failure_the_others_wait_instead_of_failing_too(pagers: Pagers) -> None:
    Pager.trouble = SendFailed("The pagers answered 502.", retryable=True)
    owe_many(pagers, 10)

    send_due()

    assert Pager.tries == 1
    assert Reply.objects.filter(attempts=0, due_at__gt=timezone.now()).count() == 9


def test_a_limit_holds_all_for_as_long_as_the_platform_asks(pagers: Pagers) -> None:
    Pager.trouble = SendFailed("Too many.", retryable=True, retry_after=30)
    owe_many(pagers, 3)
    send_due()

    Pager.trouble = None
    let_pass(29)
    send_due()
    early = len(pagers.shown)
    let_pass(2)
    send_due()

    assert (early, len(pagers.shown)) == (0, 3)


def test_the_first_that_gets_through_again_brings_the_others_along(pagers: Pagers) -> None:
    owe_many(pagers, 3)
    Reply.objects.update(attempts=5, due_at=timezone.now() + timedelta(minutes=2))
    first = Reply.objects.earliest("pk")
    Reply.objects.filter(pk=first.pk).update(due_at=timezone.now())

    send_due()
    send_due()

    assert len(pagers.shown) == 3


def test_another_bot_is_not_held_by_a_platform_in_trouble(pagers: Pagers) -> None:
    Pager.trouble = SendFailed("The pagers answered 502.", retryable=True)
    owe_many(pagers, 5)

    answer = pagers.chat.say("/close 234")

    assert answer == "✅ Closed shop#234"


def test_a_reply_keeps_its_key_and_a_restored_database_gives_it_to_no_other(
    pagers: Pagers,
) -> None:
    first = owe(pagers, "first")
    send_due()
    replies.send_again(first)
    send_due()
    keys = [one.message.key for one in pagers.shown]
    number = first.pk
    first.delete()
    another = owe(pagers, "another")
    Reply.objects.filter(pk=another.pk).update(id=number)
    send_due()

    assert keys[0] == keys[1]
    assert pagers.newest.text == "another"
    assert pagers.newest.message.key not in keys
