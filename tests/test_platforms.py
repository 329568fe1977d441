"""The console, and the platform objects that threads share."""

from datetime import UTC, datetime

import pytest
from django.utils.module_loading import import_string

from bot.platforms import PLATFORMS
from bot.platforms.base import Outgoing, Platform, Rejected, Webhook
from bot.platforms.clients import platform_for
from bot.platforms.console import Console
from bot.platforms.dingtalk.adapter import DingTalk
from bot.platforms.models import Bot


def _a_bot() -> Bot:
    return Bot(
        name="ops", platform="dingtalk", settings={"corp_id": "ding1"}, secrets={"app_secret": "s"}
    )


@pytest.mark.parametrize("path", PLATFORMS.values(), ids=PLATFORMS)
def test_every_platform_of_the_registry_is_one(path: str) -> None:
    assert issubclass(import_string(path), Platform)


def test_the_console_has_no_webhook_and_needs_no_network() -> None:
    console = Console(Bot(name="console", platform="console"))
    with pytest.raises(Rejected):
        console.receive(Webhook("POST", {}, {}, b""), now=datetime.now(UTC))
    assert console.send({}, Outgoing("text"), now=datetime.now(UTC)) == ""
    assert "manage.py say" in console.check()


@pytest.fixture
def saved() -> Bot:
    bot = _a_bot()
    bot.pk = 987_654
    return bot


def test_a_bot_keeps_its_platform_until_it_is_changed(saved: Bot) -> None:
    first = platform_for(saved)
    again = _a_bot()
    again.pk = saved.pk
    assert isinstance(first, DingTalk)
    assert platform_for(again) is first

    again.secrets = {"app_secret": "rotated"}
    second = platform_for(again)
    again.settings = {**again.settings, "corp_id": "ding2"}
    assert len({first, second, platform_for(again)}) == 3
