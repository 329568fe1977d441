"""/metrics: numbers of the database as it is, for machines, behind a token where one is set."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from audit.record import Event, Fact, record
from bot.platforms.models import Bot, Connection, ConnectionState
from bot.runs.models import Heartbeat, Reply, ReplyState, Run, RunState
from chatops_site.environment import Environment

pytestmark = pytest.mark.django_db

TOKEN = "metrics-token-of-the-tests"


def numbers(client: Client) -> dict[str, float]:
    """Each sample under its name with its labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def ago(seconds: float) -> Any:
    return timezone.now() - timedelta(seconds=seconds)


def run(state: str, *, seconds: float = 0.0) -> Run:
    at = ago(seconds)
    return Run.objects.create(
        platform="dingtalk", actor="张三", command="prs", state=state, accepted_at=at, due_at=at
    )


def reply(state: str, *, seconds: float = 0.0) -> Reply:
    at = ago(seconds)
    return Reply.objects.create(kind="final", text="x", state=state, created_at=at, due_at=at)


def test_a_fresh_portal_has_numbers_too(client: Client) -> None:
    told = numbers(client)

    assert told["chatops_runs queued"] == told["chatops_replies_waiting"] == 0
    assert told["chatops_oldest_waiting_run_seconds"] == 0
    assert told["chatops_worker_heartbeat_age_seconds"] == float("inf")
    assert told["chatops_audit_entries"] == 0


def test_it_counts_the_runs_that_are_not_finished(client: Client) -> None:
    for state in (RunState.QUEUED, RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED):
        run(state, seconds=100 if state == RunState.QUEUED else 900)

    told = numbers(client)

    assert (told["chatops_runs queued"], told["chatops_runs running"]) == (2, 1)
    assert told["chatops_runs awaiting"] == 0
    assert "chatops_runs succeeded" not in told
    assert 100 <= told["chatops_oldest_waiting_run_seconds"] < 110


def test_it_counts_the_replies_that_are_owed(client: Client) -> None:
    reply(ReplyState.WAITING, seconds=50)
    reply(ReplyState.SENDING, seconds=70)
    reply(ReplyState.SENT, seconds=900)

    told = numbers(client)

    assert told["chatops_replies_waiting"] == 2
    assert 70 <= told["chatops_oldest_waiting_reply_seconds"] < 80


def test_it_counts_the_replies_that_were_given_up(client: Client) -> None:
    with transaction.atomic():
        record(Fact(event=Event.REPLY_FAILED), Fact(event=Event.REPLY_FAILED))
        record(Fact(event=Event.REPLY_SENT))

    told = numbers(client)

    assert (told["chatops_replies_failed"], told["chatops_audit_entries"] > 0) == (2, True)


def test_it_tells_when_a_worker_was_last_alive(client: Client) -> None:
    Heartbeat.objects.create(worker="host:1", at=ago(500))
    Heartbeat.objects.create(worker="host:2", at=ago(40))

    assert 40 <= numbers(client)["chatops_worker_heartbeat_age_seconds"] < 50


def connect(bot: Bot, state: str, *, holder: str = "host:2", silent: float = 0.0) -> None:
    Connection.objects.create(
        bot=bot,
        holder=holder,
        state=state,
        since=ago(900),
        at=ago(silent),
        heard_at=ago(20 + silent),
        taken=7,
    )


def test_it_tells_which_bots_are_connected(client: Client) -> None:
    connect(Bot.objects.create(name="ops", platform="dingtalk"), ConnectionState.CONNECTED)
    connect(Bot.objects.create(name="two", platform="slack"), ConnectionState.WAITING)
    connect(Bot.objects.create(name="old", platform="slack"), ConnectionState.STOPPED)

    told = numbers(client)

    assert (told["chatops_connection_up ops"], told["chatops_connection_up two"]) == (1, 0)
    assert 20 <= told["chatops_connection_silent_seconds ops"] < 30
    assert told["chatops_messages_taken_total ops host:2"] == 7
    assert "chatops_connection_up old" not in told


def test_a_killed_connection_is_not_up(client: Client) -> None:
    bot = Bot.objects.create(name="ops", platform="dingtalk")
    connect(bot, ConnectionState.CONNECTED, silent=31)

    assert numbers(client)["chatops_connection_up ops"] == 0


def test_a_name_with_signs_breaks_no_line(client: Client) -> None:
    bot = Bot.objects.create(name='a"b\\c\nd', platform="dingtalk")
    connect(bot, ConnectionState.CONNECTED)

    assert numbers(client)['chatops_connection_up a"b\\c\nd'] == 1


@pytest.mark.parametrize(
    "shown", ["", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer 密"]
)
def test_where_a_token_is_set_nobody_reads_without_it(
    client: Client, settings: Settings, shown: str
) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", HTTP_AUTHORIZATION=shown)

    assert (answer.status_code, answer.content) == (401, b"")


def test_whoever_shows_the_token_reads(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")

    assert answer.status_code == 200


def test_the_token_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("ANOTHER_TOKEN_FILE", str(tmp_path / "token"))

    assert Environment(tmp_path).token("ANOTHER_TOKEN") == TOKEN


@pytest.mark.parametrize("wrong", ["short", "sixteen signs and blanks", "密" * 20])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("METRICS_TOKEN", wrong)

    with pytest.raises(ImproperlyConfigured, match="METRICS_TOKEN must be 16 to 200"):
        Environment(tmp_path).token("METRICS_TOKEN")


def test_it_is_read_and_never_posted_to(client: Client) -> None:
    assert client.post("/metrics").status_code == 405


def test_a_plain_request_is_not_sent_to_https(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/metrics").status_code == 200


def test_no_query_reads_a_whole_large_table(client: Client) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads small tables whole, whatever indexes there are")
    asked: list[tuple[str, Any]] = []
    with connection.execute_wrapper(lambda *told: _noted(asked, *told)):
        client.get("/metrics")
    plans = [_plan(*one) for one in asked]

    assert len(plans) >= 7
    assert not [step for plan in plans for step in plan if _is_slow(step)]


def _noted(
    asked: list[tuple[str, Any]], execute: Any, sql: str, params: Any, many: bool, context: Any
) -> Any:
    asked.append((sql, params))
    return execute(sql, params, many, context)


def _plan(sql: str, params: Any) -> list[str]:
    """With the values beside it, as it was asked: they may cost an index."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        return [str(row[3]) for row in cursor.fetchall()]


def _is_slow(step: str) -> bool:
    """reply_ready holds what waits only; the record is read by its key, from its end, for one row."""
    large = ("bot_run", "bot_reply", "audit_entry")
    short = ("SCAN audit_entry", "SCAN bot_reply USING INDEX reply_ready")
    return step.startswith("SCAN") and step.split()[1] in large and step not in short
