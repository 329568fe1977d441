"""The Gitee stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://gitee.com/api/v5/swagger
"""

import hashlib
from typing import Any

from chatops_site.sandbox import changes, pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitee import comments, pulls, repositories, reviews
from chatops_site.sandbox.gitee.calls import Call, Endpoint, Refused
from chatops_site.sandbox.records import READ, Token
from chatops_site.sandbox.server import Request, Response, Router, as_json
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **repositories.ENDPOINTS,
    # Before /pulls/{number}/…, so that "comments" is not taken for a number.
    **comments.ENDPOINTS,
    **pulls.ENDPOINTS,
    **reviews.ENDPOINTS,
}
_PREFIX = ("api", "v5")
PAGES = pages.Style("Gitee", "pulls", "!")


class GiteeSystem:
    """Answers under /api/v5 as Gitee does; everything else is a page for people."""

    name = "gitee"

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._router = Router(_ROUTES)

    def answer(self, request: Request) -> Response:
        with self._world.lock:
            if request.segments[:2] != _PREFIX:
                return pages.show(self._world, request, PAGES)
            response = self._call(request)
        response.headers["X-Request-Id"] = _request_id(request)
        return response

    def control(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with self._world.lock:
            return changes.change(self._world, op, arguments)

    def state(self) -> dict[str, Any]:
        with self._world.lock:
            return changes.snapshot(self._world)

    def _call(self, request: Request) -> Response:
        try:
            return self._answer_api(request)
        except Refused as refusal:
            return as_json({"message": refusal.message}, refusal.status)

    def _answer_api(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        match = self._router.find(method, request.segments[2:])
        if match is None:
            allowed = self._router.allowed(request.segments[2:])
            raise Refused(
                405 if allowed else 404, "405 Not Allowed" if allowed else "404 Not Found"
            )
        endpoint, found = match
        arguments = request.arguments()
        token = self._token(request, arguments)
        path = f"{found.get('owner', '')}/{found.get('repo', '')}"
        right = token.right_on(path)
        if "repo" in found and (right < READ or path not in self._world.repositories):
            raise Refused(404, "404 Project Not Found")
        account = self._world.accounts[token.login]
        return endpoint(Call(self._world, request, account, token, right, found, arguments))

    def _token(self, request: Request, arguments: dict[str, str]) -> Token:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            secret = ""
        token = self._world.token(secret or arguments.get("access_token", ""), self.name)
        if token is None:
            raise Refused(401, "401 Unauthorized: Access token does not exist")
        if token.state != "valid":
            raise Refused(401, f"401 Unauthorized: Access token is {token.state}")
        return token


def _request_id(request: Request) -> str:
    return hashlib.md5(
        f"{id(request)}{request.raw_path}".encode(), usedforsecurity=False
    ).hexdigest()


def build_system(world: World, clock: Clock) -> GiteeSystem:
    return GiteeSystem(world, clock)
