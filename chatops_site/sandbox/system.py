"""What the forges' stand-ins are as systems: each knows the caller, finds the endpoint, refuses."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from chatops_site.sandbox import changes, pages
from chatops_site.sandbox.calls import Call, Refused
from chatops_site.sandbox.records import Token
from chatops_site.sandbox.server import Request, Response, Router
from chatops_site.sandbox.world import World

C = TypeVar("C", bound=Call)


class ForgeSystem(ABC, Generic[C]):
    """Answers below its prefixes as the forge does; everything else is a page for people."""

    name: str
    prefixes: tuple[tuple[str, str], ...]
    routes: Mapping[tuple[str, str], Callable[[C], Response]]
    style: pages.Style
    call: type[C]

    def __init__(self, world: World) -> None:
        self._world = world
        self._router = Router(self.routes)

    def answer(self, request: Request) -> Response:
        with self._world.lock:
            if request.segments[:2] not in self.prefixes:
                return pages.show(self._world, request, self.style)
            try:
                response = self._answer_api(request)
            except Refused as refusal:
                response = refusal.response(request.origin)
        return self._finished(request, response)

    def control(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with self._world.lock:
            return changes.change(self._world, op, arguments)

    def state(self) -> dict[str, Any]:
        with self._world.lock:
            return changes.snapshot(self._world)

    def _answer_api(self, request: Request) -> Response:
        token = self._token(request)
        endpoint, found = self._route(request)
        if "repo" in found:
            path = f"{found['owner']}/{found['repo']}"
            self._check_place(request, path, token.right_on(path))
        return endpoint(self._called(request, token, found))

    def _route(self, request: Request) -> tuple[Callable[[C], Response], dict[str, str]]:
        method = "GET" if request.method == "HEAD" else request.method
        match = self._router.find(method, request.segments[2:])
        if match is None:
            raise self._no_route(self._router.allowed(request.segments[2:]))
        return match

    def _called(self, request: Request, token: Token, found: dict[str, str]) -> C:
        account = self._world.accounts[token.login]
        return self.call(self._world, request, account, token, found, request.arguments())

    def _token(self, request: Request) -> Token:
        token = self._world.token(self._secret(request), self.name)
        if token is None or token.state != "valid":
            raise self._rejected(token)
        return token

    def _check_place(self, request: Request, path: str, right: int) -> None:
        """Refuses what may not be done in the repository that the route names."""

    def _finished(self, _request: Request, response: Response) -> Response:
        """With what the forge gives to each answer of its API."""
        return response

    @abstractmethod
    def _secret(self, request: Request) -> str: ...

    @abstractmethod
    def _rejected(self, token: Token | None) -> Refused:
        """The refusal of a token that is not known, or not valid any more."""

    @abstractmethod
    def _no_route(self, allowed: list[str]) -> Refused:
        """allowed: the methods that the path has."""


def bearer(request: Request, *schemes: str) -> str | None:
    """The secret behind one of these schemes."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret if scheme.lower() in schemes else None


def request_id(request: Request) -> str:
    text = f"{id(request)}{request.raw_path}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
