"""Comments on pull requests of the Gitee stand-in.

https://gitee.com/api/v5/swagger#/getV5ReposOwnerRepoPullsNumberComments
"""

from chatops_site.sandbox.gitee import shapes
from chatops_site.sandbox.gitee.calls import Call, Endpoint, paged
from chatops_site.sandbox.records import ADMIN, Comment, Pull
from chatops_site.sandbox.server import Response, as_json


def list_comments(call: Call) -> Response:
    found, pull = call.repository, call.pull
    kind = call.text("comment_type")
    rows = [row for row in pull.comments if not kind or _kind(row) == kind]
    if call.choice("direction", ("asc", "desc")) == "desc":
        rows.reverse()
    return paged(call, rows, lambda row: shapes.comment(call.world, found, pull, row, call.origin))


def _kind(row: Comment) -> str:
    return "diff_comment" if row.path else "pr_comment"


def add_comment(call: Call) -> Response:
    comment = call.world.add_comment(
        call.pull,
        login=call.login,
        body=call.required("body"),
        commit_id=call.text("commit_id") or None,
        path=call.text("path") or None,
        position=call.number("position", 0) or None,
    )
    return _shown(call, call.pull, comment, status=201)


def show_comment(call: Call) -> Response:
    return _shown(call, *call.comment)


def change_comment(call: Call) -> Response:
    pull, comment = call.own_comment(ADMIN)
    call.world.edit_comment(pull, comment, call.required("body"), by=call.login)
    return _shown(call, pull, comment)


def remove_comment(call: Call) -> Response:
    pull, comment = call.own_comment(ADMIN)
    pull.comments.remove(comment)
    return Response(204)


def _shown(call: Call, pull: Pull, comment: Comment, *, status: int = 200) -> Response:
    shape = shapes.comment(call.world, call.repository, pull, comment, call.origin)
    return as_json(shape, status)


_COMMENTS = "repos/{owner}/{repo}/pulls/comments"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "repos/{owner}/{repo}/pulls/{number}/comments"): list_comments,
    ("POST", "repos/{owner}/{repo}/pulls/{number}/comments"): add_comment,
    ("GET", f"{_COMMENTS}/{{id}}"): show_comment,
    ("PATCH", f"{_COMMENTS}/{{id}}"): change_comment,
    ("DELETE", f"{_COMMENTS}/{{id}}"): remove_comment,
}
