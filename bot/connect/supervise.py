"""Opens a bot's outgoing connection again and again, until it is told to stop."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from django.db import Error, close_old_connections, connection
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from bot.connect.keeping import Keeper, Times, mark_of
from bot.connect.standing import Standing
from bot.connect.taking import Taking, refreshing
from bot.platforms.clients import platform_for
from bot.platforms.dialling import Dialled, Lost
from bot.platforms.models import Bot
from chatops_site.kit.redaction import redact

logger = logging.getLogger(__name__)


class Gone(Exception):
    """The bot is not there any more."""


@dataclass(frozen=True)
class Pauses:
    """Seconds between two tries: doubled with each failure, up to longest; a part of it left to chance."""

    first: float = 1.0
    longest: float = 60.0
    longest_refused: float = 300.0

    def after(self, failures: int, *, refused: bool) -> float:
        longest = self.longest_refused if refused else self.longest
        pause = min(longest, self.first * 2.0 ** min(failures - 1, 30))
        # Many processes that lost their connection at once shall not come back at once.
        return pause * random.uniform(0.75, 1.0)  # noqa: S311 - no secret


@dataclass
class Supervisor:
    """One process's connection of one bot. say gets a line when it is connected, and when it is lost."""

    bot_id: int
    say: Callable[[str], None]
    pauses: Pauses = field(default_factory=Pauses)
    times: Times = field(default_factory=Times)

    def __post_init__(self) -> None:
        self._standing = Standing()
        self._lock = Lock()
        self._stopping = False
        # Ends the round that is under way: a try and the pause after it.
        self._ended = Event()
        self._mark = ""

    def stop(self) -> None:
        """From any thread, as often as one likes; run() returns once what is being taken is finished."""
        with self._lock:
            self._stopping = True
            self._ended.set()

    def run(self) -> None:
        """Blocks until stop(), or raises Gone."""
        done = Event()
        keeper = Keeper(
            self.bot_id, self._standing, noticed=self._notice, say=self.say, times=self.times
        )
        beside = Thread(target=keeper.keep, args=(done,), name="keeper", daemon=True)
        beside.start()
        try:
            while not self._stopping:
                self._round(self._begin())
        finally:
            self._standing.stopped()
            done.set()
            beside.join()
            connection.close()

    def _begin(self) -> Event:
        with self._lock:
            self._ended = Event()
            if self._stopping:
                self._ended.set()
            return self._ended

    def _notice(self, mark: str) -> None:
        with self._lock:
            if mark != self._mark:
                self._ended.set()

    def _round(self, ended: Event) -> None:
        try:
            self._try(ended)
        except Lost as lost:
            failures = self._standing.lost(_said(lost))
            ended.wait(self.pauses.after(failures, refused=lost.refused))

    def _try(self, ended: Event) -> None:
        try:
            bot = self._bot()
            if bot.enabled:
                self._dial(bot, ended)
            else:
                self._standing.rest(_("The bot is disabled."))
                ended.wait()
        except (Lost, Gone):
            raise
        except Error as problem:
            logger.warning("bot %s: the database does not answer: %s", self.bot_id, problem)
            raise Lost(_("The database does not answer.")) from None
        except Exception as failure:
            logger.exception("bot %s: the connection failed", self.bot_id)
            name = type(failure).__name__
            raise Lost(_("An error of the portal itself: %(name)s.") % {"name": name}) from None

    def _bot(self) -> Bot:
        close_old_connections()
        bot = Bot.objects.filter(pk=self.bot_id).first()
        if bot is None:
            raise Gone
        with self._lock:
            self._mark = mark_of(bot)
        return bot

    def _dial(self, bot: Bot, ended: Event) -> None:
        """Until it is to end, or is Lost."""
        self._standing.connecting()
        platform = platform_for(bot)
        kind: type[Dialled] = import_string(platform.dialled)
        take = refreshing(Taking(bot, self._standing.took))
        kind(platform, take, self._standing).run(ended)
        if not ended.is_set():
            raise Lost(_("The connection has ended."))


def _said(lost: Lost) -> str:
    """Whatever an adapter put into its sentence: no secret is printed or stored."""
    sentence, _removed = redact(lost.sentence)
    if not lost.refused:
        return sentence
    return _("The platform refuses these credentials. %(sentence)s") % {"sentence": sentence}
