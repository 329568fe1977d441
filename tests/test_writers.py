"""Many who write at once: SQLite's line, and transactions that are shared."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections
from django.test import TransactionTestCase
from django.utils import timezone

from bot.models import Bot, Delivery
from chatops_site.kit.sqlite.base import DatabaseWrapper, Line
from chatops_site.kit.together import Together

# The line.

HOLDER = """
import sys
from chatops_site.kit.sqlite.base import Line
assert Line(sys.argv[1]).enter(5)
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that stands first in the line of tmp_path/db."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    yield process
    process.kill()
    process.wait()


def test_who_waits_long_enough_for_another_process_goes_on_without_a_turn(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert Line(str(tmp_path / "db")).enter(0.05) is False


def test_a_killed_process_leaves_the_line(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    line = Line(str(tmp_path / "db"))
    threading.Timer(0.1, holder.kill).start()

    assert line.enter(10) is True
    line.leave()


def test_a_line_whose_file_cannot_be_made_still_orders_the_threads(tmp_path: Path) -> None:
    line = Line(str(tmp_path / "nowhere" / "db"))

    assert line.enter(1) is True
    assert line.enter(0.01) is False
    line.leave()
    assert line.enter(1) is True


@pytest.fixture
def file(tmp_path: Path, django_db_blocker: Any) -> Iterator[Callable[[], DatabaseWrapper]]:
    """Opens connections, each of the calling thread's own, to one database with a table t(n unique)."""
    settings = connections["default"].settings_dict | {
        "NAME": str(tmp_path / "db"),
        "OPTIONS": {"timeout": 0.2, "transaction_mode": "IMMEDIATE"},
    }

    def open_file() -> DatabaseWrapper:
        opened = DatabaseWrapper(settings, alias="own")
        opened.inc_thread_sharing()
        return opened

    with django_db_blocker.unblock():
        first = open_file()
        with first.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("CREATE TABLE t (n INTEGER UNIQUE)")
        yield open_file
        first.close()


def write(opened: DatabaseWrapper, *numbers: int) -> None:
    """One transaction; without transaction.atomic(), which knows only the connections of settings."""
    opened.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    try:
        with opened.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s)", [(number,) for number in numbers])
        opened.commit()
    except BaseException:
        opened.rollback()
        raise
    finally:
        opened.set_autocommit(True)


def test_everybody_in_line_gets_to_write(file: Callable[[], DatabaseWrapper]) -> None:
    def write_many(place: int) -> None:
        opened = file()
        for number in range(25):
            write(opened, place * 1000 + number)
        opened.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_many, range(8)))

    opened = file()
    with opened.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM t").fetchone() == (200,)
    opened.close()


def test_a_transaction_that_failed_or_whose_connection_was_closed_holds_up_nobody(
    file: Callable[[], DatabaseWrapper],
) -> None:
    failing, leaving, last = file(), file(), file()
    with pytest.raises(IntegrityError):
        write(failing, 7, 7)
    leaving.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    leaving.close()

    write(last, 7)
    for opened in (failing, last):
        opened.close()


def test_behind_one_who_never_ends_it_is_sqlite_that_says_locked(
    file: Callable[[], DatabaseWrapper],
) -> None:
    endless, other = file(), file()
    endless.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)

    with pytest.raises(OperationalError, match="locked"):
        write(other, 1)
    endless.close()
    write(other, 1)
    other.close()


# Shared transactions.


class Ledger:
    """Writes deliveries by their message id and remembers which were written together."""

    def __init__(self) -> None:
        self.bot = Bot.objects.create(name="ledger", platform="dingtalk")
        self.bundles: list[list[str]] = []
        self.together = Together(self.write)
        self.first_holds = threading.Event()
        self.go_on = threading.Event()

    def write(self, names: Sequence[str]) -> None:
        self.first_holds.set()
        self.go_on.wait(10)
        self.bundles.append(list(names))
        if "disk full" in names:
            raise OperationalError("disk full")
        for name in names:
            Delivery.objects.create(bot=self.bot, message_id=name, at=timezone.now())

    def commit(self, name: str) -> str:
        """What came of it, as the thread that asked would see it."""
        try:
            self.together.commit(name)
        except (IntegrityError, OperationalError) as problem:
            return type(problem).__name__
        finally:
            connection.close()
        return "done"

    def commit_behind_a_first(self, names: Sequence[str]) -> dict[str, str]:
        """All of them arrive while the first is still being written."""
        with ThreadPoolExecutor(len(names) + 1) as pool:
            first = pool.submit(self.commit, "first")
            assert self.first_holds.wait(10)
            rest = {name: pool.submit(self.commit, name) for name in names}
            while len(self.together._waiting) < len(names):
                time.sleep(0.001)
            self.go_on.set()
            assert first.result() == "done"
            return {name: waiting.result() for name, waiting in rest.items()}


def kept() -> set[str]:
    return set(Delivery.objects.values_list("message_id", flat=True))


class SharedTransactionsTests(TransactionTestCase):
    """Clears up by itself, since the record's triggers let nobody flush the database."""

    def setUp(self) -> None:
        self.ledger = Ledger()

    def _fixture_teardown(self) -> None:
        Delivery.objects.filter(bot=self.ledger.bot).delete()
        self.ledger.bot.delete()

    def test_those_who_wait_are_written_in_one_transaction(self) -> None:
        told = self.ledger.commit_behind_a_first(["a", "b", "c"])

        assert set(told.values()) == {"done"}
        assert kept() == {"first", "a", "b", "c"}
        assert [sorted(bundle) for bundle in self.ledger.bundles] == [["first"], ["a", "b", "c"]]

    def test_a_repeated_one_among_them_is_refused_alone(self) -> None:
        told = self.ledger.commit_behind_a_first(["a", "first", "b"])

        assert told == {"a": "done", "first": "IntegrityError", "b": "done"}
        assert kept() == {"first", "a", "b"}

    def test_what_keeps_the_database_from_writing_is_told_to_all_who_shared_it(self) -> None:
        told = self.ledger.commit_behind_a_first(["a", "disk full"])

        assert told == {"a": "OperationalError", "disk full": "OperationalError"}
        assert kept() == {"first"}
        assert self.ledger.commit("a") == "done"
