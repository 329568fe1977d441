"""The database's own refusal to change or remove audit entries, on SQLite and on PostgreSQL.

https://www.sqlite.org/lang_createtrigger.html
https://www.postgresql.org/docs/current/sql-createtrigger.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "audit_entry"
FUNCTION = "audit_entry_refuse"
REFUSAL = "audit entries are append-only"

SQLITE = {
    "audit_entry_no_update": f"""CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON {TABLE}
BEGIN SELECT RAISE(ABORT, '{REFUSAL}: UPDATE refused'); END""",
    "audit_entry_no_delete": f"""CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON {TABLE}
BEGIN SELECT RAISE(ABORT, '{REFUSAL}: DELETE refused'); END""",
    # INSERT OR REPLACE removes the old row without asking a delete trigger unless
    # recursive_triggers is on, so every unique key is guarded before the insert.
    "audit_entry_no_replace": f"""CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON {TABLE}
WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM {TABLE} WHERE event_id = NEW.event_id)
BEGIN SELECT RAISE(ABORT, '{REFUSAL}: REPLACE refused'); END""",  # noqa: S608 - our own names
}

POSTGRES_BODY = f"BEGIN RAISE EXCEPTION '{REFUSAL}: % refused', TG_OP; END"
POSTGRES_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS"
    f" $audit${POSTGRES_BODY}$audit$"
)
POSTGRES = {
    "audit_entry_no_change": f"BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW",
    # A row trigger does not see TRUNCATE.
    "audit_entry_no_truncate": f"BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """How one kind of database is asked for its triggers, given them and relieved of them."""

    names: tuple[str, ...]
    present: Callable[[Any], set[str]]
    create: Callable[[Any, str], None]
    drop: Callable[[Any, str], None]


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of the triggers that are absent, altered or off; [] before the table exists."""
    guard = GUARDS[connection.vendor]
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return []
        present = guard.present(cursor)
    return [name for name in guard.names if name not in present]


def install(connection: BaseDatabaseWrapper) -> None:
    """Creates whatever is missing; touches nothing that is in order."""
    guard = GUARDS[connection.vendor]
    absent = missing(connection)
    with connection.cursor() as cursor:
        for name in absent:
            guard.drop(cursor, name)
            guard.create(cursor, name)


def remove(connection: BaseDatabaseWrapper) -> None:
    """For migrating back to nothing only."""
    guard = GUARDS[connection.vendor]
    with connection.cursor() as cursor:
        for name in guard.names:
            guard.drop(cursor, name)


def _sqlite_present(cursor: Any) -> set[str]:
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return {name for name, sql in cursor.fetchall() if SQLITE.get(name) == sql}


def _sqlite_create(cursor: Any, name: str) -> None:
    cursor.execute(SQLITE[name])


def _sqlite_drop(cursor: Any, name: str) -> None:
    cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def _postgres_present(cursor: Any) -> set[str]:
    """Only triggers that always fire and still run our own function as it was written."""
    cursor.execute(
        "SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        " WHERE t.tgrelid = to_regclass(%s) AND t.tgenabled = 'A' AND p.prosrc = %s",
        [TABLE, POSTGRES_BODY],
    )
    return {name for (name,) in cursor.fetchall()}


def _postgres_create(cursor: Any, name: str) -> None:
    """ALWAYS: session_replication_role = replica would switch an ordinary trigger off."""
    cursor.execute(POSTGRES_FUNCTION)
    cursor.execute(f"CREATE TRIGGER {name} {POSTGRES[name]} EXECUTE FUNCTION {FUNCTION}()")
    cursor.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {name}")


def _postgres_drop(cursor: Any, name: str) -> None:
    cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {TABLE}")


GUARDS: Mapping[str, Guard] = {
    "sqlite": Guard(tuple(SQLITE), _sqlite_present, _sqlite_create, _sqlite_drop),
    "postgresql": Guard(tuple(POSTGRES), _postgres_present, _postgres_create, _postgres_drop),
}
