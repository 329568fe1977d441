"""What every endpoint of the GitLab stand-in gets, and how it refuses.

https://docs.gitlab.com/api/rest/#status-codes
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from chatops_site.sandbox.records import READ, Account, Pull, Repository, Token
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.world import World

PER_PAGE, MOST_PER_PAGE = 20, 100
_TRUE = frozenset({"true", "1"})
Row = TypeVar("Row")


class Refused(Exception):
    """An answer that is not 2xx; its text stands under "message", or under "error" if it is about a parameter."""

    def __init__(self, status: int, said: Any, *, key: str = "message") -> None:
        super().__init__(str(said))
        self.status = status
        self.body = {key: said}


class Moved(Exception):
    """The project was renamed: a GET is sent to its number."""

    def __init__(self, number: int) -> None:
        super().__init__(str(number))
        self.number = number


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
class Call:
    """One authenticated call: who asks, with what right, about what."""

    world: World
    request: Request
    account: Account
    token: Token
    found: dict[str, str]
    arguments: dict[str, str]
    mishaps: Mishaps
    # Where GitLab is installed: "" or a relative root.
    root: str

    @property
    def origin(self) -> str:
        return self.request.origin + self.root

    @property
    def login(self) -> str:
        return self.account.login

    @property
    def right(self) -> int:
        return self.token.right_on(self.repository.path)

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
            raise Refused(404, "404 Project Not Found")
        self._check_seen(found.path)
        return found

    def _check_seen(self, path: str) -> None:
        if self.token.right_on(path) < READ:
            raise Refused(404, "404 Project Not Found")

    def _redirect(self, found: Repository) -> None:
        if self.request.method not in ("GET", "HEAD"):
            raise Refused(405, "Non GET methods are not allowed for moved projects")
        raise Moved(found.id)

    @property
    def pull(self) -> Pull:
        number = self.found["iid"]
        pull = self.repository.pulls.get(int(number)) if _is_number(number) else None
        if pull is None:
            raise Refused(404, "404 Not found")
        return pull

    def text(self, name: str, default: str = "") -> str:
        return self.arguments.get(name, default)

    def required(self, name: str) -> str:
        if not self.arguments.get(name):
            raise Refused(400, f"{name} is missing", key="error")
        return self.arguments[name]

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """The first of the choices is the default, as in GitLab's own reference."""
        value = self.arguments.get(name) or choices[0]
        if value not in choices:
            raise Refused(400, f"{name} does not have a valid value", key="error")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.arguments.get(name) or str(default)
        if not _is_number(value):
            raise Refused(400, f"{name} is invalid", key="error")
        return int(value)

    def truth(self, name: str) -> bool:
        return self.arguments.get(name, "").lower() in _TRUE

    def names(self, name: str) -> list[str]:
        """A list in JSON, or a text with commas in it."""
        text = self.arguments.get(name, "")
        parts = json.loads(text) if text.startswith("[") else text.split(",")
        return [str(part) for part in parts if part]

    def needs(self, right: int) -> None:
        """Nobody writes to an archived project."""
        if self.right < right or self.repository.archived:
            raise Refused(403, "403 Forbidden")

    def check_sha(self) -> None:
        sha = self.text("sha")
        if sha and sha != self.pull.head_sha:
            said = f"SHA does not match HEAD of source branch: {self.pull.head_sha}"
            raise Refused(409, said)


Endpoint = Callable[[Call], Response]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def paged(call: Call, rows: Sequence[Row], shape: Callable[[Row], Any]) -> Response:
    """The page that was asked for, with GitLab's headers about all of them."""
    size = max(1, min(call.number("per_page", PER_PAGE), MOST_PER_PAGE))
    page = max(1, call.number("page", 1))
    pages = max(1, -(-len(rows) // size))
    response = as_json([shape(row) for row in rows[(page - 1) * size : page * size]])
    response.headers |= {
        "X-Page": str(page),
        "X-Per-Page": str(size),
        "X-Total": str(len(rows)),
        "X-Total-Pages": str(pages),
        "X-Next-Page": str(page + 1) if page < pages else "",
        "X-Prev-Page": str(page - 1) if page > 1 else "",
        "Link": _links(call, page=page, pages=pages, size=size),
    }
    return response


def _links(call: Call, *, page: int, pages: int, size: int) -> str:
    wanted = {"prev": page - 1, "next": page + 1, "first": 1, "last": pages}
    return ", ".join(
        f'<{_page_url(call, number, size)}>; rel="{name}"'
        for name, number in wanted.items()
        if 1 <= number <= pages
    )


def _page_url(call: Call, page: int, size: int) -> str:
    query = {**call.arguments, "page": str(page), "per_page": str(size)}
    return f"{call.request.origin}{call.request.raw_path}?{urlencode(query)}"
