"""The Gitea stand-in of the tests: one running server, and ways to call it and to look behind it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from chatops_site.sandbox import demo
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitea import GiteaSystem, build_system
from chatops_site.sandbox.records import Pull
from chatops_site.sandbox.server import Faults, Journal, Request, Response, serve
from chatops_site.sandbox.world import World
from repos.errors import RemoteError
from repos.forges.gitea import Gitea
from repos.forges.resources import Merge
from tests.openapi import faults

SHOP, BOT = "acme/shop", "chatops-bot"
MARKER, NOBODY = "ChatOps run 1842", "0" * 40
DESCRIPTION = Path(__file__).parent / "cases" / "gitea_openapi.json"


class Heard:
    """The stand-in, remembering what the portal's client asked it."""

    name = "gitea"

    def __init__(self, inner: GiteaSystem) -> None:
        self.requests: list[Request] = []
        self._inner = inner

    def answer(self, request: Request) -> Response:
        if request.headers.get("user-agent", "").startswith("chatops-portal"):
            self.requests.append(request)
        return self._inner.answer(request)


@dataclass
class Stand:
    """One running stand-in; login picks the token of a call or of a client."""

    system: GiteaSystem
    heard: Heard
    world: World
    journal: Journal
    faults: Faults
    origin: str
    session: requests.Session

    def call(self, method: str, path: str, *, login: str = BOT, **more: Any) -> requests.Response:
        headers = {"Authorization": f"token demo-gitea-token-{login}"} if login else {}
        headers |= more.pop("headers", {})
        url = f"{self.origin}/api/v1{path}"
        more = {"timeout": 5, "allow_redirects": False, **more}
        return self.session.request(method, url, headers=headers, **more)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def client(self, login: str = BOT, deadline: float = 5.0) -> Gitea:
        token = f"demo-gitea-token-{login}"
        return Gitea(base_url=f"{self.origin}/api/v1", token=token, deadline=deadline)

    def change(self, op: str, number: int = 233, **arguments: Any) -> dict[str, Any]:
        return self.system.control(op, {"repository": SHOP, "number": number} | arguments)

    def fault(self, mode: str, path_regex: str = "", **options: Any) -> None:
        self.faults.add("gitea", mode=mode, path_regex=path_regex, **options)

    def pull(self, number: int = 233) -> Pull:
        return self.world.pull(SHOP, number)

    def sent(self, method: str = "POST") -> list[dict[str, Any]]:
        return [entry for entry in self.journal.entries if entry["method"] == method]


@pytest.fixture(scope="module")
def running() -> Iterator[Stand]:
    world, journal, faults = World(), Journal(), Faults()
    system = build_system(world, Clock())
    heard = Heard(system)
    (server,) = serve({heard: 0}, journal, faults)
    with requests.Session() as session:
        session.trust_env = False
        origin = f"http://127.0.0.1:{server.server_port}"
        yield Stand(system, heard, world, journal, faults, origin, session)
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


def merge(
    stand: Stand, *, login: str = BOT, sha: str = "", method: str = "merge", number: int = 233
) -> Merge:
    wanted = sha or stand.pull(number).head_sha
    return stand.client(login).merge(SHOP, number, sha=wanted, method=method, marker=MARKER)


def approve(stand: Stand, *, login: str = BOT, number: int = 233) -> None:
    stand.client(login).approve(SHOP, number, sha=stand.pull(number).head_sha)


def pass_tests(stand: Stand, *, login: str = BOT, sha: str = "") -> None:
    wanted = sha or stand.pull().head_sha
    url = "https://ci.example/1"
    stand.client(login).pass_tests(SHOP, 233, sha=wanted, name="chatops", url=url)


def undescribed(stand: Stand) -> list[str]:
    """What the client has asked, in all tests so far, that Gitea's description does not allow."""
    assert stand.heard.requests
    return faults(json.loads(DESCRIPTION.read_text("utf-8")), stand.heard.requests)
