"""The Gitee stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://gitee.com/api/v5/swagger
"""

from chatops_site.sandbox import pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitee import comments, pulls, repositories, reviews
from chatops_site.sandbox.gitee.calls import Call, Endpoint, Refused
from chatops_site.sandbox.records import READ, Token
from chatops_site.sandbox.server import Request, Response
from chatops_site.sandbox.system import ForgeSystem, bearer, request_id
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **repositories.ENDPOINTS,
    # Before /pulls/{number}/…, so that "comments" is not taken for a number.
    **comments.ENDPOINTS,
    **pulls.ENDPOINTS,
    **reviews.ENDPOINTS,
}
PAGES = pages.Style("Gitee", "pulls", "!")


class GiteeSystem(ForgeSystem[Call]):
    """Answers under /api/v5 as Gitee does; everything else is a page for people."""

    name = "gitee"
    prefixes = (("api", "v5"),)
    routes = _ROUTES
    style = PAGES
    call = Call

    def _answer_api(self, request: Request) -> Response:
        """What is nowhere is not found, whoever asks."""
        self._route(request)
        return super()._answer_api(request)

    def _secret(self, request: Request) -> str:
        secret = bearer(request, "bearer", "token")
        return secret or request.arguments().get("access_token", "")

    def _rejected(self, token: Token | None) -> Refused:
        how = "does not exist" if token is None else f"is {token.state}"
        return Refused(401, f"401 Unauthorized: Access token {how}")

    def _no_route(self, allowed: list[str]) -> Refused:
        return Refused(405, "405 Not Allowed") if allowed else Refused(404, "404 Not Found")

    def _check_place(self, _request: Request, path: str, right: int) -> None:
        if right < READ or path not in self._world.repositories:
            raise Refused(404, "404 Project Not Found")

    def _finished(self, request: Request, response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id(request)
        return response


def build_system(world: World, _clock: Clock) -> GiteeSystem:
    """Forges go by the wall's time."""
    return GiteeSystem(world)
