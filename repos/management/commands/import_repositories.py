"""manage.py import_repositories FORGE [PATH …]: lists what the forge's token sees, or takes it over."""

from typing import Any

from django.core.management.base import CommandParser

from repos import importing
from repos.management.importer import Importer
from repos.models import Forge


class Command(Importer):
    help = (
        "Lists the repositories that a forge's token sees; with paths (or --all) takes them over."
    )
    model = Forge

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("forge", help="the forge's name in the portal")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self.run(self.named(options["forge"]), options)

    def find(self, owner: Forge, search: str, page: int) -> importing.FoundPage:
        return importing.find_repositories(owner, search=search, page=page)

    add = staticmethod(importing.import_repositories)
