"""The GitLab stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://docs.gitlab.com/api/rest/
"""

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from chatops_site.sandbox import changes, pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitlab import notes, projects, pulls
from chatops_site.sandbox.gitlab.calls import Call, Endpoint, Mishap, Mishaps, Refused
from chatops_site.sandbox.records import Token
from chatops_site.sandbox.server import Request, Response
from chatops_site.sandbox.system import ForgeSystem, bearer, request_id
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **projects.ENDPOINTS,
    **pulls.ENDPOINTS,
    **notes.ENDPOINTS,
}
# A GitLab may be installed below a path: then all its addresses begin with it.
_ROOT = "gitlab"
PAGES = pages.Style("GitLab", "-/merge_requests", "!", "-/commit")


class GitLabSystem(ForgeSystem[Call]):
    """Answers under /api/v4 and /gitlab/api/v4 as GitLab does; everything else is a page for people."""

    name = "gitlab"
    prefixes = (("api", "v4"),)
    routes = _ROUTES
    style = PAGES
    call = Call

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._mishaps = Mishaps()

    def answer(self, request: Request) -> Response:
        if request.segments[0] == _ROOT:
            request = replace(request, segments=request.segments[1:] or ("",))
        return super().answer(request)

    def control(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Two operations more than all forges have: how the next merges of a pull request end."""
        if op not in ("merge_error", "slow_merge"):
            return super().control(op, arguments)
        with self._world.lock:
            pull = self._world.pull(str(arguments["repository"]), int(arguments["number"]))
            error = str(arguments.get("text", "")) if op == "merge_error" else ""
            self._mishaps.put(Mishap(pull, error, int(arguments.get("looks", 0))))
            return changes.shown(pull)

    def _called(self, request: Request, token: Token, found: dict[str, str]) -> Call:
        first = unquote(request.raw_path.strip("/").partition("/")[0])
        root = f"/{_ROOT}" if first == _ROOT else ""
        account, arguments = self._world.accounts[token.login], request.arguments()
        return Call(self._world, request, account, token, found, arguments, self._mishaps, root)

    def _secret(self, request: Request) -> str:
        return request.headers.get("private-token", "") or bearer(request, "bearer") or ""

    def _rejected(self, token: Token | None) -> Refused:
        if token is None:
            return Refused(401, "401 Unauthorized")
        return Refused(401, "invalid_token", key="error")

    def _no_route(self, allowed: list[str]) -> Refused:
        status, said = (405, "405 Not Allowed") if allowed else (404, "404 Not Found")
        return Refused(status, said, key="error")

    def _finished(self, request: Request, response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id(request)
        return response


def build_system(world: World, _clock: Clock) -> GitLabSystem:
    """Forges go by the wall's time."""
    return GitLabSystem(world)
