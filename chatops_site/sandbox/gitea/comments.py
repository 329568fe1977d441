"""Comments in the conversation of a pull request of the Gitea stand-in.

https://docs.gitea.com/api
"""

from chatops_site.sandbox.gitea import shapes
from chatops_site.sandbox.gitea.calls import Call, Endpoint
from chatops_site.sandbox.records import WRITE, Comment, Pull
from chatops_site.sandbox.server import Response, as_json


def list_comments(call: Call) -> Response:
    """All at once, the oldest first: this list has no pages."""
    rows = [_shape(call, call.pull, row) for row in call.pull.comments]
    response = as_json(rows)
    response.headers["X-Total-Count"] = str(len(rows))
    return response


def add_comment(call: Call) -> Response:
    body, pull = call.required("body"), call.pull
    comment = call.world.add_comment(pull, login=call.login, body=body)
    return as_json(_shape(call, pull, comment), 201)


def show_comment(call: Call) -> Response:
    return as_json(_shape(call, *call.comment))


def change_comment(call: Call) -> Response:
    pull, comment = call.own_comment(WRITE)
    call.world.edit_comment(pull, comment, call.required("body"), by=call.login)
    return as_json(_shape(call, pull, comment))


def remove_comment(call: Call) -> Response:
    pull, comment = call.own_comment(WRITE)
    pull.comments.remove(comment)
    return Response(204)


def _shape(call: Call, pull: Pull, comment: Comment) -> shapes.Shape:
    return shapes.comment(call.world, call.repository, pull, comment, call.origin)


_ISSUES = "repos/{owner}/{repo}/issues"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", f"{_ISSUES}/{{index}}/comments"): list_comments,
    ("POST", f"{_ISSUES}/{{index}}/comments"): add_comment,
    ("GET", f"{_ISSUES}/comments/{{id}}"): show_comment,
    ("PATCH", f"{_ISSUES}/comments/{{id}}"): change_comment,
    ("DELETE", f"{_ISSUES}/comments/{{id}}"): remove_comment,
}
