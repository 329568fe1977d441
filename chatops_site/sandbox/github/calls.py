"""What every endpoint of the GitHub stand-in gets, and how it refuses.

https://docs.github.com/en/rest
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chatops_site.sandbox import calls
from chatops_site.sandbox.calls import is_number
from chatops_site.sandbox.records import Missing
from chatops_site.sandbox.server import Response, as_json

DOCUMENTATION = "https://docs.github.com/rest"
Row = TypeVar("Row")


class Refused(calls.Refused):
    """An answer that is not 2xx: its status, GitHub's message and what it lists as errors."""

    def __init__(self, status: int, message: str, *errors: Any, location: str = "") -> None:
        super().__init__(status, message)
        self.errors = errors
        self.location = location

    def response(self, _origin: str) -> Response:
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


class Call(calls.Call):
    """One authenticated call of the GitHub stand-in."""

    paging = ("per_page", 30, 100)

    def absent(self, what: str) -> Refused:
        return Refused(404, "Branch not found") if what == "Branch" else not_found()

    def invalid(self, name: str, _how: str) -> Refused:
        return invalid("Search", name)

    def forbidden(self, _right: int) -> Refused:
        return Refused(403, "Resource not accessible by personal access token")

    def required(self, name: str, resource: str = "PullRequest") -> str:
        if not self.arguments.get(name):
            raise invalid(resource, name, "missing_field")
        return self.arguments[name]

    def number(self, name: str, default: int) -> int:
        """GitHub takes its default for what is no number."""
        value = self.text(name)
        return int(value) if is_number(value) else default

    def sha(self, ref: str, _what: str = "Commit") -> str:
        try:
            return self.repository.resolve(ref)
        except Missing as error:
            raise Refused(422, f"No commit found for SHA: {ref}") from error


Endpoint = Callable[[Call], Response]


def page_of(call: Call, rows: Sequence[Row]) -> tuple[Sequence[Row], dict[str, str]]:
    """The rows of the page that was asked for, and the header that links to the others."""
    page = call.page(rows)
    near = {"prev": page.number - 1, "first": 1} if page.number > 1 else {}
    near |= {"next": page.number + 1, "last": page.last} if page.number < page.last else {}
    links = [f'<{call.address(to)}>; rel="{name}"' for name, to in near.items()]
    return page.rows, {"Link": ", ".join(links)} if links else {}


def paged(
    call: Call, rows: Sequence[Row], shape: Callable[[Row], Any], *, key: str = ""
) -> Response:
    """key: where the rows stand in an object that also counts them."""
    shown, headers = page_of(call, rows)
    found = [shape(row) for row in shown]
    response = as_json({"total_count": len(rows), key: found} if key else found)
    response.headers.update(headers)
    return response
