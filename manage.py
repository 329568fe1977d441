#!/usr/bin/env python
"""Django's command line for the portal: a wrong setting ends in one sentence, not in a traceback."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatops_site.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as problem:
        sys.exit(f"The portal cannot start: {problem}")


if __name__ == "__main__":
    main()
