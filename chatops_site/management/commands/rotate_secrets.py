"""manage.py rotate_secrets: after a new first ENCRYPTION_KEYS, encrypts all stored secrets with it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from chatops_site.rotation import rotate_all


class Command(BaseCommand):
    help = "Encrypts every stored secret with the first of ENCRYPTION_KEYS; the others may go then."

    def handle(self, *args: Any, **options: Any) -> None:
        tally = rotate_all()
        for column, count in tally.rotated.items():
            self.stdout.write(f"{column}: {count}")
        if tally.unreadable:
            raise CommandError(
                _(
                    "No key of ENCRYPTION_KEYS opens these values, which stay as they are:\n%(rows)s\n"
                    "Put back the key they were stored with, or enter them anew."
                )
                % {"rows": "\n".join(f"  {row}" for row in tally.unreadable)}
            )
        self.stdout.write(
            _("%(count)s values are encrypted with the first key; the other keys may go.")
            % {"count": sum(tally.rotated.values())}
        )
