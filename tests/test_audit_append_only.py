"""Nobody changes the record: neither by SQL, nor through Django, nor after a table was rebuilt."""

# ruff: noqa: S608 - attacks are SQL, and no value in them comes from outside

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from audit import triggers
from audit.checks import check_record_is_guarded
from audit.models import AppendOnly
from audit.record import Entry, Event, Fact, record

NAMES = [column.name for column in Entry._meta.concrete_fields]
COLUMNS = ", ".join(NAMES)
FORGED = COLUMNS.replace(" detail,", " 'forged',")
NEW_KEY = FORGED.replace("seq", "seq + 1000", 1)
NEW_EVENT_ID = FORGED.replace("event_id", f"'{uuid.uuid4().hex}'", 1)

SQLITE_ATTACKS = {
    "update": "UPDATE audit_entry SET detail = 'forged'",
    "delete": "DELETE FROM audit_entry",
    "replace by key": (
        f"REPLACE INTO audit_entry ({COLUMNS}) SELECT {NEW_EVENT_ID} FROM audit_entry"
    ),
    "replace by event id": (
        f"INSERT OR REPLACE INTO audit_entry ({COLUMNS}) SELECT {NEW_KEY} FROM audit_entry"
    ),
    "update or replace": "UPDATE OR REPLACE audit_entry SET detail = 'forged'",
    "upsert": (
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT {COLUMNS} FROM audit_entry WHERE true"
        " ON CONFLICT (seq) DO UPDATE SET detail = 'forged'"
    ),
}
POSTGRES_ATTACKS = {
    "update": "UPDATE audit_entry SET detail = 'forged'",
    "delete": "DELETE FROM audit_entry",
    "truncate": "TRUNCATE audit_entry CASCADE",
    "merge": ("MERGE INTO audit_entry USING (SELECT 1) AS x ON true WHEN MATCHED THEN DELETE"),
    "upsert": (
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT {COLUMNS} FROM audit_entry"
        " ON CONFLICT (seq) DO UPDATE SET detail = 'forged'"
    ),
    "replica role": "SET LOCAL session_replication_role = replica; DELETE FROM audit_entry",
}
ATTACKS = {"sqlite": SQLITE_ATTACKS, "postgresql": POSTGRES_ATTACKS}[connection.vendor]


@pytest.fixture
def entry(db: None) -> Entry:
    (written,) = record(Fact(event=Event.EFFECT_INTENDED, person="张三", detail="as it was"))
    return written


def is_untouched(entry: Entry) -> bool:
    return list(Entry.objects.values_list("seq", "detail")) == [(entry.seq, "as it was")]


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_database_refuses(attack: str, entry: Entry) -> None:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(ATTACKS[attack])

    assert is_untouched(entry)


DJANGO_WRITES: dict[str, Callable[[Entry], Any]] = {
    "save": lambda entry: entry.save(),
    "save some fields": lambda entry: entry.save(update_fields=["detail"]),
    "save_base, as fixtures do": lambda entry: entry.save_base(raw=True),
    "save a new one": lambda entry: Entry(event=Event.LOGIN_OK, at=entry.at).save(),
    "delete": lambda entry: entry.delete(),
    "create": lambda entry: Entry.objects.create(event=Event.LOGIN_OK, at=entry.at),
    "get_or_create": lambda entry: Entry.objects.get_or_create(event="x", at=entry.at),
    "update_or_create": lambda entry: Entry.objects.update_or_create(seq=entry.seq),
    "bulk_create": lambda entry: Entry.objects.bulk_create([Entry(event="x", at=entry.at)]),
    "bulk_update": lambda entry: Entry.objects.bulk_update([entry], ["detail"]),
    "queryset update": lambda entry: Entry.objects.filter(pk=entry.pk).update(detail="forged"),
    "queryset delete": lambda entry: Entry.objects.filter(pk=entry.pk).delete(),
    "raw delete": lambda entry: Entry.objects.all()._raw_delete("default"),
    "base manager": lambda entry: Entry._base_manager.all().update(detail="forged"),
    "default manager": lambda entry: Entry._default_manager.all().delete(),
}


@pytest.mark.parametrize("way", DJANGO_WRITES)
def test_django_refuses_in_a_sentence(way: str, entry: Entry) -> None:
    entry.detail = "forged"

    with pytest.raises(AppendOnly, match="only ever added"):
        DJANGO_WRITES[way](entry)

    assert is_untouched(entry)


@pytest.mark.parametrize("way", ["update", "delete"])
def test_a_plain_queryset_is_stopped_by_the_database(way: str, entry: Entry) -> None:
    plain: models.QuerySet[Entry] = models.QuerySet(Entry)
    ways: dict[str, Callable[[], Any]] = {
        "update": lambda: plain.update(detail="forged"),
        "delete": plain.delete,
    }
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        ways[way]()

    assert is_untouched(entry)


@pytest.mark.parametrize("offset", [0, 1000])
def test_loaddata_is_refused(offset: int, entry: Entry, tmp_path: Path) -> None:
    fixture = tmp_path / "forged.json"
    fields = {"event": "login.ok", "at": timezone.now().isoformat(), "detail": "forged"}
    fixture.write_text(
        json.dumps([{"model": "audit.entry", "pk": entry.pk + offset, "fields": fields}])
    )

    with pytest.raises(AppendOnly):
        call_command("loaddata", fixture, verbosity=0)

    assert is_untouched(entry)


@pytest.mark.django_db
def test_the_migrated_database_has_every_trigger() -> None:
    assert triggers.missing(connection) == []
    assert check_record_is_guarded(databases=["default"]) == []


