"""Accounts, projects, branches, commits and statuses of the GitLab stand-in.

https://docs.gitlab.com/api/commits/
"""

from chatops_site.sandbox.gitlab import shapes
from chatops_site.sandbox.gitlab.calls import Call, Endpoint, Refused, paged
from chatops_site.sandbox.records import WRITE, Check
from chatops_site.sandbox.server import Response, as_json

_STATES: dict[str, tuple[str, str | None]] = {
    "pending": ("queued", None),
    "running": ("in_progress", None),
    "success": ("completed", "success"),
    "failed": ("completed", "failure"),
    "canceled": ("completed", "cancelled"),
    "skipped": ("completed", "skipped"),
}


def show_user(call: Call) -> Response:
    shape = shapes.user(call.world, call.login, call.origin)
    return as_json(shape | {"email": f"{call.login}@example.com", "bot": False})


def show_version(_call: Call) -> Response:
    return as_json({"version": "17.8.1", "revision": "sandbox"})


def list_projects(call: Call) -> Response:
    """What the token sees, by its path; search: a part of the name, with search_namespaces of the path."""
    sought, whole = call.text("search").casefold(), call.truth("search_namespaces")
    rows = [
        found for found in call.seen if sought in (found.path if whole else found.name).casefold()
    ]
    if call.choice("sort", ("desc", "asc")) == "desc":
        rows.reverse()
    return paged(call, rows, lambda row: shapes.project(row, call.origin))


def show_project(call: Call) -> Response:
    return as_json(shapes.project(call.repository, call.origin))


def show_approval_rules(call: Call) -> Response:
    found = call.repository
    return as_json(
        {
            "approvals_before_merge": found.protection.approvals,
            "reset_approvals_on_push": found.resets_on_push,
            "merge_requests_author_approval": False,
        }
    )


def list_branches(call: Call) -> Response:
    found = call.repository
    return paged(call, sorted(found.branches), lambda name: shapes.branch(found, name, call.origin))


def show_branch(call: Call) -> Response:
    found, name = call.repository, call.branch
    return as_json(shapes.branch(found, name, call.origin))


def list_commits(call: Call) -> Response:
    found = call.repository
    rows = list(found.history(call.sha(call.text("ref_name") or found.default_branch)))
    return paged(call, rows, lambda row: shapes.commit(found, row, call.origin))


def show_commit(call: Call) -> Response:
    found = call.repository
    one = found.commits[call.sha(call.found["sha"])]
    return as_json(shapes.commit(found, one, call.origin) | {"project_id": found.id})


def compare(call: Call) -> Response:
    found = call.repository
    base, head = (call.sha(call.required(name), "Ref") for name in ("from", "to"))
    rows = [shapes.commit(found, row, call.origin) for row in found.between(base, head)]
    return as_json(
        {
            "commit": rows[-1] if rows else None,
            "commits": rows,
            "diffs": [],
            "compare_timeout": False,
            "compare_same_ref": base == head,
            "web_url": f"{call.origin}/{found.path}/-/compare/{base}...{head}",
        }
    )


def list_statuses(call: Call) -> Response:
    """The newest of each name, unless all are asked for."""
    found, sha = call.repository, call.sha(call.found["sha"])
    rows = [row for row in found.checks if row.head_sha == sha]
    if not call.truth("all"):
        rows = list({row.name: row for row in rows}.values())
    return paged(call, rows, lambda row: shapes.status(call.world, row, call.origin))


def set_status(call: Call) -> Response:
    """A status that still runs is changed, one that has ended gets a follower."""
    call.needs(WRITE)
    found, state = call.repository, call.required("state")
    if state not in _STATES:
        raise Refused(400, "state does not have a valid value", key="error")
    sha, name = call.sha(call.found["sha"]), call.text("name") or call.text("context", "default")
    check = _running(call, sha, name) or call.world.set_check(
        found, name=name, sha=sha, conclusion=None, status="queued", kind="status"
    )
    if check.status == "in_progress" and state in ("pending", "running"):
        event = "enqueue" if state == "pending" else "run"
        raise Refused(400, f"Cannot transition status via :{event} from :running")
    _write(call, check, state)
    return as_json(shapes.status(call.world, check, call.origin), 201)


def _running(call: Call, sha: str, name: str) -> Check | None:
    rows = (row for row in call.repository.checks if (row.head_sha, row.name) == (sha, name))
    return next((row for row in rows if row.status != "completed"), None)


def _write(call: Call, check: Check, state: str) -> None:
    check.status, check.conclusion = _STATES[state]
    check.completed = call.world.now() if check.conclusion else None
    check.details_url = call.text("target_url") or check.details_url
    check.description = call.text("description") or check.description
    check.login = call.login


_PROJECT = "projects/{id}"
_COMMITS = f"{_PROJECT}/repository/commits"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "user"): show_user,
    ("GET", "version"): show_version,
    ("GET", "projects"): list_projects,
    ("GET", _PROJECT): show_project,
    ("GET", f"{_PROJECT}/approvals"): show_approval_rules,
    ("GET", f"{_PROJECT}/repository/branches"): list_branches,
    ("GET", f"{_PROJECT}/repository/branches/{{branch}}"): show_branch,
    ("GET", _COMMITS): list_commits,
    ("GET", f"{_COMMITS}/{{sha}}"): show_commit,
    ("GET", f"{_COMMITS}/{{sha}}/statuses"): list_statuses,
    ("GET", f"{_PROJECT}/repository/compare"): compare,
    ("POST", f"{_PROJECT}/statuses/{{sha}}"): set_status,
}
