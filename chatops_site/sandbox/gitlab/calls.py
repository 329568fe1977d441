"""What every endpoint of the GitLab stand-in gets, and how it refuses.

https://docs.gitlab.com/api/rest/#status-codes
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from chatops_site.sandbox import calls
from chatops_site.sandbox.records import READ, Pull, Repository
from chatops_site.sandbox.server import Response, as_json

# What GitLab words otherwise than the rest.
_ABSENT = {"Pull Request": "404 Not found"}
Row = TypeVar("Row")


class Refused(calls.Refused):
    """An answer that is not 2xx; its text stands under "message", or under "error" if it is about a parameter."""

    def __init__(self, status: int, said: Any, *, key: str = "message") -> None:
        super().__init__(status, str(said))
        self.body = {key: said}

    def response(self, _origin: str) -> Response:
        return as_json(self.body, self.status)


class Moved(calls.Refused):
    """The project was renamed: a GET is sent to its new place."""

    def __init__(self, place: str) -> None:
        super().__init__(301, place)

    def response(self, _origin: str) -> Response:
        return Response(301, b"", {"Location": self.message})


@dataclass
class Mishap:
    """What a merge that was taken comes to: an error, or so many looks that do not show it yet."""

    pull: Pull
    error: str = ""
    looks: int = 0


@dataclass
class Mishaps:
    """Kept by the pull request itself: the ids of a refilled world come again."""

    rows: list[Mishap] = field(default_factory=list)

    def put(self, mishap: Mishap) -> None:
        self.drop(mishap.pull)
        self.rows.append(mishap)

    def drop(self, pull: Pull) -> None:
        self.rows = [row for row in self.rows if row.pull is not pull]

    def of(self, pull: Pull) -> Mishap | None:
        return next((row for row in self.rows if row.pull is pull), None)


@dataclass(frozen=True)
class Call(calls.Call):
    """One authenticated call of the GitLab stand-in."""

    mishaps: Mishaps
    # Where GitLab is installed: "" or a relative root.
    root: str

    numbered = "iid"

    def absent(self, what: str) -> Refused:
        return Refused(404, _ABSENT.get(what, f"404 {what} Not Found"))

    def invalid(self, name: str, how: str) -> Refused:
        return Refused(400, f"{name} {how}", key="error")

    def forbidden(self, _right: int) -> Refused:
        return Refused(403, "403 Forbidden")

    @property
    def origin(self) -> str:
        return self.request.origin + self.root

    @property
    def repository(self) -> Repository:
        named = self.found["id"]
        new = self.world.renamed.get(named)
        if new in self.world.repositories and named not in self.world.repositories:
            self._check_seen(new)
            self._redirect(self.world.repositories[new])
        rows = self.world.repositories.values()
        found = next((row for row in rows if named in (row.path, str(row.id))), None)
        if found is None:
            raise self.absent("Project")
        self._check_seen(found.path)
        return found

    def _check_seen(self, path: str) -> None:
        if self.token.right_on(path) < READ:
            raise self.absent("Project")

    def _redirect(self, found: Repository) -> None:
        if self.request.method not in ("GET", "HEAD"):
            raise Refused(405, "Non GET methods are not allowed for moved projects")
        rest = "/".join(self.request.raw_path.split("/projects/", 1)[1].split("/")[1:])
        place = f"{self.origin}/api/v4/projects/{found.id}"
        raise Moved(f"{place}/{rest}" if rest else place)

    def names(self, name: str) -> list[str]:
        """A list in JSON, or a text with commas in it."""
        text = self.arguments.get(name, "")
        parts = json.loads(text) if text.startswith("[") else text.split(",")
        return [str(part) for part in parts if part]

    def needs(self, right: int) -> None:
        """Nobody writes to an archived project."""
        super().needs(right)
        if self.repository.archived:
            raise self.forbidden(right)

    def check_sha(self) -> None:
        sha = self.text("sha")
        if sha and sha != self.pull.head_sha:
            said = f"SHA does not match HEAD of source branch: {self.pull.head_sha}"
            raise Refused(409, said)


Endpoint = Callable[[Call], Response]


def paged(call: Call, rows: Sequence[Row], shape: Callable[[Row], Any]) -> Response:
    """The page that was asked for, with GitLab's headers about all of them."""
    page = call.page(rows)
    response = as_json([shape(row) for row in page.rows])
    response.headers |= {
        "X-Page": str(page.number),
        "X-Per-Page": str(page.size),
        "X-Total": str(page.total),
        "X-Total-Pages": str(page.last),
        "X-Next-Page": str(page.number + 1) if page.number < page.last else "",
        "X-Prev-Page": str(page.number - 1) if page.number > 1 else "",
        "Link": _links(call, page),
    }
    return response


def _links(call: Call, page: calls.Page[Any]) -> str:
    wanted = {"prev": page.number - 1, "next": page.number + 1, "first": 1, "last": page.last}
    return ", ".join(
        f'<{_page_url(call, number, page.size)}>; rel="{name}"'
        for name, number in wanted.items()
        if 1 <= number <= page.last
    )


def _page_url(call: Call, page: int, size: int) -> str:
    query = {**call.arguments, "page": str(page), "per_page": str(size)}
    return f"{call.request.origin}{call.request.raw_path}?{urlencode(query)}"
