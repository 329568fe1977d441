"""What nothing looks at any more is taken away; the record and what still counts stay."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Entry
from bot.engine.tidying import BATCH, EVERY, Tidying
from bot.runs.models import Button, Delivery, Reply, Run
from tests.platform_stand import Pagers, pagers_fixture
from tests.portal import Chat

__all__ = ["pagers_fixture"]


def test_deliveries_of_a_week_ago_are_gone_and_younger_ones_stay(chat: Chat) -> None:
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(bot=chat.bot, message_id=f"m{days}", at=now - timedelta(days=days))
        for days in (0, 6, 8, 30)
    )

    Tidying().tidy(1)

    left = Delivery.objects.order_by("-at").values_list("message_id", flat=True)
    assert list(left) == ["m0", "m6"]


def test_many_go_too(chat: Chat) -> None:
    old = timezone.now() - timedelta(days=9)
    Delivery.objects.bulk_create(
        Delivery(bot=chat.bot, message_id=f"m{n}", at=old) for n in range(BATCH + 5)
    )

    Tidying().tidy(1)

    assert not Delivery.objects.exists()


def test_buttons_go_when_they_are_good_for_nothing_and_what_they_stood_under_stays(
    pagers: Pagers,
) -> None:
    pagers.say("/pr 233")
    entries = Entry.objects.count()
    Button.objects.update(made_at=timezone.now() - timedelta(days=3))

    Tidying().tidy(1)

    assert not Button.objects.exists()
    assert (Run.objects.count(), Reply.objects.count()) == (1, 1)
    assert Entry.objects.count() == entries


@pytest.mark.django_db
def test_it_is_done_once_an_hour() -> None:
    chore, now = Tidying(), timezone.now()

    times = [list(chore.ready(now + minutes * timedelta(minutes=1))) for minutes in (0, 1, 59, 61)]

    assert times == [[1], [], [], [1]]
    assert timedelta(hours=1) == EVERY
