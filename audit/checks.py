"""System check: the database still refuses to change the record."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from audit import triggers

ID = "audit.E001"


def check_record_is_guarded(
    *, databases: Sequence[str] | None = None, **_options: Any
) -> list[CheckMessage]:
    """Runs with `migrate` and with `check --database default`."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        found += _absent_triggers(connections[alias])
        found += _lenient_sqlite(connections[alias])
    return found


def _absent_triggers(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    absent = triggers.missing(connection)
    if not absent:
        return []
    return [
        Error(
            f"The audit record can be changed: {', '.join(absent)} is missing or altered.",
            hint="Find out who removed it, then run `manage.py migrate --skip-checks`,"
            " which creates it again.",
            id=ID,
        )
    ]


def _lenient_sqlite(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    if connection.vendor != "sqlite":
        return []
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA recursive_triggers")
        if cursor.fetchone()[0]:
            return []
    return [
        Error(
            "SQLite runs with recursive_triggers off: REPLACE removes rows unseen by triggers.",
            hint='Put "PRAGMA recursive_triggers=ON" into init_command of the database options.',
            id=ID,
        )
    ]
