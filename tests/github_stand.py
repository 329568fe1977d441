"""The GitHub stand-in of the tests: one running server, and ways to call it and to look behind it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from chatops_site.sandbox import demo
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.github import GitHubSystem, build_system
from chatops_site.sandbox.records import Pull
from chatops_site.sandbox.server import Faults, Journal, serve
from chatops_site.sandbox.world import World
from repos.errors import RemoteError
from repos.forges.github import GitHub

SHOP, BOT = "acme/shop", "chatops-bot"


@dataclass
class Stand:
    """One running stand-in; login picks the token of a call or of a client."""

    system: GitHubSystem
    world: World
    journal: Journal
    faults: Faults
    origin: str
    session: requests.Session

    def call(self, method: str, path: str, *, login: str = BOT, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer demo-github-token-{login}"} if login else {}
        headers |= more.pop("headers", {})
        url = f"{self.origin}/api/v3{path}"
        more = {"timeout": 5, "allow_redirects": False, **more}
        return self.session.request(method, url, headers=headers, **more)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def client(self, login: str = BOT, deadline: float = 5.0) -> GitHub:
        token = f"demo-github-token-{login}"
        return GitHub(base_url=f"{self.origin}/api/v3", token=token, deadline=deadline)

    def change(self, op: str, number: int = 233, **arguments: Any) -> dict[str, Any]:
        return self.system.control(op, {"repository": SHOP, "number": number} | arguments)

    def pull(self, number: int = 233) -> Pull:
        return self.world.pull(SHOP, number)

    def sent(self, method: str = "PUT") -> list[dict[str, Any]]:
        return [entry for entry in self.journal.entries if entry["method"] == method]


@pytest.fixture(scope="module")
def running() -> Iterator[Stand]:
    world, journal, faults = World(), Journal(), Faults()
    system = build_system(world, Clock())
    (server,) = serve({system: 0}, journal, faults)
    with requests.Session() as session:
        session.trust_env = False
        origin = f"http://127.0.0.1:{server.server_port}"
        yield Stand(system, world, journal, faults, origin, session)
    server.shutdown()
    server.server_close()


@pytest.fixture
def stand(running: Stand) -> Stand:
    """The demo world as new, on a server that the tests of one file share."""
    demo.fill(running.world)
    running.faults.clear()
    running.journal.clear()
    return running


def failure(kind: type[RemoteError], call: Callable[[], object]) -> Any:
    with pytest.raises(RemoteError) as caught:
        call()
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]
