"""The GitLab stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://docs.gitlab.com/api/rest/
"""

import hashlib
from dataclasses import replace
from typing import Any

from chatops_site.sandbox import changes, pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitlab import notes, projects, pulls
from chatops_site.sandbox.gitlab.calls import Call, Endpoint, Mishap, Mishaps, Moved, Refused
from chatops_site.sandbox.records import Token
from chatops_site.sandbox.server import Request, Response, Router, as_json
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **projects.ENDPOINTS,
    **pulls.ENDPOINTS,
    **notes.ENDPOINTS,
}
_PREFIX = ("api", "v4")
# A GitLab may be installed below a path: then all its addresses begin with it.
_ROOT = "gitlab"
PAGES = pages.Style("GitLab", "-/merge_requests", "!", "-/commit")


class GitLabSystem:
    """Answers under /api/v4 and /gitlab/api/v4 as GitLab does; everything else is a page for people."""

    name = "gitlab"

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._router = Router(_ROUTES)
        self._mishaps = Mishaps()

    def answer(self, request: Request) -> Response:
        root = ""
        if request.segments[0] == _ROOT:
            root, request = f"/{_ROOT}", replace(request, segments=request.segments[1:] or ("",))
        with self._world.lock:
            if request.segments[:2] != _PREFIX:
                return pages.show(self._world, request, PAGES)
            response = self._call(request, root)
        response.headers["X-Request-Id"] = _request_id(request)
        return response

    def control(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Two operations more than all forges have: how the next merges of a pull request end."""
        with self._world.lock:
            if op not in ("merge_error", "slow_merge"):
                return changes.change(self._world, op, arguments)
            pull = self._world.pull(str(arguments["repository"]), int(arguments["number"]))
            error = str(arguments.get("text", "")) if op == "merge_error" else ""
            self._mishaps.put(Mishap(pull, error, int(arguments.get("looks", 0))))
            return changes.shown(pull)

    def state(self) -> dict[str, Any]:
        with self._world.lock:
            return changes.snapshot(self._world)

    def _call(self, request: Request, root: str) -> Response:
        try:
            return self._answer_api(request, root)
        except Refused as refusal:
            return as_json(refusal.body, refusal.status)
        except Moved as moved:
            rest = "/".join(request.raw_path.split("/projects/", 1)[1].split("/")[1:])
            place = f"{request.origin}{root}/api/v4/projects/{moved.number}"
            return Response(301, b"", {"Location": f"{place}/{rest}" if rest else place})

    def _answer_api(self, request: Request, root: str) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        token = self._token(request)
        match = self._router.find(method, request.segments[2:])
        if match is None:
            allowed = self._router.allowed(request.segments[2:])
            status, said = (405, "405 Not Allowed") if allowed else (404, "404 Not Found")
            raise Refused(status, said, key="error")
        endpoint, found = match
        account, arguments = self._world.accounts[token.login], request.arguments()
        return endpoint(
            Call(self._world, request, account, token, found, arguments, self._mishaps, root)
        )

    def _token(self, request: Request) -> Token:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            secret = ""
        token = self._world.token(request.headers.get("private-token", "") or secret, self.name)
        if token is None:
            raise Refused(401, "401 Unauthorized")
        if token.state != "valid":
            raise Refused(401, "invalid_token", key="error")
        return token


def _request_id(request: Request) -> str:
    text = f"{id(request)}{request.raw_path}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def build_system(world: World, clock: Clock) -> GitLabSystem:
    return GitLabSystem(world, clock)
