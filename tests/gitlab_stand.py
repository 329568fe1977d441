"""The GitLab stand-in of the tests: one running server, and ways to call it and to look behind it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from chatops_site.sandbox import demo
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitlab import GitLabSystem, build_system
from chatops_site.sandbox.records import Pull, Repository
from chatops_site.sandbox.server import Faults, Journal, serve
from chatops_site.sandbox.world import World
from repos.errors import RemoteError
from repos.forges.gitlab import GitLab

BOT, SHOP, WEB = "chatops-bot", "acme/shop", "acme/web"
MARKER = "ChatOps run 1842"


@dataclass
class Stand:
    """A running stand-in; calls of the API are made as somebody, changes behind its back."""

    system: GitLabSystem
    world: World
    origin: str
    session: requests.Session
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)

    def call(self, method: str, path: str, *, login: str = BOT, **more: Any) -> requests.Response:
        headers = {"PRIVATE-TOKEN": f"demo-gitlab-token-{login}"} if login else {}
        url = f"{self.origin}/api/v4{path}"
        return self.session.request(
            method, url, headers=headers, timeout=5, allow_redirects=False, **more
        )

    def client(
        self, login: str = "", *, token: str = "", root: str = "", deadline: float = 10.0
    ) -> GitLab:
        secret = token or (f"demo-gitlab-token-{login}" if login else "demo-gitlab-token")
        return GitLab(base_url=f"{self.origin}{root}/api/v4", token=secret, deadline=deadline)

    def change(self, op: str, number: int = 233, **arguments: Any) -> dict[str, Any]:
        return self.system.control(op, {"repository": SHOP, "number": number} | arguments)

    def fault(self, mode: str, path_regex: str = "", **options: Any) -> None:
        self.faults.add("gitlab", mode=mode, path_regex=path_regex, **options)

    @property
    def shop(self) -> Repository:
        return self.world.repository(SHOP)

    def pull(self, number: int = 233) -> Pull:
        return self.world.pull(SHOP, number)

    def sent(self, method: str) -> list[dict[str, Any]]:
        return [entry for entry in self.journal.entries if entry["method"] == method]


@pytest.fixture(scope="module")
def running_gitlab() -> Iterator[Stand]:
    world, journal, faults = World(), Journal(), Faults()
    system = build_system(world, Clock())
    (server,) = serve({system: 0}, journal, faults)
    with requests.Session() as session:
        session.trust_env = False
        origin = f"http://127.0.0.1:{server.server_port}"
        yield Stand(system, world, origin, session, journal, faults)
    server.shutdown()
    server.server_close()


@pytest.fixture
def stand(running_gitlab: Stand) -> Stand:
    """The demo world as new, on a server that the tests of one file share."""
    demo.fill(running_gitlab.world)
    running_gitlab.journal.clear()
    running_gitlab.faults.clear()
    return running_gitlab


@pytest.fixture
def gitlab(stand: Stand) -> GitLab:
    return stand.client()


def head(gitlab: GitLab, number: int = 233) -> str:
    return gitlab.pull(SHOP, number).head_sha


def merge(gitlab: GitLab, sha: str, number: int = 233, method: str = "merge") -> Any:
    return gitlab.merge(SHOP, number, sha=sha, method=method, marker=MARKER)


def failure(kind: type[RemoteError], call: Callable[[], object]) -> Any:
    with pytest.raises(RemoteError) as caught:
        call()
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value
