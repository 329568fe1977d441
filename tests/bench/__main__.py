"""make bench: speed and size of the portal on this machine, as figures and ratios of one run."""

import argparse
import os
import tempfile
from importlib import import_module
from pathlib import Path

import django


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument(
        "--database", default="", help="postgres://… (an empty database); else SQLite"
    )
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = options.database or f"sqlite:///{folder}/bench.sqlite3"
        os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        django.setup()
        # Models can be imported only now.
        portal_module, measure = (
            import_module("tests.bench.portal"),
            import_module("tests.bench.measure"),
        )
        with portal_module.opened(folder, url) as portal:
            measure.measure(portal)


if __name__ == "__main__":
    main()
