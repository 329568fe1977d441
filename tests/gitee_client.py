"""What the tests of the Gitee client share: a running sandbox, and ways to look behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatops_site.sandbox.client import Sandbox
from repos.forges.gitee import Gitee

CASES = Path(__file__).parent / "cases"
SHOP, WEB = "acme/shop", "acme/web"
BOT = "chatops-bot"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.fixture
def box(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture
def gitee(box: Sandbox) -> Gitee:
    return client(box)


def client(box: Sandbox, token: str = "demo-gitee-token", deadline: float = 20.0) -> Gitee:
    return Gitee(base_url=box.gitee, token=token, deadline=deadline)


def head(gitee: Gitee, number: int = 233, path: str = SHOP) -> str:
    return gitee.pull(path, number).head_sha


def change(box: Sandbox, op: str, number: int = 233, **more: Any) -> dict[str, Any]:
    return box.change_gitee(op, repository=SHOP, number=number, **more)


def make_ready(box: Sandbox, number: int = 233) -> None:
    change(box, "set_review", number, login=BOT)
    change(box, "set_test", number, login=BOT)


def shown(box: Sandbox, number: int = 233, path: str = SHOP) -> dict[str, Any]:
    pulls: list[dict[str, Any]] = box.state()["pull_requests"]
    return next(row for row in pulls if (row["repository"], row["number"]) == (path, number))


def merge(gitee: Gitee, sha: str, number: int = 233, method: str = "merge") -> Any:
    return gitee.merge(SHOP, number, sha=sha, method=method, marker="ChatOps run 1842")


def sent(box: Sandbox, method: str = "PUT") -> list[dict[str, Any]]:
    return [entry for entry in box.journal("gitee") if entry["method"] == method]


def recorded(name: str) -> str:
    return (CASES / name).read_text("utf-8")
