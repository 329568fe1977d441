"""The GitHub stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://docs.github.com/en/enterprise-server/rest
"""

import hashlib
from typing import Any

from chatops_site.sandbox import changes, pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.github import checks, comments, graph, pulls, repositories, reviews
from chatops_site.sandbox.github.calls import Call, Endpoint, Refused, not_found
from chatops_site.sandbox.records import READ, Token
from chatops_site.sandbox.server import Request, Response, Router
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **repositories.ENDPOINTS,
    **checks.ENDPOINTS,
    **comments.ENDPOINTS,
    **pulls.ENDPOINTS,
    **reviews.ENDPOINTS,
}
_PREFIX, _GRAPH = ("api", "v3"), ("api", "graphql")
PAGES = pages.Style("GitHub", "pull", "#")
_READS = ("GET", "HEAD")


class GitHubSystem:
    """Answers under /api/v3 and /api/graphql as an Enterprise server; all else is a page for people."""

    name = "github"

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._router = Router(_ROUTES)

    def answer(self, request: Request) -> Response:
        with self._world.lock:
            if request.segments[:2] not in (_PREFIX, _GRAPH):
                return pages.show(self._world, request, PAGES)
            try:
                response = self._answer_api(request)
            except Refused as refusal:
                response = refusal.response()
        return _finished(request, response)

    def control(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with self._world.lock:
            return changes.change(self._world, op, arguments)

    def state(self) -> dict[str, Any]:
        with self._world.lock:
            return changes.snapshot(self._world)

    def _answer_api(self, request: Request) -> Response:
        token = self._token(request)
        if request.segments == _GRAPH and request.method == "POST":
            return graph.answer(self._world, request, token)
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
        """404 where the token sees nothing, a redirect where it was renamed, 403 in an archive."""
        if right < READ:
            raise not_found()
        new = self._world.renamed.get(path)
        if new is not None:
            place = request.raw_path.replace(f"/repos/{path}", f"/repos/{new}", 1)
            status = 301 if request.method in _READS else 307
            raise Refused(status, "Moved Permanently", location=f"{request.origin}{place}")
        found = self._world.repositories.get(path)
        if found is None:
            raise not_found()
        if found.archived and request.method not in _READS:
            raise Refused(403, "Repository was archived so is read-only.")

    def _token(self, request: Request) -> Token:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            raise Refused(401, "Requires authentication")
        token = self._world.token(secret, self.name)
        if token is None or token.state != "valid":
            raise Refused(401, "Bad credentials")
        return token


def _finished(request: Request, response: Response) -> Response:
    """GitHub's own headers; 304 for a read that the caller has already. No limits: Enterprise has none."""
    response.headers["X-GitHub-Media-Type"] = "github.v3; format=json"
    response.headers["X-GitHub-Enterprise-Version"] = "enterprise-server@3.14.0"
    if response.status == 200 and request.method in _READS:
        response.headers["X-OAuth-Scopes"] = "repo"
        digest = hashlib.md5(response.body, usedforsecurity=False).hexdigest()
        tag = response.headers["ETag"] = f'W/"{digest}"'
        if request.headers.get("if-none-match") == tag:
            return Response(304, headers=response.headers)
    return response


def build_system(world: World, clock: Clock) -> GitHubSystem:
    return GitHubSystem(world, clock)
