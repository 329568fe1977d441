"""manage.py demo: hands over to python -m chatops_site.demo, which has settings of its own."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chatops_site.demo.premises import ROOT


class Command(BaseCommand):
    help = "Shows the portal between stand-ins of four forges, Jenkins and DingTalk, on this machine alone."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help="the portal's; the sandbox is 100 above it")
        parser.add_argument("--keep", action="store_true", help="keep the last demo's database")

    def handle(self, *args: Any, **options: Any) -> None:
        """In this process's place, so that none of the real portal's settings reach the demo."""
        line = ["-m", "chatops_site.demo"]
        line += ["--port", str(options["port"])] if options["port"] else []
        line += ["--keep"] if options["keep"] else []
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, *line])  # noqa: S606 (our own)