@pytest.mark.django_db
def test_a_check_that_names_no_database_asks_none() -> None:
    assert check_record_is_guarded(databases=None) == []


SABOTAGE = {
    "sqlite": {
        "dropped": "DROP TRIGGER audit_entry_no_delete",
        "emptied": (
            "DROP TRIGGER audit_entry_no_delete;CREATE TRIGGER audit_entry_no_delete"
            " BEFORE DELETE ON audit_entry BEGIN SELECT 1; END"
        ),
    },
    "postgresql": {
        "dropped": "DROP TRIGGER audit_entry_no_change ON audit_entry",
        "disabled": "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_no_change",
        "not always": "ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_no_change",
        "emptied": (
            "CREATE OR REPLACE FUNCTION audit_entry_refuse() RETURNS trigger"
            " LANGUAGE plpgsql AS $$BEGIN RETURN OLD; END$$"
        ),
    },
}[connection.vendor]


@pytest.mark.django_db
@pytest.mark.parametrize("how", SABOTAGE)
def test_a_trigger_that_was_tampered_with_is_found_and_put_back(how: str) -> None:
    with connection.cursor() as cursor:
        for statement in SABOTAGE[how].split(";CREATE"):
            cursor.execute(statement if statement.startswith(("DROP", "ALTER")) else _whole(how))
    assert "audit_entry_no" in told(check_record_is_guarded(databases=["default"]))

    triggers.install(connection)

    assert check_record_is_guarded(databases=["default"]) == []


def _whole(how: str) -> str:
    return "CREATE" + SABOTAGE[how].split("CREATE", 1)[1]


def told(messages: list[CheckMessage]) -> str:
    assert {message.id for message in messages} == {"audit.E001"}
    return " ".join(f"{message.msg} {message.hint}" for message in messages)


# From here on: a SQLite file of its own, because rebuilding a table takes one.


@pytest.fixture
def own_file(tmp_path: Path, django_db_blocker: Any) -> Iterator[BaseDatabaseWrapper]:
    """An empty SQLite database under the alias "own"."""
    connections.settings["own"] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "own.sqlite3"),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {"init_command": "PRAGMA recursive_triggers=ON;"},
    }
    with django_db_blocker.unblock():
        yield connections["own"]
        connections["own"].close()
    del connections["own"]
    del connections.settings["own"]


def migrate(target: str = "") -> None:
    arguments = ["audit", target] if target else ["audit"]
    call_command("migrate", *arguments, database="own", verbosity=0, skip_checks=True)


def rebuild(own: BaseDatabaseWrapper) -> None:
    """What a later migration's AlterField does."""
    wider = models.CharField(max_length=999, default="")
    wider.set_attributes_from_name("bot")
    with own.schema_editor() as editor:
        editor.alter_field(Entry, Entry._meta.get_field("bot"), wider)


def test_before_the_first_migration_nothing_is_missing(own_file: BaseDatabaseWrapper) -> None:
    assert triggers.missing(own_file) == []
    triggers.install(own_file)


def test_a_rebuilt_table_has_lost_its_triggers_and_the_check_says_so(
    own_file: BaseDatabaseWrapper,
) -> None:
    migrate()
    rebuild(own_file)

    assert triggers.missing(own_file) == list(triggers.SQLITE)
    complaint = told(check_record_is_guarded(databases=["own"]))
    assert "can be changed" in complaint
    assert "migrate --skip-checks" in complaint
    with pytest.raises(CommandError, match="audit_entry_no_update"):
        call_command("check", tags=["database"], databases=["own"], stderr=io.StringIO())


def test_the_next_migrate_puts_the_triggers_back(own_file: BaseDatabaseWrapper) -> None:
    migrate()
    rebuild(own_file)

    migrate()

    assert triggers.missing(own_file) == []
    with own_file.cursor() as cursor:
        cursor.execute(INSERT_ONE)
        with pytest.raises(DatabaseError, match="append-only"):
            cursor.execute("DELETE FROM audit_entry")


INSERT_ONE = f"INSERT INTO audit_entry ({COLUMNS}) SELECT " + ", ".join(
    "'{}'" if name in {"external", "changes"} else "0" for name in NAMES
)


@pytest.mark.parametrize("keys", [NEW_EVENT_ID, NEW_KEY])
def test_replace_is_refused_even_while_recursive_triggers_are_off(
    keys: str, own_file: BaseDatabaseWrapper
) -> None:
    migrate()
    with own_file.cursor() as cursor:
        cursor.execute("PRAGMA recursive_triggers=OFF")
        cursor.execute(INSERT_ONE)
        with pytest.raises(DatabaseError, match="REPLACE refused"):
            cursor.execute(f"REPLACE INTO audit_entry ({COLUMNS}) SELECT {keys} FROM audit_entry")

    assert "recursive_triggers=ON" in told(check_record_is_guarded(databases=["own"]))


def test_the_portals_own_settings_turn_recursive_triggers_on() -> None:
    if connection.vendor == "sqlite":
        assert "recursive_triggers=ON" in connection.settings_dict["OPTIONS"]["init_command"]


def test_the_triggers_go_with_the_migration_that_made_them(own_file: BaseDatabaseWrapper) -> None:
    migrate()
    migrate("0001")
    with own_file.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        # post_migrate guards the table as long as there is one.
        assert len(cursor.fetchall()) == len(triggers.SQLITE)

    migrate("zero")

    assert "audit_entry" not in own_file.introspection.table_names()
