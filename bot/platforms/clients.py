"""One platform object per bot and configuration: threads share its connections and its token."""

import hashlib
import json
from functools import cache
from threading import Lock
from typing import Final

from django.utils.module_loading import import_string

from bot.platforms import PLATFORMS
from bot.platforms.base import Platform
from bot.platforms.models import Bot

CONSOLE: Final = "console"

_known: Final[dict[int, tuple[str, Platform]]] = {}
_lock: Final = Lock()


def platform_for(bot: Bot) -> Platform:
    """The bot's platform; a new one as soon as its settings or secrets are others."""
    mark = _mark(bot)
    with _lock:
        known = _known.get(bot.pk)
        if known is not None and known[0] == mark:
            return known[1]
        platform = _build(bot)
        _known[bot.pk] = mark, platform
        return platform


@cache
def kind_of(platform: str) -> type[Platform]:
    """The class of that platform, for what is the same for all its bots."""
    kind: type[Platform] = import_string(PLATFORMS[platform])
    return kind


def account_platforms() -> dict[str, str]:
    """Each platform that people speak from → the one whose accounts they have; the console has none."""
    return {name: kind_of(name).accounts_of or name for name in PLATFORMS if name != CONSOLE}


def _build(bot: Bot) -> Platform:
    return kind_of(bot.platform)(bot)


def _mark(bot: Bot) -> str:
    """A digest, so that no second copy of the secrets lies in memory."""
    told = json.dumps([bot.platform, bot.name, bot.settings, bot.secrets], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
