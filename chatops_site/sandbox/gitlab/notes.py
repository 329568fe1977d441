"""Notes on merge requests of the GitLab stand-in; a line that begins with "/" is carried out.

https://docs.gitlab.com/api/notes/#merge-requests
"""

import re

from chatops_site.sandbox.gitlab import shapes
from chatops_site.sandbox.gitlab.calls import Call, Endpoint, Refused, paged
from chatops_site.sandbox.records import ADMIN, READ, Comment, Operation
from chatops_site.sandbox.server import Response, as_json

_FILTERS = ("all_notes", "only_comments", "only_activity")
_FENCE = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)
_QUICK = re.compile(r"^/([a-z_]+)\b.*\n?", re.MULTILINE)


def list_notes(call: Call) -> Response:
    wanted = call.choice("activity_filter", _FILTERS)
    rows: list[Comment | Operation] = []
    if wanted != "only_activity":
        rows += call.pull.comments
    if wanted != "only_comments":
        rows += call.pull.operations
    field = call.choice("order_by", ("created_at", "updated_at"))
    rows.sort(key=lambda row: _time(row, field))
    if call.choice("sort", ("desc", "asc")) == "desc":
        rows.reverse()
    return paged(call, rows, lambda row: shapes.note(call.world, call.pull, row, call.origin))


def _time(row: Comment | Operation, field: str) -> float:
    if isinstance(row, Operation):
        return row.at
    return row.updated if field == "updated_at" else row.created


def add_note(call: Call) -> Response:
    call.needs(READ)
    body = _carried_out(call, call.required("body"))
    if not body:
        return as_json({"commands_changes": {}, "summary": ["Commands applied"]}, 202)
    comment = call.world.add_comment(call.pull, login=call.login, body=body)
    return _shown(call, comment, 201)


def _carried_out(call: Call, body: str) -> str:
    """What is left of the text once its quick actions are carried out; /close stands for them all."""
    bare = _FENCE.sub("", body)
    actions = _QUICK.findall(bare)
    if not actions:
        return body
    if "close" in actions and call.pull.state == "open":
        call.world.close(call.pull, by=call.login)
    return _QUICK.sub("", bare).strip()


def show_note(call: Call) -> Response:
    return _shown(call, _found(call))


def change_note(call: Call) -> Response:
    comment = _own(call)
    body = _carried_out(call, call.required("body"))
    call.world.edit_comment(call.pull, comment, body, by=call.login)
    return _shown(call, comment)


def remove_note(call: Call) -> Response:
    call.pull.comments.remove(_own(call))
    return Response(204)


def _own(call: Call) -> Comment:
    """A system note is nobody's."""
    note = _found(call)
    call.needs(READ)
    if isinstance(note, Operation):
        raise Refused(403, "403 Forbidden")
    if note.login != call.login:
        call.needs(ADMIN)
    return note


def _found(call: Call) -> Comment | Operation:
    rows: list[Comment | Operation] = [*call.pull.comments, *call.pull.operations]
    for row in rows:
        if str(row.id) == call.found["note"]:
            return row
    raise Refused(404, "404 Note Not Found")


def _shown(call: Call, note: Comment | Operation, status: int = 200) -> Response:
    return as_json(shapes.note(call.world, call.pull, note, call.origin), status)


_NOTES = "projects/{id}/merge_requests/{iid}/notes"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", _NOTES): list_notes,
    ("POST", _NOTES): add_note,
    ("GET", f"{_NOTES}/{{note}}"): show_note,
    ("PUT", f"{_NOTES}/{{note}}"): change_note,
    ("DELETE", f"{_NOTES}/{{note}}"): remove_note,
}
