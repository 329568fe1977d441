"""manage.py import_people FILE.csv [--dry-run]: people and their accounts from a table, row by row."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from audit.changes import SYSTEM
from bot.people.importing import (
    COLUMNS,
    LARGEST,
    Fate,
    Outcome,
    Table,
    Unreadable,
    import_people,
    read_table,
)
from bot.platforms.clients import account_platforms


class Command(BaseCommand):
    help = (
        "Adds people and their accounts from a CSV file (UTF-8 or GB18030; comma, semicolon or tab)."
        f" Its first row names the columns: {', '.join(COLUMNS)}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="say all, change nothing")
        parser.add_argument(
            "--skip-refused", action="store_true", help="take the other rows when some are refused"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        table = self._read(options["file"])
        outcome = import_people(
            table,
            account_platforms(),
            SYSTEM,
            keep=not options["dry_run"],
            skip_refused=options["skip_refused"],
        )
        self.stdout.write(_("Read as %(encoding)s") % {"encoding": table.encoding})
        for fate in outcome.fates:
            self.stdout.write(_line(fate))
        self.stdout.write(_sum(outcome, dry=options["dry_run"]))
        if outcome.refused:
            words = _("%(refused)d of %(all)d rows were refused")
            numbers = {"refused": outcome.refused, "all": len(outcome.fates)}
            raise CommandError(words % numbers, returncode=1)

    def _read(self, path: Path) -> Table:
        try:
            with path.open("rb") as file:
                return read_table(file.read(LARGEST + 1))
        except OSError as problem:
            raise CommandError(f"{path}: {problem.strerror}") from None
        except Unreadable as problem:
            raise CommandError(f"{path}: {problem}") from None


def _line(fate: Fate) -> str:
    said = _("line %(line)d: %(who)s") % {"line": fate.line, "who": fate.who}
    if fate.refused:
        return _("⛔ %(said)s refused: %(why)s") % {"said": said, "why": fate.refused}
    if fate.added:
        return f"+ {said} {', '.join(fate.added)}"
    return _("= %(said)s unchanged") % {"said": said}


def _sum(outcome: Outcome, *, dry: bool) -> str:
    numbers = {
        "new": sum(bool(fate.added) for fate in outcome.fates),
        "same": sum(not fate.added and not fate.refused for fate in outcome.fates),
        "refused": outcome.refused,
    }
    words = _("%(new)d rows with something new, %(same)d unchanged, %(refused)d refused.") % numbers
    if outcome.kept:
        return words
    if dry:
        return f"{words} " + _("This was a dry run; nothing was changed.")
    return f"{words} " + _(
        "Nothing was changed. Correct those rows, or take the others with --skip-refused."
    )
