"""What the two import commands share: a table of what is there, progress, and what came of it."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.changes import SYSTEM, Actor
from repos.errors import RemoteError
from repos.importing import Found, FoundPage, Imported
from repos.models import Named


class Importer(BaseCommand):
    model: ClassVar[type[Named]]
    add: Callable[[Any, Iterable[str], Actor], Imported]

    @abstractmethod
    def find(self, owner: Any, search: str, page: int) -> FoundPage: ...

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", metavar="PATH", help="which to take over")
        parser.add_argument("--all", action="store_true", help="take over all that are listed")
        parser.add_argument("--search", default="", help="only those with this in their path")

    def named(self, name: str) -> Any:
        found = self.model._default_manager.filter(name=name).first()
        if found is None:
            known = ", ".join(self.model._default_manager.values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no {name!r}; there are: {known}.")
        return found

    def run(self, owner: Any, options: Mapping[str, Any]) -> None:
        """Exit status 1 when anything that was asked for was not taken over."""
        paths = list(options["paths"])
        try:
            if not paths:
                found = list(self._found(owner, options["search"]))
                if not options["all"]:
                    return
                paths = [row.path for row in found if not row.known]
            outcome = type(self).add(owner, paths, SYSTEM)
        except RemoteError as problem:
            raise CommandError(problem.sentence) from problem
        for row in outcome.made:
            self.stdout.write(f"+ {row}  {getattr(row, 'path', '')}")
        for path, why in outcome.refused.items():
            self.stdout.write(f"! {path}: {why}")
        if outcome.refused:
            raise CommandError(f"{len(outcome.refused)} of {len(paths)} were not taken over.")

    def _found(self, owner: Any, search: str) -> Iterator[Found]:
        """Printed as they come, so that a long list shows that it goes on."""
        page, more = 0, True
        while more:
            page += 1
            part = self.find(owner, search, page)
            more = part.more and bool(part.items)
            for row in part.items:
                told = [row.known and f"is {row.known}", row.purpose, row.service, row.environment]
                about = " · ".join(filter(None, [*told, row.note]))
                self.stdout.write(
                    f"{row.path}  → {row.known or row.name}" + (f"  ({about})" if about else "")
                )
                yield row
