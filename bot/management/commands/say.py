"""manage.py say "/merge 233" --as zhangsan: the console as a chat platform, with progress for long runs."""

import getpass
import sys
import time
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from bot import dispatch
from bot.engine.carry import carry
from bot.platforms.base import IncomingMessage, Sender
from bot.runs.models import Reply, Run, RunState

LOOK_EVERY = 0.2
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Command(BaseCommand):
    help = "Says a command to the bot, as chat would, and prints what it answers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("text", help='the message, such as "/merge 233"')
        parser.add_argument(
            "--as", dest="username", default=getpass.getuser(), help="a person's user name"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        accepted = dispatch.accept(None, self._message(options["text"], options["username"]))
        if accepted.run is None:
            raise CommandError("That is no command. Try: manage.py say /help", returncode=1)
        try:
            run = self._follow(accepted.run)
        except KeyboardInterrupt:
            raise CommandError(
                f"Not waiting any longer; run {accepted.run.pk} goes on if a worker runs.",
                returncode=130,
            ) from None
        if run.state != RunState.SUCCEEDED:
            sys.exit(1)

    def _message(self, text: str, username: str) -> IncomingMessage:
        return IncomingMessage(
            platform="console",
            message_id=uuid.uuid4().hex,
            sender=Sender(tenant="", id=username, name=username),
            conversation="",
            conversation_name="console",
            private=True,
            text=text,
            sent_at=timezone.now(),
        )

    def _follow(self, run: Run) -> Run:
        """Carries the run out here unless a worker has it; prints each reply once."""
        printed: set[int] = set()
        turn = 0
        while not run.finished:
            carry(run.pk)
            self._print_replies(run, printed)
            run.refresh_from_db()
            if not run.finished:
                turn += 1
                self._show_progress(run, turn)
                time.sleep(LOOK_EVERY)
        self._show_progress(None, 0)
        self._print_replies(run, printed)
        return run

    def _print_replies(self, run: Run, printed: set[int]) -> None:
        for reply in Reply.objects.filter(run=run).exclude(pk__in=printed).order_by("pk"):
            printed.add(reply.pk)
            self._show_progress(None, 0)
            self.stdout.write(reply.text.replace("  \n", "\n"))

    def _show_progress(self, run: Run | None, turn: int) -> None:
        """One line that renews itself on a terminal; elsewhere nothing."""
        if not self.stderr.isatty():
            return
        line = ""
        if run is not None:
            seconds = (timezone.now() - run.accepted_at).total_seconds()
            sign = SPINNER[turn % len(SPINNER)]
            line = f"{sign} run {run.pk} · {run.get_state_display()} · {seconds:.0f} s"
        self.stderr.write(f"\r\033[K{line}", ending="")
        self.stderr.flush()
