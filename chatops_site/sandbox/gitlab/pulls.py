"""Merge requests of the GitLab stand-in: list, show, create, change, approve and merge.

https://docs.gitlab.com/api/merge_requests/ and https://docs.gitlab.com/api/merge_request_approvals/
"""

from collections.abc import Callable

from chatops_site.sandbox.gitlab import shapes
from chatops_site.sandbox.gitlab.calls import Call, Endpoint, Refused, paged
from chatops_site.sandbox.records import READ, WRITE, Pull
from chatops_site.sandbox.server import Response, as_json

_SORTS: dict[str, Callable[[Pull], float]] = {
    "created_at": lambda pull: pull.created,
    "updated_at": lambda pull: pull.updated,
}
_FILTERS: dict[str, Callable[[Pull], str]] = {
    "source_branch": lambda pull: pull.head_ref,
    "target_branch": lambda pull: pull.base_ref,
    "author_username": lambda pull: pull.author,
}
_ASKED = ("all", "opened", "closed", "locked", "merged")


def list_pulls(call: Call) -> Response:
    state = call.choice("state", _ASKED).replace("opened", "open")
    rows = [row for row in call.repository.pulls.values() if state in ("all", row.state)]
    for name, read in _FILTERS.items():
        if value := call.text(name):
            rows = [row for row in rows if read(row) == value]
    rows.sort(key=_SORTS[call.choice("order_by", tuple(_SORTS))])
    if call.choice("sort", ("desc", "asc")) == "desc":
        rows.reverse()
    return paged(call, rows, lambda row: _shape(call, row))


def _shape(call: Call, pull: Pull) -> shapes.Shape:
    return shapes.pull(call.world, call.repository, pull, call.origin, mishaps=call.mishaps)


def show_pull(call: Call) -> Response:
    """Each look brings what is worked out meanwhile nearer."""
    pull = call.pull
    response = as_json(_shape(call, pull))
    pull.unknown_looks = max(0, pull.unknown_looks - 1)
    if mishap := call.mishaps.of(pull):
        mishap.looks = max(0, mishap.looks - 1)
    return response


def create_pull(call: Call) -> Response:
    call.needs(WRITE)
    found, head = call.repository, call.required("source_branch")
    base, title = call.required("target_branch"), call.required("title")
    if head not in found.branches or base not in found.branches:
        raise Refused(400, {"base": ["Source or target branch does not exist"]})
    twin = next((p for p in found.pulls.values() if (p.state, p.head_ref) == ("open", head)), None)
    if twin is not None:
        said = "Another open merge request already exists for this source branch"
        raise Refused(409, [f"{said}: !{twin.number}"])
    body = call.text("description")
    pull = call.world.open_pull(
        found, title=title, author=call.login, head_ref=head, base_ref=base, body=body
    )
    pull.draft = title.lower().startswith("draft:")
    return as_json(_shape(call, pull), 201)


def change_pull(call: Call) -> Response:
    call.needs(READ if call.pull.author == call.login else WRITE)
    pull, event = call.pull, call.text("state_event")
    if event == "close" and pull.state == "open":
        call.world.close(pull, by=call.login)
    elif event == "reopen" and pull.state == "closed":
        call.world.reopen(call.repository, pull, by=call.login)
    elif event not in ("", "close", "reopen"):
        raise Refused(400, "state_event does not have a valid value", key="error")
    pull.title = call.text("title") or pull.title
    pull.body = call.text("description", pull.body)
    if "labels" in call.arguments:
        pull.labels = call.names("labels")
    return as_json(_shape(call, pull))


def list_versions(call: Call) -> Response:
    return paged(call, shapes.versions(call.repository, call.pull), lambda row: row)


def list_pull_commits(call: Call) -> Response:
    found = call.repository
    rows = found.between(call.pull.base_sha, call.pull.head_sha)[::-1]
    return paged(call, rows, lambda row: shapes.commit(found, row, call.origin))


# Approvals


def show_approvals(call: Call) -> Response:
    return _approvals(call, 200)


def _approvals(call: Call, status: int) -> Response:
    shape = shapes.approvals(call.world, call.repository, call.pull, call.origin)
    return as_json(shape, status)


def approve(call: Call) -> Response:
    """The author and who has approved already get a 401, as an unknown token does."""
    call.needs(WRITE)
    call.check_sha()
    pull = call.pull
    if call.login == pull.author or call.login in shapes.approved(call.repository, pull):
        raise Refused(401, "401 Unauthorized")
    call.world.add_review(pull, login=call.login, state="approved")
    return _approvals(call, 201)


def unapprove(call: Call) -> Response:
    if call.login not in shapes.approved(call.repository, call.pull):
        raise Refused(404, "404 Not Found")
    call.world.add_review(call.pull, login=call.login, state="dismissed")
    return _approvals(call, 201)


# Merging


def merge_pull(call: Call) -> Response:
    """The order is GitLab's: right, mergeability, conflict, and only then the sha."""
    call.before_merge()
    pull = call.pull
    _check_gates(call, pull)
    call.check_sha()
    if (mishap := call.mishaps.of(pull)) and mishap.error:
        return as_json(_shape(call, pull))
    _land(call, pull)
    return as_json(_shape(call, pull))


def _check_gates(call: Call, pull: Pull) -> None:
    """A merge does not wait for the mergeability: it works it out itself."""
    if call.repository.archived:
        raise Refused(403, "403 Forbidden")
    if call.right < WRITE:
        raise Refused(401, "401 Unauthorized")
    pull.unknown_looks = 0
    status = shapes.merge_status(call.repository, pull)
    if status == "conflict":
        raise Refused(422, "Branch cannot be merged")
    if status != "mergeable":
        raise Refused(405, "405 Method Not Allowed")


def _land(call: Call, pull: Pull) -> None:
    found, squash = call.repository, call.truth("squash")
    fast = shapes.is_fast_forward(found) and not squash
    name = "squash_commit_message" if squash else "merge_commit_message"
    title, _, text = call.text(name).partition("\n\n")
    call.world.merge(
        found,
        pull,
        by=call.login,
        method="squash" if squash else "rebase" if fast else "merge",
        title=title,
        description=text,
        prune=call.truth("should_remove_source_branch"),
    )
    if fast:
        found.branches[pull.base_ref] = pull.merge_sha = pull.head_sha


_PULLS = "projects/{id}/merge_requests"
_PULL = f"{_PULLS}/{{iid}}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", _PULLS): list_pulls,
    ("POST", _PULLS): create_pull,
    ("GET", _PULL): show_pull,
    ("PUT", _PULL): change_pull,
    ("GET", f"{_PULL}/versions"): list_versions,
    ("GET", f"{_PULL}/commits"): list_pull_commits,
    ("GET", f"{_PULL}/approvals"): show_approvals,
    ("POST", f"{_PULL}/approve"): approve,
    ("POST", f"{_PULL}/unapprove"): unapprove,
    ("PUT", f"{_PULL}/merge"): merge_pull,
}
