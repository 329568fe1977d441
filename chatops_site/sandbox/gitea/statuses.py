"""Commit statuses of the Gitea stand-in: every check is one.

https://docs.gitea.com/api
"""

from chatops_site.sandbox.calls import set_status
from chatops_site.sandbox.gitea import gates, shapes
from chatops_site.sandbox.gitea.calls import Call, Endpoint, Refused, paged
from chatops_site.sandbox.records import Check
from chatops_site.sandbox.server import Response, as_json

# What a status says, as the conclusion that all forges share.
_CONCLUSIONS = {
    "success": "success",
    "failure": "failure",
    "error": "error",
    "warning": "neutral",
    "pending": None,
}
_WORST = ("error", "failure", "warning", "pending")


def _of_commit(call: Call) -> list[Check]:
    sha = call.sha(call.found["ref"])
    return [row for row in call.repository.checks if row.head_sha == sha]


def list_statuses(call: Call) -> Response:
    """All of them, the newest first."""
    return paged(call, _of_commit(call)[::-1], lambda row: _status(call, row))


def show_combined(call: Call) -> Response:
    """The newest of each context and the worst of them; "" where there is none."""
    rows = gates.latest(_of_commit(call))
    words = {shapes.status_word(row) for row in rows}
    worst = next((word for word in _WORST if word in words), "success" if rows else "")
    return as_json(
        {
            "state": worst,
            "sha": call.sha(call.found["ref"]),
            "total_count": len(rows),
            "statuses": [_status(call, row) for row in rows],
            "repository": shapes.repository(call.world, call.repository, call.origin),
        }
    )


def add_status(call: Call) -> Response:
    call.needs_writer()
    state = call.text("state")
    if state not in _CONCLUSIONS:
        raise Refused(400, f"unknown state {state}")
    check = set_status(call, _CONCLUSIONS[state])
    return as_json(_status(call, check), 201)


def _status(call: Call, check: Check) -> shapes.Shape:
    return shapes.status(call.world, call.repository, check, call.origin)


_REPO = "repos/{owner}/{repo}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", f"{_REPO}/commits/{{ref}}/status"): show_combined,
    ("GET", f"{_REPO}/commits/{{ref}}/statuses"): list_statuses,
    ("GET", f"{_REPO}/statuses/{{ref}}"): list_statuses,
    ("POST", f"{_REPO}/statuses/{{ref}}"): add_status,
}
