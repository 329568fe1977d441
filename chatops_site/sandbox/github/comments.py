"""Comments in the conversation of a pull request of the GitHub stand-in.

https://docs.github.com/en/rest/issues/comments
"""

from chatops_site.sandbox.github import shapes
from chatops_site.sandbox.github.calls import Call, Endpoint, paged
from chatops_site.sandbox.records import WRITE, Comment, Pull
from chatops_site.sandbox.server import Response, as_json


def list_comments(call: Call) -> Response:
    """Oldest first, in no other order."""
    found, pull = call.repository, call.pull
    shape = lambda row: shapes.comment(call.world, found, pull, row, call.origin)  # noqa: E731
    return paged(call, pull.comments, shape)


def add_comment(call: Call) -> Response:
    body = call.required("body", "IssueComment")
    comment = call.world.add_comment(call.pull, login=call.login, body=body)
    return _shown(call, call.pull, comment, status=201)


def show_comment(call: Call) -> Response:
    return _shown(call, *call.comment)


def change_comment(call: Call) -> Response:
    pull, comment = call.own_comment(WRITE)
    body = call.required("body", "IssueComment")
    call.world.edit_comment(pull, comment, body, by=call.login)
    return _shown(call, pull, comment)


def remove_comment(call: Call) -> Response:
    pull, comment = call.own_comment(WRITE)
    pull.comments.remove(comment)
    return Response(204)


def _shown(call: Call, pull: Pull, comment: Comment, *, status: int = 200) -> Response:
    shape = shapes.comment(call.world, call.repository, pull, comment, call.origin)
    return as_json(shape, status)


_ISSUES = "repos/{owner}/{repo}/issues"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", f"{_ISSUES}/{{number}}/comments"): list_comments,
    ("POST", f"{_ISSUES}/{{number}}/comments"): add_comment,
    ("GET", f"{_ISSUES}/comments/{{id}}"): show_comment,
    ("PATCH", f"{_ISSUES}/comments/{{id}}"): change_comment,
    ("DELETE", f"{_ISSUES}/comments/{{id}}"): remove_comment,
}
