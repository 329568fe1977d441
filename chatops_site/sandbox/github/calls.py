"""What every endpoint of the GitHub stand-in gets, and how it refuses.

https://docs.github.com/en/rest
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from chatops_site.sandbox.records import Account, Missing, Pull, Repository, Token
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.world import World

PER_PAGE, MOST_PER_PAGE = 30, 100
DOCUMENTATION = "https://docs.github.com/rest"
Row = TypeVar("Row")


class Refused(Exception):
    """An answer that is not 2xx: its status, GitHub's message and what it lists as errors."""

    def __init__(self, status: int, message: str, *errors: Any, location: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.location = location

    def response(self) -> Response:
        body = {"message": self.message, "documentation_url": DOCUMENTATION}
        body["status"] = str(self.status)
        more: dict[str, Any] = {"errors": list(self.errors)} if self.errors else {}
        response = as_json(body | more, self.status)
        if self.location:
            response.headers["Location"] = self.location
        return response


def not_found() -> Refused:
    """Also for what the token may not see."""
    return Refused(404, "Not Found")


def invalid(resource: str, field: str, code: str = "invalid") -> Refused:
    return Refused(422, "Validation Failed", {"resource": resource, "field": field, "code": code})


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
        number = self.found["number"]
        pull = self.repository.pulls.get(int(number)) if _is_number(number) else None
        if pull is None:
            raise not_found()
        return pull

    def text(self, name: str, default: str = "") -> str:
        return self.arguments.get(name, default)

    def required(self, name: str, resource: str) -> str:
        if not self.arguments.get(name):
            raise invalid(resource, name, "missing_field")
        return self.arguments[name]

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """The first of the choices is the default."""
        value = self.arguments.get(name) or choices[0]
        if value not in choices:
            raise invalid("Search", name)
        return value

    def number(self, name: str, default: int) -> int:
        """GitHub takes its default for what is no number."""
        value = self.arguments.get(name) or ""
        return int(value) if _is_number(value) else default

    def needs(self, right: int) -> None:
        if self.right < right:
            raise Refused(403, "Resource not accessible by personal access token")

    def sha(self, ref: str) -> str:
        try:
            return self.repository.resolve(ref)
        except Missing as error:
            raise Refused(422, f"No commit found for SHA: {ref}") from error


Endpoint = Callable[[Call], Response]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def page_of(call: Call, rows: Sequence[Row]) -> tuple[Sequence[Row], dict[str, str]]:
    """The rows of the page that was asked for, and the header that links to the others."""
    size = max(1, min(call.number("per_page", PER_PAGE), MOST_PER_PAGE))
    page, last = max(1, call.number("page", 1)), max(1, -(-len(rows) // size))
    near = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    wanted = ["prev", "first"] if page > 1 else []
    wanted += ["next", "last"] if page < last else []
    links = [f'<{_address(call, near[name])}>; rel="{name}"' for name in wanted]
    headers = {"Link": ", ".join(links)} if links else {}
    return rows[(page - 1) * size : page * size], headers


def _address(call: Call, page: int) -> str:
    query = {name: values[-1] for name, values in call.request.query.items()}
    return f"{call.origin}{call.request.raw_path}?{urlencode(query | {'page': page})}"


def paged(
    call: Call, rows: Sequence[Row], shape: Callable[[Row], Any], *, key: str = ""
) -> Response:
    """key: where the rows stand in an object that also counts them."""
    shown, headers = page_of(call, rows)
    found = [shape(row) for row in shown]
    response = as_json({"total_count": len(rows), key: found} if key else found)
    response.headers.update(headers)
    return response
