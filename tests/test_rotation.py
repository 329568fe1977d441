"""manage.py rotate_secrets: a new first key for every stored secret, while others write."""

from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from audit.models import Entry, Event
from bot.models import Bot
from chatops_site import rotation
from repos.models import Forge, JenkinsServer

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture(name="stored")
def stored_fixture(settings: Settings) -> Settings:
    """Four secrets under the old key; then a new key stands first."""
    settings.ENCRYPTION_KEYS = [OLD]
    Forge.objects.create(name="gitee", token="t1", webhook_secret="t2")
    Forge.objects.create(name="without")
    JenkinsServer.objects.create(name="main", username="bot", token="t3")
    Bot.objects.create(name="ops", platform="dingtalk", secrets={"app_secret": "t4"})
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    return settings


def rotate() -> str:
    said = StringIO()
    call_command("rotate_secrets", stdout=said)
    return said.getvalue()


def raw(table: str, column: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} ORDER BY id LIMIT 1")  # noqa: S608 (ours)
        return str(cursor.fetchone()[0])


def test_afterwards_the_old_key_is_needed_no_more(stored: Settings) -> None:
    rotate()

    stored.ENCRYPTION_KEYS = [NEW]
    forge = Forge.objects.get(name="gitee")
    assert (forge.token, forge.webhook_secret) == ("t1", "t2")
    assert JenkinsServer.objects.get().token == "t3"
    assert Bot.objects.get().secrets == {"app_secret": "t4"}


def test_it_counts_what_it_did_column_by_column(stored: Settings) -> None:
    said = rotate()

    assert "repos.forge.token: 1\n" in said
    assert "repos.forge.webhook_secret: 1\n" in said
    assert "bot.bot.secrets: 1\n" in said
    assert "4 values are encrypted with the first key; the other keys may go." in said


def test_it_is_on_record_without_the_values(stored: Settings) -> None:
    rotate()

    entries = Entry.objects.filter(event=Event.SECRET_ROTATED)
    assert {entry.target for entry in entries} == {
        "repos.forge.token",
        "repos.forge.webhook_secret",
        "repos.jenkinsserver.token",
        "bot.bot.secrets",
    }
    assert all(entry.external == {"values": 1} for entry in entries)


def test_what_is_empty_stays_empty(stored: Settings) -> None:
    rotate()

    assert Forge.objects.get(name="without").token == ""


def test_a_value_that_no_key_opens_is_named_and_the_others_go_on(stored: Settings) -> None:
    stored.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    Forge.objects.create(name="lost", token="t5")
    stored.ENCRYPTION_KEYS = [NEW, OLD]

    with pytest.raises(CommandError, match=r"opens these values.*\n  forge lost, token\n"):
        rotate()

    stored.ENCRYPTION_KEYS = [NEW]
    assert Forge.objects.get(name="gitee").token == "t1"


def test_a_bot_whose_secrets_no_key_opens_is_named_too(stored: Settings) -> None:
    stored.ENCRYPTION_KEYS = [NEW]

    with pytest.raises(CommandError, match="bot ops, secrets"):
        rotate()


def test_a_secret_that_is_changed_meanwhile_is_not_put_back(stored: Settings) -> None:
    old = raw("repos_forge", "token")
    forge = Forge.objects.get(name="gitee")
    forge.token = "typed just now"
    forge.save()

    assert not rotation.replace_token(Forge, "token", forge.pk, old, "gAAAA-of-the-old-value")
    assert Forge.objects.get(name="gitee").token == "typed just now"


def test_more_rows_than_a_batch_are_all_rotated(stored: Settings) -> None:
    stored.ENCRYPTION_KEYS = [OLD]
    for number in range(rotation.BATCH + 5):
        Forge.objects.create(name=f"f{number}", token="t")
    stored.ENCRYPTION_KEYS = [NEW, OLD]

    assert f"repos.forge.token: {rotation.BATCH + 6}\n" in rotate()


def test_every_encrypted_column_there_is_takes_part() -> None:
    names = {
        f"{model._meta.label_lower}.{column}" for model, column in rotation.encrypted_columns()
    }

    assert names == {
        "repos.forge.token",
        "repos.forge.webhook_secret",
        "repos.jenkinsserver.token",
        "bot.bot.secrets",
        "bot.platformtoken.value",
    }
