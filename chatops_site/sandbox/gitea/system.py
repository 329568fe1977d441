"""The Gitea stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://docs.gitea.com/development/api-usage
"""

from typing import Any

from chatops_site.sandbox import changes, pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitea import comments, pulls, repositories, reviews, statuses
from chatops_site.sandbox.gitea.calls import Call, Endpoint, Refused, not_found
from chatops_site.sandbox.records import READ, Token
from chatops_site.sandbox.server import Request, Response, Router
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **repositories.ENDPOINTS,
    **statuses.ENDPOINTS,
    **comments.ENDPOINTS,
    **pulls.ENDPOINTS,
    **reviews.ENDPOINTS,
}
_PREFIX = ("api", "v1")
PAGES = pages.Style("Gitea", pulls="pulls", mark="#")


class GiteaSystem:
    """Answers under /api/v1; all else is a page for people. There are no limits: Gitea has none."""

    name = "gitea"

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._router = Router(_ROUTES)

    def answer(self, request: Request) -> Response:
        with self._world.lock:
            if request.segments[:2] != _PREFIX:
                return pages.show(self._world, request, PAGES)
            try:
                return self._answer_api(request)
            except Refused as refusal:
                return refusal.response(request.origin)

    def control(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with self._world.lock:
            return changes.change(self._world, op, arguments)

    def state(self) -> dict[str, Any]:
        with self._world.lock:
            return changes.snapshot(self._world)

    def _answer_api(self, request: Request) -> Response:
        token = self._token(request)
        method = "GET" if request.method == "HEAD" else request.method
        match = self._router.find(method, request.segments[2:])
        if match is None:
            raise not_found()
        endpoint, found = match
        path = f"{found.get('owner', '')}/{found.get('repo', '')}"
        right = token.right_on(path)
        if "repo" in found:
            self._check_place(request, path, right)
        account = self._world.accounts[token.login]
        arguments = request.arguments()
        return endpoint(Call(self._world, request, account, token, right, found, arguments))

    def _check_place(self, request: Request, path: str, right: int) -> None:
        """A redirect where it was renamed, whoever asks; 404 for what one may not see; 423 in an archive."""
        new = self._world.renamed.get(path)
        if new is not None:
            # Gitea names the new place by its path alone.
            place = request.raw_path.replace(f"/repos/{path}", f"/repos/{new}", 1)
            raise Refused(301, location=place)
        found = self._world.repositories.get(path)
        if found is None or right < READ:
            raise not_found()
        if found.archived and request.method not in ("GET", "HEAD"):
            raise Refused(423, f"{path} is archived")

    def _token(self, request: Request) -> Token:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            raise Refused(401, "token is required")
        token = self._world.token(secret, self.name)
        if token is None or token.state != "valid":
            raise Refused(401, "invalid username, password or token")
        return token


def build_system(world: World, clock: Clock) -> GiteaSystem:
    return GiteaSystem(world, clock)
