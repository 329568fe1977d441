"""manage.py connect BOT: keeps the bot's outgoing connection open until it is told to stop."""

import signal
from threading import Thread
from types import FrameType
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from bot.connect.keeping import Times
from bot.connect.supervise import Gone, Pauses, Supervisor
from bot.platforms import PLATFORMS
from bot.platforms.clients import kind_of
from bot.platforms.models import Bot

# What an installation has only where it is wanted: module → what pip calls it.
OPTIONAL: Final = {"lark_oapi": "lark-oapi==1.7.5"}
_LOOK_EVERY: Final = 0.1
# What is being taken at the word to stop has so long.
_LAST_SECONDS: Final = 10.0


class Command(BaseCommand):
    help = (
        "Opens the bot's connection to its platform and keeps it open, where the platform cannot"
        " reach the portal. Stops at SIGTERM, after what is being taken."
    )

    pauses = Pauses()
    times = Times()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bot", help="the bot's name")

    def handle(self, *args: Any, **options: Any) -> None:
        bot = _bot(options["bot"])
        _check_platform(bot)
        self._asked, self._gone = False, False
        supervisor = Supervisor(
            bot.pk, lambda line: self._say(f"{bot.name}: {line}"), self.pauses, self.times
        )
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)
        running = Thread(target=self._supervise, args=(supervisor,), name="connect", daemon=True)
        running.start()
        while running.is_alive() and not self._asked:
            running.join(_LOOK_EVERY)
        supervisor.stop()
        running.join(_LAST_SECONDS)
        self._check_end(bot, running)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        """Only notes it: the thread that is interrupted may hold any lock."""
        self._asked = True

    def _supervise(self, supervisor: Supervisor) -> None:
        try:
            supervisor.run()
        except Gone:
            self._gone = True

    def _check_end(self, bot: Bot, running: Thread) -> None:
        if self._gone:
            raise CommandError(_("The bot %(bot)s was deleted.") % {"bot": bot.name})
        if running.is_alive():
            raise CommandError(_("The connection did not end in time; it is cut off."))
        if not self._asked:
            raise CommandError(_("The connection is not kept any more; the log says why."))

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _bot(name: str) -> Bot:
    found = Bot.objects.filter(name__iexact=name).first()
    if found is None:
        raise CommandError(_("There is no bot %(bot)s.") % {"bot": name})
    return found


def _check_platform(bot: Bot) -> None:
    """That there is a connection to open, and what it needs is installed."""
    if bot.platform not in PLATFORMS:
        sentence = _("This portal knows no platform %(platform)s.")
        raise CommandError(sentence % {"platform": bot.platform})
    try:
        kind = kind_of(bot.platform)
        if kind.dialled:
            import_string(kind.dialled)
            return
    except ModuleNotFoundError as missing:
        raise CommandError(_missing(missing)) from None
    sentence = _("%(bot)s is a bot of %(platform)s, to which the portal opens no connection.")
    raise CommandError(sentence % {"bot": bot.name, "platform": kind.label or bot.platform})


def _missing(missing: ModuleNotFoundError) -> str:
    """What is missing and how to get it; one of our own modules is no package to install."""
    module = (missing.name or "").partition(".")[0]
    if module == "bot":
        raise missing
    wanted = OPTIONAL.get(module, "-r requirements.txt")
    sentence = _("The package %(module)s is not installed: pip install %(wanted)s")
    return sentence % {"module": module, "wanted": wanted}
