"""manage.py worker: carries out runs and sends replies until it is told to stop."""

import logging
import signal
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from bot.engine import names
from bot.engine.tidying import Tidying
from bot.engine.worker import Chore, Worker
from bot.hooks import take

logger = logging.getLogger(__name__)

_TIDYING: Final = Tidying()
CHORES: Final = (
    Chore(take.ready, take.take),
    Chore(names.ready, names.ask),
    Chore(_TIDYING.ready, _TIDYING.tidy),
)


class Command(BaseCommand):
    help = "Carries out runs and sends replies. Stops at SIGTERM, after what is under way."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--threads",
            type=int,
            default=settings.WORKER_THREADS,
            help="how many runs at once (WORKER_THREADS, %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        worker = Worker(threads=max(1, options["threads"]), chores=CHORES)

        def stop(number: int, frame: FrameType | None) -> None:
            worker.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.stdout.write(f"worker ready, {max(1, options['threads'])} threads")
        self.stdout.flush()
        worker.work()
        self.stdout.write("worker stopped")
