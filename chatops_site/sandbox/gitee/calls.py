"""What every endpoint of the Gitee stand-in gets, and how it refuses.

https://gitee.com/api/v5/swagger
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chatops_site.sandbox.records import (
    ADMIN,
    READ,
    WRITE,
    Account,
    Missing,
    Pull,
    Repository,
    Token,
)
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.world import World

PER_PAGE, MOST_PER_PAGE = 20, 100
_TRUE = frozenset({"true", "1"})
Row = TypeVar("Row")


class Refused(Exception):
    """An answer that is not 2xx: its status and Gitee's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


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
            raise Refused(404, "404 Project Not Found") from error

    @property
    def pull(self) -> Pull:
        number = self.found["number"]
        pull = self.repository.pulls.get(int(number)) if _is_number(number) else None
        if pull is None:
            raise Refused(404, "404 Pull Request Not Found")
        return pull

    def text(self, name: str, default: str = "") -> str:
        return self.arguments.get(name, default)

    def required(self, name: str) -> str:
        if not self.arguments.get(name):
            raise Refused(400, f"{name} is missing")
        return self.arguments[name]

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """The first of the choices is the default, as in Gitee's own reference."""
        value = self.arguments.get(name) or choices[0]
        if value not in choices:
            raise Refused(400, f"{name} does not have a valid value")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.arguments.get(name) or str(default)
        if not _is_number(value):
            raise Refused(400, f"{name} is invalid")
        return int(value)

    def truth(self, name: str) -> bool:
        return self.arguments.get(name, "").lower() in _TRUE

    def needs(self, right: int) -> None:
        if self.right < right:
            raise Refused(403, _LACKING[right])


Endpoint = Callable[[Call], Response]
_LACKING = {
    READ: "403 Forbidden",
    WRITE: "403 Forbidden: 没有该仓库的推送权限",
    ADMIN: "403 Forbidden: 仅仓库管理员可以执行该操作",
}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def page_of(call: Call, rows: Sequence[Row]) -> tuple[Sequence[Row], dict[str, str]]:
    """The rows of the page that was asked for, and Gitee's own headers about all of them."""
    size = max(1, min(call.number("per_page", PER_PAGE), MOST_PER_PAGE))
    page = max(1, call.number("page", 1))
    totals = {"total_count": str(len(rows)), "total_page": str(-(-len(rows) // size))}
    return rows[(page - 1) * size : page * size], totals


def paged(call: Call, rows: Sequence[Row], shape: Callable[[Row], Any]) -> Response:
    shown, totals = page_of(call, rows)
    return with_totals([shape(row) for row in shown], totals)


def with_totals(value: Any, totals: dict[str, str]) -> Response:
    response = as_json(value)
    response.headers.update(totals)
    return response
