"""The Gitea stand-in as one system: it knows the caller, finds the endpoint, refuses in JSON.

https://docs.gitea.com/development/api-usage
"""

from chatops_site.sandbox import pages
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.gitea import comments, pulls, repositories, reviews, statuses
from chatops_site.sandbox.gitea.calls import Call, Endpoint, Refused, not_found
from chatops_site.sandbox.records import READ, Token
from chatops_site.sandbox.server import Request
from chatops_site.sandbox.system import ForgeSystem, bearer
from chatops_site.sandbox.world import World

_ROUTES: dict[tuple[str, str], Endpoint] = {
    **repositories.ENDPOINTS,
    **statuses.ENDPOINTS,
    **comments.ENDPOINTS,
    **pulls.ENDPOINTS,
    **reviews.ENDPOINTS,
}
PAGES = pages.Style("Gitea", pulls="pulls", mark="#")


class GiteaSystem(ForgeSystem[Call]):
    """Answers under /api/v1; all else is a page for people. There are no limits: Gitea has none."""

    name = "gitea"
    prefixes = (("api", "v1"),)
    routes = _ROUTES
    style = PAGES
    call = Call

    def _secret(self, request: Request) -> str:
        secret = bearer(request, "bearer", "token")
        if secret is None:
            raise Refused(401, "token is required")
        return secret

    def _rejected(self, _token: Token | None) -> Refused:
        return Refused(401, "invalid username, password or token")

    def _no_route(self, _allowed: list[str]) -> Refused:
        return not_found()

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


def build_system(world: World, _clock: Clock) -> GiteaSystem:
    """Forges go by the wall's time."""
    return GiteaSystem(world)
