"""Fixtures that several files share: one sandbox a session, a portal as new for each test."""

from typing import Final
from unittest import TestCase

import pytest

from tests.installed import guard, skip_what_cannot_run
from tests.portal import chat_fixture, chinese_fixture, post_fixture, sandbox_fixture, world_fixture

__all__ = ["chat_fixture", "chinese_fixture", "post_fixture", "sandbox_fixture", "world_fixture"]


# What a test asks for that knows the database, and the marks of those that start the portal's processes on it.
FIXTURES: Final = frozenset({"db", "transactional_db", "django_db_setup"})
MARKS: Final = ("django_db", "crash", "postgres")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database-only",
        action="store_true",
        help="leave out what knows no database, and so is the same on each",
    )


def pytest_configure(config: pytest.Config) -> None:
    guard(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_what_cannot_run(items)
    if config.getoption("--database-only"):
        left_out = [item for item in items if not _knows_the_database(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _knows_the_database(item)]


def _knows_the_database(item: pytest.Item) -> bool:
    asked_for = FIXTURES & set(getattr(item, "fixturenames", ()))
    of_django = isinstance(getattr(item, "cls", None), type) and issubclass(item.cls, TestCase)  # type: ignore[attr-defined]
    return bool(asked_for) or of_django or any(map(item.get_closest_marker, MARKS))
