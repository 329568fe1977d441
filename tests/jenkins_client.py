"""What the tests of the Jenkins client share: a running sandbox, and ways to look behind it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from chatops_site.sandbox.client import Sandbox
from repos.builds import Build, Triggered
from repos.jenkins import Jenkins

T = TypeVar("T")
CASES = Path(__file__).parent / "cases"
TEST, DEPLOY, NIGHTLY = "team/shop-test", "team/myservice-deploy", "team/nightly"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.start(state="bare") as sandbox:
        yield sandbox


@pytest.fixture
def box(running: Sandbox) -> Sandbox:
    running.reset("bare")
    return running


@pytest.fixture
def jenkins(box: Sandbox) -> Jenkins:
    return client(box)


def client(
    box: Sandbox,
    username: str = "bot",
    token: str = "demo-jenkins-token",
    deadline: float = 20.0,
) -> Jenkins:
    return Jenkins(base_url=box.jenkins, username=username, token=token, deadline=deadline)


def sent(box: Sandbox, method: str = "POST") -> list[dict[str, Any]]:
    return [entry for entry in box.journal("jenkins") if entry["method"] == method]


def until(look: Callable[[], T | None]) -> T:
    """What look finds within two seconds."""
    for _attempt in range(100):
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen within two seconds")


def built(jenkins: Jenkins, path: str, triggered: Triggered) -> Build:
    """The finished build of a trigger."""

    def finished() -> Build | None:
        build = jenkins.build_of(path, triggered.queue_id)
        return build if build and not build.building else None

    return until(finished)
