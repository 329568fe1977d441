"""manage.py export_config: the portal as a file for apply_config, on the standard output."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chatops_site.configuration.exporting import export
from chatops_site.kit.secrets import WrongKey


class Command(BaseCommand):
    help = "Prints the configuration as YAML; secrets as env:NAME where they came from there, else not."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(export(), ending="")
        except WrongKey as wrong:
            raise CommandError(str(wrong)) from None
