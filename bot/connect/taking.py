"""Takes what comes over a connection: on disk before it returns, so that it may be acknowledged after."""

import logging
from collections.abc import Callable
from typing import Final

from django.db import Error, close_old_connections, transaction

from audit.record import Event, Fact, record
from bot import dispatch, pressing
from bot.platforms.base import Ignored, IncomingMessage, Parsed, Press, Rejected, Said
from bot.platforms.models import Bot
from bot.sampling import Sampler

logger = logging.getLogger(__name__)

# As for webhooks: counted all, and written down a few a minute.
rejections: Final = Sampler(per_minute=30)


class Taking:
    """A Take for one bot. What cannot be written down raises, and is not to be acknowledged.

    A Rejected may be given to it as well: it is noted, and the connection goes on.
    """

    def __init__(self, bot: Bot, took: Callable[[], None]) -> None:
        self._bot = bot
        self._took = took

    def __call__(self, parsed: Parsed | Rejected) -> Said:
        if isinstance(parsed, Rejected):
            self._note(parsed)
            return Said()
        if isinstance(parsed, Ignored):
            dispatch.ignore(self._bot, parsed)
            return Said()
        if isinstance(parsed, Press):
            said = pressing.press(self._bot, parsed).said
            self._took()
            return Said(said, final=True)
        if not isinstance(parsed, IncomingMessage):
            raise TypeError(f"{type(parsed).__name__} does not come over a connection.")
        dispatch.accept(self._bot, parsed)
        self._took()
        return Said()

    def _note(self, rejected: Rejected) -> None:
        count = rejections.count(f"{self._bot.name}:{rejected.reason}")
        if count is None:
            return
        try:
            with transaction.atomic():
                record(_rejected(self._bot, rejected.reason, count))
        except Error as problem:
            logger.error("a rejected message could not be written down: %s", problem)


def refreshing(take: Taking) -> Callable[[Parsed | Rejected], Said]:
    """The same, from any thread at any time: never over a database connection that has gone stale."""

    def taken(parsed: Parsed | Rejected) -> Said:
        close_old_connections()
        try:
            return take(parsed)
        finally:
            close_old_connections()

    return taken


def _rejected(bot: Bot, reason: str, count: int) -> Fact:
    return Fact(
        event=Event.WEBHOOK_REJECTED,
        actor_kind="chat",
        bot=bot.name,
        platform=bot.platform,
        reason=reason,
        outcome="refused",
        external={"count": count, "by": "connection"},
    )
