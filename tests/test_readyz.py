"""/readyz and the outgoing connections: what keeps a bot from its messages is told, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from bot.platforms.models import Bot, Connection, ConnectionState
from bot.runs.models import Heartbeat

pytestmark = pytest.mark.django_db

CONNECTED, WAITING = ConnectionState.CONNECTED, ConnectionState.WAITING
STOPPED = ConnectionState.STOPPED


@pytest.fixture(autouse=True)
def worker_fixture(db: None) -> None:
    Heartbeat.objects.create(worker="host:1", at=timezone.now())


def connection(
    bot: Bot, state: str, *, holder: str = "host:2", since: float = 0.0, silent: float = 0.0
) -> Connection:
    """since and silent: seconds ago."""
    now = timezone.now()
    at = {"since": now - timedelta(seconds=since), "at": now - timedelta(seconds=silent)}
    return Connection.objects.create(bot=bot, holder=holder, state=state, **at)


@pytest.fixture
def ops(db: None) -> Bot:
    return Bot.objects.create(name="ops", platform="dingtalk")


def readyz(client: Client) -> tuple[int, Any]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["connections"]


def test_a_portal_without_outgoing_connections_is_ready(client: Client, ops: Bot) -> None:
    assert readyz(client) == (200, True)


def test_a_connected_bot_is_ready_and_is_not_named(client: Client, ops: Bot) -> None:
    connection(ops, CONNECTED, since=9000)

    assert readyz(client) == (200, True)
    assert b"ops" not in client.get("/readyz").content


def test_a_short_time_without_a_connection_is_none_to_be_woken_for(
    client: Client, ops: Bot
) -> None:
    connection(ops, WAITING, since=100)

    assert readyz(client) == (200, True)


def test_more_than_two_minutes_without_a_connection_are_told(client: Client, ops: Bot) -> None:
    connection(ops, WAITING, since=130)

    assert readyz(client) == (503, False)


def test_one_that_died_without_a_word_is_told(client: Client, ops: Bot) -> None:
    connection(ops, CONNECTED, since=9000, silent=31)

    assert readyz(client) == (503, False)


def test_one_that_died_a_week_ago_is_still_told(client: Client, ops: Bot) -> None:
    connection(ops, CONNECTED, since=9_000_000, silent=7 * 86_400)

    assert readyz(client) == (503, False)


def test_another_process_that_is_connected_makes_up_for_one_that_died(
    client: Client, ops: Bot
) -> None:
    connection(ops, CONNECTED, since=9000, silent=500)
    connection(ops, CONNECTED, holder="host:3")

    assert readyz(client) == (200, True)


def test_one_that_was_stopped_is_not_missed(client: Client, ops: Bot) -> None:
    connection(ops, CONNECTED, since=9000, silent=5000)
    connection(ops, STOPPED, holder="host:3", since=4000, silent=4000)

    assert readyz(client) == (200, True)


def test_a_disabled_bot_needs_no_connection(client: Client, ops: Bot) -> None:
    connection(ops, WAITING, since=9000)
    Bot.objects.update(enabled=False)

    assert readyz(client) == (200, True)


def test_one_bot_is_no_excuse_for_another(client: Client, ops: Bot) -> None:
    connection(ops, CONNECTED)
    connection(Bot.objects.create(name="two", platform="slack"), WAITING, since=130)

    assert readyz(client) == (503, False)
