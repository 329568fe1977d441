"""The Jenkins stand-in behind a real loopback server, with a clock that tests step by hand."""

import types
from typing import Any

import requests

from chatops_site.sandbox.jenkins import build_system
from chatops_site.sandbox.server import Faults, Journal, serve

TOKEN = ("bot", "demo-jenkins-token")
PASSWORD = ("bot", "demo-jenkins-password")
TEST = "/job/team/job/shop-test"
DEPLOY = "/job/team/job/myservice-deploy"
BILLING = "/job/team/job/billing-deploy"
NIGHTLY = "/job/team/job/nightly"
OLD = "/job/team/job/old"
BRANCH = "/job/team/job/mb/job/feature%252Fx"


class StepClock:
    """Epoch seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def now(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class Stand:
    """One running stand-in and a session of "bot" that follows no redirect."""

    def __init__(self, clock: Any = None) -> None:
        self.clock = clock or StepClock()
        self.world = types.SimpleNamespace(deployments=[])
        self.system = build_system(self.world, self.clock)
        self._server = serve({self.system: 0}, Journal(), Faults())[0]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jenkins"
        self.session = requests.Session()
        self.session.auth = TOKEN

    def close(self) -> None:
        self.session.close()
        self._server.shutdown()
        self._server.server_close()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(
            method, self.url + path, allow_redirects=False, timeout=10, **options
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.ask("POST", path, **options)

    def api(self, path: str, tree: str = "", **params: Any) -> Any:
        given = {"tree": tree} if tree else {}
        answer = self.get(f"{path}/api/json", params={**given, **params})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def control(self, op: str, **arguments: Any) -> dict[str, Any]:
        return self.system.control(op, arguments)

    def queue(self, path: str, data: dict[str, str] | None = None) -> int:
        """Triggers a job and tells the id of its queue item."""
        verb = "build" if data is None else "buildWithParameters"
        answer = self.post(f"{path}/{verb}", data=data)
        assert answer.status_code in (201, 303), answer.text
        return int(answer.headers["Location"].rstrip("/").rsplit("/", 1)[1])

    def start(self, path: str, data: dict[str, str] | None = None) -> str:
        """Triggers a job and waits for its build, which has just begun; the build's path."""
        item = self.queue(path, data)
        self.clock.advance(5)
        self.api(f"/queue/item/{item}")
        self.clock.advance(0.4)
        number = self.api(f"/queue/item/{item}")["executable"]["number"]
        return f"{path}/{number}"

    def anonymous(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(
            method, self.url + path, allow_redirects=False, timeout=10, **options
        )
