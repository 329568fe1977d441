"""Where CHATOPS_NO_SKIPS=1, a session with a skipped browser or PostgreSQL test fails."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
CONFTEST: Final = """
from tests.installed import guard as pytest_configure
from tests.installed import skip_what_cannot_run as pytest_collection_modifyitems
"""
SUITE: Final = '''
"""Two tests, of which one needs what is not there."""
import pytest

@pytest.mark.postgres
def test_on_postgres():
    pass

def test_anywhere():
    pass
'''


def run(folder: Path, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "test_two.py").write_text(SUITE, "utf-8")
    line = ["-m", "pytest", "-rs", "-c", os.devnull, "--rootdir", str(folder), "-p", "xdist"]
    alone = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, *line, *options, str(folder)],
        cwd=ROOT,
        env={**os.environ, **alone, "DATABASE_URL": "sqlite:///var/x", **changes},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_test_that_cannot_run_is_skipped_with_the_way_to_get_it(tmp_path: Path) -> None:
    ended = run(tmp_path, CHATOPS_NO_SKIPS="")

    assert ended.returncode == 0, ended.stdout
    assert "needs PostgreSQL: apt-get install postgresql" in ended.stdout


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_in_ci_the_same_session_fails_and_names_it(tmp_path: Path, options: tuple[str]) -> None:
    ended = run(tmp_path, *options, CHATOPS_NO_SKIPS="1")

    assert ended.returncode == 1
    assert "NOT SKIPPABLE HERE" in ended.stdout
    assert "test_on_postgres" in ended.stdout
