"""Access tokens: kept over restarts, encrypted, and renewed once for all who need one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from bot.platforms.base import SendFailed
from bot.platforms.models import Bot, PlatformToken
from bot.platforms.tokens import Granted, Tokens
from chatops_site.sandbox.client import Sandbox

ROOT = Path(__file__).resolve().parent.parent


class Desk:
    """Where tokens are given out, each another one."""

    def __init__(self, seconds: float = 7_200) -> None:
        self.given = 0
        self.seconds = seconds
        self.closed = False

    def __call__(self) -> Granted:
        if self.closed:
            raise SendFailed("closed", retryable=True)
        self.given += 1
        return Granted(f"token-{self.given}", self.seconds)


@pytest.fixture(name="bot")
def bot_fixture(db: None) -> Bot:
    secrets = {"app_secret": "a-secret"}
    return Bot.objects.create(name="ops", platform="dingtalk", settings={}, secrets=secrets)


def test_a_restarted_process_goes_on_with_the_token_there_is(bot: Bot) -> None:
    desk = Desk()

    first, again = Tokens(bot, desk).current(), Tokens(bot, desk).current()

    assert (first, again, desk.given) == ("token-1", "token-1", 1)


def test_what_is_stored_does_not_tell_it(bot: Bot) -> None:
    Tokens(bot, Desk()).current()

    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM bot_platformtoken")
        (stored,) = cursor.fetchone()

    assert "token-1" not in stored


def test_one_that_is_about_to_end_is_renewed(bot: Bot) -> None:
    desk = Desk()
    Tokens(bot, desk).current()
    PlatformToken.objects.update(until=timezone.now() - timedelta(seconds=1))

    assert Tokens(bot, desk).current() == "token-2"


def test_one_that_the_platform_refuses_is_renewed_and_a_newer_one_stays(bot: Bot) -> None:
    desk = Desk()
    tokens = Tokens(bot, desk)
    tokens.forget(tokens.current())
    newer = tokens.current()

    tokens.forget("token-1")

    assert (newer, tokens.current()) == ("token-2", "token-2")


def test_with_another_secret_it_is_another_token(bot: Bot) -> None:
    desk = Desk()
    Tokens(bot, desk).current()
    bot.secrets = {"app_secret": "another"}

    assert Tokens(bot, desk).current() == "token-2"


def test_who_could_not_renew_it_keeps_nobody_else_from_it(bot: Bot) -> None:
    desk = Desk()
    desk.closed = True
    with pytest.raises(SendFailed):
        Tokens(bot, desk).current()

    desk.closed = False

    assert Tokens(bot, desk).current() == "token-1"


def test_a_renewal_that_somebody_died_in_is_taken_over(bot: Bot) -> None:
    desk = Desk()
    Tokens(bot, desk).current()
    past = timezone.now() - timedelta(seconds=1)
    PlatformToken.objects.update(until=past, renewed_by=past)

    assert Tokens(bot, desk).current() == "token-2"


def test_a_bot_that_is_not_stored_yet_has_one_of_its_own() -> None:
    desk = Desk()
    tokens = Tokens(Bot(name="new", platform="dingtalk"), desk)

    assert (tokens.current(), tokens.current(), desk.given) == ("token-1", "token-1", 1)


SCRIPT = """
import sys, django
django.setup()
from bot.platforms.clients import platform_for
from bot.platforms.base import Outgoing
from bot.platforms.models import Bot
from django.utils import timezone
bot, created = Bot.objects.get_or_create(name="ops", platform="dingtalk", defaults={
    "settings": {"app_key": "dingdemokey", "robot_code": "dingdemorobot", "corp_id": "ding-demo-corp",
                 "api_base": sys.argv[1]},
    "secrets": {"app_secret": "demo-app-secret"}})
if len(sys.argv) > 2:
    route = {"conversation": "cid-release", "private": False, "staff_id": "user101"}
    platform_for(bot).send(route, Outgoing(f"from {sys.argv[2]}"), now=timezone.now())
"""


@pytest.fixture(name="environment")
def environment_fixture(tmp_path: Path, chats: Sandbox) -> dict[str, str]:
    """Of processes on a database of their own, with the bot in it."""
    url = f"sqlite:///{tmp_path}/tokens.sqlite3"
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    migrate = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
    subprocess.run(
        [sys.executable, "-c", SCRIPT, chats.chat], cwd=ROOT, env=environment, check=True
    )
    return environment


@pytest.fixture(name="chats")
def chats_fixture() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.mark.full
def test_five_processes_that_start_at_once_fetch_one_token(
    chats: Sandbox, environment: dict[str, str]
) -> None:
    chats.fault("chat", "delay", path_regex="accessToken", seconds=1, times=-1)

    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, chats.chat, str(n)], cwd=ROOT, env=environment
        )
        for n in range(5)
    ]

    assert [one.wait(60) for one in running] == [0] * 5
    assert len([one for one in chats.messages() if one["from"] == "bot"]) == 5
    fetched = [one for one in chats.journal("chat") if one["path"].endswith("/accessToken")]
    assert len(fetched) == 1
