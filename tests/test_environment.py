"""The settings from the environment: a wrong one stops the start with one sentence that names it."""

import ast
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
KEY: Final = "ZmFrZS1rZXktZm9yLXRlc3RzLW9ubHktMzItYnl0ZXM="
PRODUCTION: Final = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "ENCRYPTION_KEYS": KEY,
    "ALLOWED_HOSTS": "chatops.example.com",
    "DATABASE_URL": "sqlite:////tmp/chatops-environment-test.sqlite3",
    "DJANGO_SETTINGS_MODULE": "chatops_site.settings",
}


def manage(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """manage.py with the production settings and these changes (None takes a variable away)."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    wanted = {**kept, **PRODUCTION, **changes}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={name: value for name, value in wanted.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_production_settings_pass_djangos_deployment_checks() -> None:
    checked = manage("check", "--deploy", "--fail-level", "WARNING")

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


WRONG: Final[dict[tuple[str, str | None], str]] = {
    ("SECRET_KEY", None): "SECRET_KEY (or SECRET_KEY_FILE) is not set.",
    ("SECRET_KEY", "short"): "SECRET_KEY must be a random text of at least 50 characters.",
    ("ENCRYPTION_KEYS", None): "ENCRYPTION_KEYS (or ENCRYPTION_KEYS_FILE) is not set.",
    ("ENCRYPTION_KEYS", "no-key"): "ENCRYPTION_KEYS must be one or more Fernet keys",
    ("DATABASE_URL", "mysql://a/b"): "DATABASE_URL must begin with sqlite:/// or postgres://.",
    ("HTTPS", "maybe"): "HTTPS must be true or false.",
    ("DEBUG", "2"): "DEBUG must be true or false.",
    ("DEBUG", "true"): "DEBUG may be true only while ALLOWED_HOSTS names this machine alone.",
    ("CSRF_TRUSTED_ORIGINS", "a.example"): "Each of CSRF_TRUSTED_ORIGINS must begin with https://",
    ("LANGUAGE_CODE", "tlh"): "LANGUAGE_CODE must be one of en, zh-hans.",
    ("TIME_ZONE", "Mars/Base"): "TIME_ZONE must be a name such as Asia/Shanghai or UTC.",
    ("WORKER_THREADS", "0"): "WORKER_THREADS must be a whole number from 1 to 1000.",
    ("WORKER_THREADS", "２"): "WORKER_THREADS must be a whole number from 1 to 1000.",
    ("LEASE_SECONDS", "soon"): "LEASE_SECONDS must be a number of seconds between 0 and 86400.",
    ("RECONCILE_SECONDS", "-1"): "RECONCILE_SECONDS must be a number of seconds",
    ("FOLLOW_SECONDS", "nan"): "FOLLOW_SECONDS must be a number of seconds",
    ("SECRET_KEY_FILE", "/nowhere"): "The file that SECRET_KEY_FILE names cannot be read.",
    ("LOG_LEVEL", "chatty"): "LOG_LEVEL must be one of",
    ("WAKE_DIR", "/" + "x" * 90): "WAKE_DIR must be a folder of at most 86 characters",
    ("PORTAL_URL", "chatops.example.com"): "PORTAL_URL must be an address",
}


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_stops_the_start_in_one_sentence(name: str, value: str | None) -> None:
    stopped = manage("check", **{name: value})

    assert stopped.returncode == 1
    assert stopped.stderr.startswith(f"The portal cannot start: {WRONG[name, value]}")
    assert stopped.stderr.count("\n") == 1


def test_a_secret_may_be_mounted_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(PRODUCTION["SECRET_KEY"] + "\n", "utf-8")

    started = manage("check", SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "key"))

    assert started.returncode == 0, started.stderr


def test_gunicorn_stops_with_the_same_sentence_and_is_not_started_again() -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    line = ["-m", "gunicorn", "-c", "python:chatops_site.gunicorn", "-b", "127.0.0.1:0"]

    stopped = subprocess.run(
        [sys.executable, *line, "chatops_site.wsgi"],
        cwd=ROOT,
        env={**kept, **PRODUCTION, "HTTPS": "perhaps"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert stopped.returncode == 3
    assert "The portal cannot start: HTTPS must be true or false." in stopped.stderr
    assert "Traceback" not in stopped.stderr


def read_by_settings() -> set[str]:
    """The variables that settings.py and environment.py ask the environment for."""
    found = set()
    for file in ("settings.py", "environment.py"):
        for node in ast.walk(ast.parse((ROOT / "chatops_site" / file).read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="env" | "self")),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    found.add(name)
    return found


def test_the_example_names_every_setting_and_no_other() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    named = {line.split("=")[0] for line in lines if re.match(r"[A-Z_]+=", line)}

    assert named - {"WEB_CONCURRENCY"} == read_by_settings()


def test_the_example_says_a_sentence_about_each() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()

    for before, line in itertools.pairwise(lines):
        if re.match(r"[A-Z_]+=", line):
            assert before.startswith("#"), line


def test_the_example_starts_a_portal_once_its_two_secrets_are_filled_in() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    named = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    secrets = {name: PRODUCTION[name] for name in ("SECRET_KEY", "ENCRYPTION_KEYS")}

    started = manage("check", **{**named, **secrets, "DATABASE_URL": PRODUCTION["DATABASE_URL"]})

    assert started.returncode == 0, started.stderr
