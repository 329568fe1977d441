"""What tests need that a machine may not have: skipped with one line there, a fault where CHATOPS_NO_SKIPS=1."""

import os
import shutil
from collections.abc import Iterator
from typing import Final

import pytest

NEEDED: Final = ("browser", "postgres")
CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The path of Debian's Chromium, or "". No browser is ever downloaded."""
    return next(filter(None, map(shutil.which, CHROMIUM)), "")


def missing(need: str) -> str:
    """Why tests that need it cannot run here, and how to get it; "" when they can."""
    if need == "browser" and not chromium():
        return "needs a browser: apt-get install chromium fonts-noto-cjk"
    if need == "postgres" and not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return "needs PostgreSQL: apt-get install postgresql, then make suite-postgres"
    return ""


def skip_what_cannot_run(items: list[pytest.Item]) -> None:
    for item in items:
        for need in NEEDED:
            reason = missing(need) if item.get_closest_marker(need) else ""
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


class NoSkips:
    """Where everything is installed, a skipped test is a hole: the session fails and says which."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not set(NEEDED).isdisjoint(report.keywords):
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name in self.skipped:
            terminalreporter.write_line(f"NOT SKIPPABLE HERE {name}", red=True)


def guard(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: needs PostgreSQL behind DATABASE_URL")
    if os.environ.get("CHATOPS_NO_SKIPS") == "1":
        config.pluginmanager.register(NoSkips(), "no-skips")
