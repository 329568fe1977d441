"""A forge's stand-in for tests: one running server, and ways to call it and to look behind it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest
import requests

from chatops_site.sandbox import demo
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.control import Controlled
from chatops_site.sandbox.forges import FORGES
from chatops_site.sandbox.records import Pull, Repository
from chatops_site.sandbox.server import Faults, Journal, Request, Response, serve
from chatops_site.sandbox.world import World
from repos.forges.resources import Merge
from repos.forges.rest import RestForge

BOT, SHOP, WEB = "chatops-bot", "acme/shop", "acme/web"
MARKER, NOBODY = "ChatOps run 1842", "0" * 40
C = TypeVar("C", bound=RestForge)


class Heard:
    """A stand-in that remembers what the portal's client asked it."""

    def __init__(self, inner: Controlled) -> None:
        self.name = inner.name
        self.requests: list[Request] = []
        self._inner = inner

    def answer(self, request: Request) -> Response:
        if request.headers.get("user-agent", "").startswith("chatops-portal"):
            self.requests.append(request)
        return self._inner.answer(request)


@dataclass
class Stand(Generic[C]):
    """login picks the token of a call or of a client; changes are made behind the API's back."""

    forge: type[C]
    system: Controlled
    heard: Heard
    world: World
    origin: str
    session: requests.Session
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)

    @property
    def kind(self) -> str:
        return self.forge.kind

    @property
    def shop(self) -> Repository:
        return self.world.repository(SHOP)

    def call(self, method: str, path: str, *, login: str = BOT, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token(login)}"} if login else {}
        headers |= more.pop("headers", {})
        url = f"{self.origin}{FORGES[self.kind].api}{path}"
        more = {"timeout": 5, "allow_redirects": False, **more}
        return self.session.request(method, url, headers=headers, **more)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def token(self, login: str) -> str:
        return f"demo-{self.kind}-token-{login}"

    def client(self, login: str = BOT, *, token: str = "", root: str = "") -> C:
        url = f"{self.origin}{root}{FORGES[self.kind].api}"
        return self.forge(base_url=url, token=token or self.token(login), deadline=10.0)

    def change(self, op: str, number: int = 233, **arguments: Any) -> dict[str, Any]:
        return self.system.control(op, {"repository": SHOP, "number": number} | arguments)

    def fault(self, mode: str, path_regex: str = "", **options: Any) -> None:
        self.faults.add(self.kind, mode=mode, path_regex=path_regex, **options)

    def pull(self, number: int = 233) -> Pull:
        return self.world.pull(SHOP, number)

    def sent(self, method: str = "") -> list[dict[str, Any]]:
        """By one method, or by all that change something."""
        rows = [entry for entry in self.journal.entries if entry["method"] != "GET"]
        return [entry for entry in rows if method in ("", entry["method"])]


def fixtures(kind: type[Stand[C]], forge: type[C]) -> tuple[Any, Any]:
    """To be bound to "running" and any other name: a server for a file, its world as new for each test."""

    @pytest.fixture(scope="module")
    def running() -> Iterator[Stand[C]]:
        world, journal, faults = World(), Journal(), Faults()
        system = FORGES[forge.kind].build(world, Clock())
        heard = Heard(system)
        (server,) = serve({heard: 0}, journal, faults)
        with requests.Session() as session:
            session.trust_env = False
            origin = f"http://127.0.0.1:{server.server_port}"
            yield kind(forge, system, heard, world, origin, session, journal, faults)
        server.shutdown()
        server.server_close()

    @pytest.fixture
    def stand(running: Stand[C]) -> Stand[C]:
        demo.fill(running.world)
        running.faults.clear()
        running.journal.clear()
        return running

    return running, stand


def merge(
    stand: Stand[C], number: int = 233, *, login: str = BOT, sha: str = "", method: str = "merge"
) -> Merge:
    wanted = sha or stand.pull(number).head_sha
    return stand.client(login).merge(SHOP, number, sha=wanted, method=method, marker=MARKER)


def approve(stand: Stand[C], number: int = 233, *, login: str = BOT) -> None:
    stand.client(login).approve(SHOP, number, sha=stand.pull(number).head_sha)


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]
