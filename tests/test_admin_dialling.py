"""A bot's outgoing connection on its page and in the list: how it is, or how to start one."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from bot.platforms.models import Bot, Connection, ConnectionState

pytestmark = pytest.mark.django_db


@pytest.fixture
def ops(db: None) -> Bot:
    return Bot.objects.create(name="ops", platform="dingtalk", language="en")


def connect(bot: Bot, state: str, *, silent: float = 0.0, problem: str = "") -> None:
    now = timezone.now()
    Connection.objects.create(
        bot=bot,
        holder="host:17",
        state=state,
        since=now - timedelta(minutes=9),
        at=now - timedelta(seconds=silent),
        problem=problem,
    )


def page(client: Client, bot: Bot) -> str:
    return client.get(f"/admin/bot/bot/{bot.pk}/change/").content.decode()


def test_it_says_how_to_start_one(admin_client: Client, ops: Bot) -> None:
    shown = page(admin_client, ops)

    assert "manage.py connect ops" in shown
    assert "Either way works" in shown


def test_it_says_how_each_process_stands(admin_client: Client, ops: Bot) -> None:
    connect(ops, ConnectionState.WAITING, problem="The <mast> hung up.")
    shown = page(admin_client, ops)

    assert "waiting before the next try</span>" in shown
    assert "process host:17; changed <time" in shown
    assert "9\xa0minutes ago" in shown
    assert "taken: 0. The &lt;mast&gt; hung up." in shown


def test_one_that_died_is_called_gone(admin_client: Client, ops: Bot) -> None:
    connect(ops, ConnectionState.CONNECTED, silent=31)

    assert "gone</span>" in page(admin_client, ops)
    assert "gone</span>" in admin_client.get("/admin/bot/bot/").content.decode()


def test_the_list_shows_who_is_connected_in_the_same_number_of_queries(
    admin_client: Client, ops: Bot, django_assert_max_num_queries: object
) -> None:
    for number in range(5):
        connect(Bot.objects.create(name=f"b{number}", platform="slack"), ConnectionState.CONNECTED)

    with django_assert_max_num_queries(12):  # type: ignore[operator]
        shown = admin_client.get("/admin/bot/bot/").content.decode()

    assert shown.count("connected</span>") == 5


def test_where_there_is_none_to_open_nothing_is_said_of_it(admin_client: Client) -> None:
    notes = Bot.objects.create(name="notes", platform="comments")

    assert "manage.py connect" not in page(admin_client, notes)
    assert "Either way works" not in page(admin_client, notes)
