"""What every endpoint of the Gitea stand-in gets, how it pages and how it refuses.

https://docs.gitea.com/development/api-usage
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chatops_site.sandbox import calls
from chatops_site.sandbox.calls import is_number
from chatops_site.sandbox.records import WRITE
from chatops_site.sandbox.server import Response, as_json

Row = TypeVar("Row")


class Refused(calls.Refused):
    """An answer that is not 2xx: its status and Gitea's message; None sends no body at all."""

    def __init__(self, status: int, message: str | None = None, *, location: str = "") -> None:
        super().__init__(status, message or "")
        self.has_body = message is not None
        self.location = location

    def response(self, origin: str) -> Response:
        if self.location:
            return Response(self.status, headers={"Location": self.location}, content_type="")
        if not self.has_body:
            return Response(self.status, content_type="")
        body: dict[str, Any] = {"message": self.message, "url": f"{origin}/api/swagger"}
        return as_json({"errors": [], **body} if self.status == 404 else body, self.status)


def not_found() -> Refused:
    """Also for what the token may not see."""
    return Refused(404, "The target couldn't be found.")


class Call(calls.Call):
    """One authenticated call of the Gitea stand-in."""

    numbered = "index"
    # Gitea's defaults for [api] DEFAULT_PAGING_NUM and MAX_RESPONSE_ITEMS.
    paging = ("limit", 30, 50)

    def absent(self, _what: str) -> Refused:
        return not_found()

    def invalid(self, name: str, _how: str) -> Refused:
        return Refused(422, f"[{name.capitalize()}]: Required")

    def forbidden(self, _right: int) -> Refused:
        """Without a word."""
        return Refused(403)

    def number(self, name: str, default: int) -> int:
        """Gitea takes its default for what is no positive number."""
        value = self.text(name)
        return (int(value) if is_number(value) else 0) or default

    def truth(self, name: str) -> bool:
        return self.text(name) == "true"

    def needs_writer(self) -> None:
        if self.right < WRITE:
            raise Refused(403, "user should have a permission to write to a repo")


Endpoint = Callable[[Call], Response]


def paged(
    call: Call, rows: Sequence[Row], shape: Callable[[Row], Any], *, key: str = ""
) -> Response:
    """One page and the count of all; key: where the rows stand in the body."""
    page = call.page(rows)
    found = [shape(row) for row in page.rows]
    response = as_json({"ok": True, key: found} if key else found)
    response.headers["X-Total-Count"] = str(page.total)
    near = {"next": page.number + 1, "last": page.last} if page.number < page.last else {}
    near |= {"first": 1, "prev": page.number - 1} if page.number > 1 else {}
    if near:
        links = (f'<{call.address(to)}>; rel="{name}"' for name, to in near.items())
        response.headers["Link"] = ",".join(links)
    return response
