"""The GitHub stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://docs.github.com/en/enterprise-server/rest
"""

import hashlib

from chatops_site.sandbox import pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.github import checks, comments, graph, pulls, repositories, reviews
from chatops_site.sandbox.github.calls import Call, Endpoint, Refused, not_found
from chatops_site.sandbox.records import READ, Token
from chatops_site.sandbox.server import Request, Response
from chatops_site.sandbox.system import ForgeSystem, bearer
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **repositories.ENDPOINTS,
    **checks.ENDPOINTS,
    **comments.ENDPOINTS,
    **pulls.ENDPOINTS,
    **reviews.ENDPOINTS,
}
_GRAPH = ("api", "graphql")
PAGES = pages.Style("GitHub", "pull", "#")
_READS = ("GET", "HEAD")


class GitHubSystem(ForgeSystem[Call]):
    """Answers under /api/v3 and /api/graphql as an Enterprise server; all else is a page for people."""

    name = "github"
    prefixes = (("api", "v3"), _GRAPH)
    routes = _ROUTES
    style = PAGES
    call = Call

    def _answer_api(self, request: Request) -> Response:
        if request.segments == _GRAPH and request.method == "POST":
            return graph.answer(self._world, request, self._token(request))
        return super()._answer_api(request)

    def _secret(self, request: Request) -> str:
        secret = bearer(request, "bearer", "token")
        if secret is None:
            raise Refused(401, "Requires authentication")
        return secret

    def _rejected(self, _token: Token | None) -> Refused:
        return Refused(401, "Bad credentials")

    def _no_route(self, _allowed: list[str]) -> Refused:
        return not_found()

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

    def _finished(self, request: Request, response: Response) -> Response:
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


def build_system(world: World, _clock: Clock) -> GitHubSystem:
    """Forges go by the wall's time."""
    return GitHubSystem(world)
