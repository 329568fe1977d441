"""What every endpoint of the Gitee stand-in gets, and how it refuses.

https://gitee.com/api/v5/swagger
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chatops_site.sandbox import calls
from chatops_site.sandbox.calls import Refused
from chatops_site.sandbox.records import ADMIN, READ, WRITE
from chatops_site.sandbox.server import Response, as_json

__all__ = ["Call", "Endpoint", "Refused", "page_of", "paged", "with_totals"]

_LACKING = {
    READ: "403 Forbidden",
    WRITE: "403 Forbidden: 没有该仓库的推送权限",
    ADMIN: "403 Forbidden: 仅仓库管理员可以执行该操作",
}
Row = TypeVar("Row")


class Call(calls.Call):
    """One authenticated call of the Gitee stand-in."""

    def absent(self, what: str) -> Refused:
        return Refused(404, f"404 {what} Not Found")

    def invalid(self, name: str, how: str) -> Refused:
        return Refused(400, f"{name} {how}")

    def forbidden(self, right: int) -> Refused:
        return Refused(403, _LACKING[right])


Endpoint = Callable[[Call], Response]


def page_of(call: Call, rows: Sequence[Row]) -> tuple[Sequence[Row], dict[str, str]]:
    """The rows of the page that was asked for, and Gitee's own headers about all of them."""
    page = call.page(rows)
    return page.rows, {"total_count": str(page.total), "total_page": str(page.count)}


def paged(call: Call, rows: Sequence[Row], shape: Callable[[Row], Any]) -> Response:
    shown, totals = page_of(call, rows)
    return with_totals([shape(row) for row in shown], totals)


def with_totals(value: Any, totals: dict[str, str]) -> Response:
    response = as_json(value)
    response.headers.update(totals)
    return response
