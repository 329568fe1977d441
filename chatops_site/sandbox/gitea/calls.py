"""What every endpoint of the Gitea stand-in gets, how it pages and how it refuses.

https://docs.gitea.com/development/api-usage
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from chatops_site.sandbox.records import WRITE, Account, Missing, Pull, Repository, Token
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.world import World

# Gitea's defaults for [api] DEFAULT_PAGING_NUM and MAX_RESPONSE_ITEMS.
LIMIT, MOST = 30, 50
Row = TypeVar("Row")


class Refused(Exception):
    """An answer that is not 2xx: its status and Gitea's message; None sends no body at all."""

    def __init__(self, status: int, message: str | None = None, *, location: str = "") -> None:
        super().__init__(message or "")
        self.status = status
        self.message = message
        self.location = location

    def response(self, origin: str) -> Response:
        if self.location:
            return Response(self.status, headers={"Location": self.location}, content_type="")
        if self.message is None:
            return Response(self.status, content_type="")
        body: dict[str, Any] = {"message": self.message, "url": f"{origin}/api/swagger"}
        return as_json({"errors": [], **body} if self.status == 404 else body, self.status)


def not_found() -> Refused:
    """Also for what the token may not see."""
    return Refused(404, "The target couldn't be found.")


@dataclass(frozen=True)
class Call:
    """One authenticated call: who asks, with what right, about what."""

    world: World
    request: Request
    account: Account
    token: Token
    right: int
    found: dict[str, str]
    arguments: dict[str, str]

    @property
    def origin(self) -> str:
        return self.request.origin

    @property
    def login(self) -> str:
        return self.account.login

    @property
    def repository(self) -> Repository:
        try:
            return self.world.repository(f"{self.found['owner']}/{self.found['repo']}")
        except Missing as error:
            raise not_found() from error

    @property
    def pull(self) -> Pull:
        number = self.found["index"]
        pull = self.repository.pulls.get(int(number)) if _is_number(number) else None
        if pull is None:
            raise not_found()
        return pull

    def text(self, name: str, default: str = "") -> str:
        return self.arguments.get(name, default)

    def is_set(self, name: str) -> bool:
        return self.arguments.get(name) == "true"

    def required(self, name: str) -> str:
        if not self.arguments.get(name):
            raise Refused(422, f"[{name.capitalize()}]: Required")
        return self.arguments[name]

    def number(self, name: str, default: int) -> int:
        """Gitea takes its default for what is no positive number."""
        value = self.arguments.get(name) or ""
        return (int(value) if _is_number(value) else 0) or default

    def needs_writer(self) -> None:
        if self.right < WRITE:
            raise Refused(403, "user should have a permission to write to a repo")

    def sha(self, ref: str) -> str:
        try:
            return self.repository.resolve(ref)
        except Missing as error:
            raise not_found() from error


Endpoint = Callable[[Call], Response]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def paged(
    call: Call, rows: Sequence[Row], shape: Callable[[Row], Any], *, key: str = ""
) -> Response:
    """One page and the count of all; key: where the rows stand in the body."""
    size = min(call.number("limit", LIMIT), MOST)
    page, last = call.number("page", 1), max(1, -(-len(rows) // size))
    found = [shape(row) for row in rows[(page - 1) * size : page * size]]
    response = as_json({"ok": True, key: found} if key else found)
    response.headers["X-Total-Count"] = str(len(rows))
    near = {"next": page + 1, "last": last} if page < last else {}
    near |= {"first": 1, "prev": page - 1} if page > 1 else {}
    if near:
        links = (f'<{_address(call, to)}>; rel="{name}"' for name, to in near.items())
        response.headers["Link"] = ",".join(links)
    return response


def _address(call: Call, page: int) -> str:
    query = {name: values[-1] for name, values in call.request.query.items()}
    return f"{call.origin}{call.request.raw_path}?{urlencode(query | {'page': page})}"
