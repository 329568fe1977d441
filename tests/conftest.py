"""Fixtures that several files share: one sandbox a session, a portal as new for each test."""

import pytest

from tests.installed import guard, skip_what_cannot_run
from tests.portal import chat_fixture, chinese_fixture, post_fixture, sandbox_fixture, world_fixture

__all__ = ["chat_fixture", "chinese_fixture", "post_fixture", "sandbox_fixture", "world_fixture"]


def pytest_configure(config: pytest.Config) -> None:
    guard(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_what_cannot_run(items)
