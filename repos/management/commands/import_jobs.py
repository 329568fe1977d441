"""manage.py import_jobs SERVER [PATH …]: lists Jenkins' jobs with what they seem to be for, or takes them over."""

from typing import Any

from django.core.management.base import CommandParser

from repos import importing
from repos.management.importer import Importer
from repos.models import JenkinsServer


class Command(Importer):
    help = "Lists the jobs of a Jenkins server; with paths (or --all) takes them over."
    model = JenkinsServer

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("server", help="the Jenkins server's name in the portal")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self.run(self.named(options["server"]), options)

    def find(self, owner: JenkinsServer, search: str, page: int) -> importing.FoundPage:
        return importing.find_jobs(owner, search=search)

    add = staticmethod(importing.import_jobs)
