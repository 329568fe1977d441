"""manage.py apply_config FILE: makes the portal as the file says, and prints what that changes."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from audit.changes import Change, differences
from chatops_site.configuration.applying import Outcome, apply
from chatops_site.configuration.problems import ConfigurationRefused
from chatops_site.configuration.reading import read
from chatops_site.kit.secrets import WrongKey

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


class Command(BaseCommand):
    help = "Applies a configuration file; what the file does not name is left alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="a YAML file, or - for the standard input")
        parser.add_argument("--dry-run", action="store_true", help="only print what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        dry = options["dry_run"]
        try:
            outcome = apply(read(self._source(options["file"])), keep=not dry)
        except ConfigurationRefused as refused:
            faults = "\n".join(f"  {sentence}" for sentence in refused.sentences)
            raise CommandError(
                _("Nothing was applied; the file has faults:\n%(faults)s") % {"faults": faults}
            ) from None
        except WrongKey as wrong:
            raise CommandError(str(wrong)) from None
        for warning in outcome.warnings:
            self.stderr.write(warning)
        for change in outcome.changes:
            self.stdout.write(_shown(change))
        self.stdout.write(_summary(outcome))
        if dry and outcome.changes:
            self.stdout.write(_("Nothing was written: this was a dry run."))

    def _source(self, name: str) -> bytes:
        if name == "-":
            return sys.stdin.buffer.read()
        try:
            return Path(name).read_bytes()
        except OSError as error:
            raise CommandError(
                _("%(file)s cannot be read: %(problem)s.")
                % {"file": name, "problem": error.strerror}
            ) from None


def _shown(change: Change) -> str:
    lines = [f"{_SIGNS[change.reason]} {change.target_kind} {change.target}"]
    for name, moved in differences(change.before, change.after).items():
        if name != "id" and change.reason != "removed":
            lines.append(
                f"    {name}: " + " → ".join(filter(None, (moved["old"], moved["new"] or "–")))
            )
    return "\n".join(lines)


def _summary(outcome: Outcome) -> str:
    if not outcome.changes:
        return _("Nothing to change.")
    counts = dict.fromkeys(_SIGNS, 0)
    for change in outcome.changes:
        counts[change.reason] += 1
    return _("%(added)s added, %(changed)s changed, %(removed)s removed.") % counts
