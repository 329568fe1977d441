"""The Gitee stand-in of the tests: one running server, and a way to call it as somebody."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from chatops_site.sandbox import demo
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitee import GiteeSystem, build_system
from chatops_site.sandbox.server import Faults, Journal, serve
from chatops_site.sandbox.world import World

SHOP = "/repos/acme/shop"


@dataclass
class Gitee:
    """One running stand-in, and a way to call it as somebody."""

    system: GiteeSystem
    world: World
    origin: str
    session: requests.Session

    def call(
        self, method: str, path: str, *, login: str = "chatops-bot", **more: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer demo-gitee-token-{login}"} if login else {}
        url = f"{self.origin}/api/v5{path}"
        return self.session.request(method, url, headers=headers, timeout=5, **more)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def change(self, op: str, number: int = 233, **arguments: Any) -> dict[str, Any]:
        target = {"repository": "acme/shop", "number": number}
        return self.system.control(op, target | arguments)

    def make_ready(self, number: int = 233) -> None:
        self.change("set_review", number, login="chatops-bot")
        self.change("set_test", number, login="chatops-bot")

    def merge(self, number: int = 233, **body: Any) -> requests.Response:
        return self.call("PUT", f"{SHOP}/pulls/{number}/merge", json=body)


@pytest.fixture(scope="module")
def running_gitee() -> Iterator[Gitee]:
    world = World()
    system = build_system(world, Clock())
    (server,) = serve({system: 0}, Journal(), Faults())
    with requests.Session() as session:
        session.trust_env = False
        yield Gitee(system, world, f"http://127.0.0.1:{server.server_port}", session)
    server.shutdown()
    server.server_close()


@pytest.fixture
def gitee(running_gitee: Gitee) -> Gitee:
    """The demo world as new, on a server that the tests of one file share."""
    demo.fill(running_gitee.world)
    return running_gitee


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]
