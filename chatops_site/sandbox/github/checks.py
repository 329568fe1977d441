"""Check runs and commit statuses of the GitHub stand-in, which GitHub keeps apart.

https://docs.github.com/en/rest/checks/runs and https://docs.github.com/en/rest/commits/statuses
"""

from chatops_site.sandbox.calls import set_status
from chatops_site.sandbox.github import shapes
from chatops_site.sandbox.github.calls import Call, Endpoint, invalid, page_of, paged
from chatops_site.sandbox.records import WRITE, Check
from chatops_site.sandbox.server import Response, as_json

# What a status says, as the conclusion that all forges share.
_CONCLUSIONS = {"success": "success", "failure": "failure", "error": "error", "pending": None}


def _of_commit(call: Call, kind: str) -> list[Check]:
    """Newest first."""
    sha = call.sha(call.found["ref"])
    return [
        row for row in reversed(call.repository.checks) if (row.head_sha, row.kind) == (sha, kind)
    ]


def _newest(rows: list[Check]) -> list[Check]:
    return list({row.name: row for row in reversed(rows)}.values())


def list_runs(call: Call) -> Response:
    rows, name = _of_commit(call, "run"), call.text("check_name")
    rows = [row for row in rows if name in ("", row.name)]
    if call.choice("filter", ("latest", "all")) == "latest":
        rows = _newest(rows)
    found = call.repository
    shape = lambda row: shapes.check_run(found, row, call.origin)  # noqa: E731
    return paged(call, rows, shape, key="check_runs")


def list_statuses(call: Call) -> Response:
    return paged(call, _of_commit(call, "status"), lambda row: _status(call, row))


def show_combined(call: Call) -> Response:
    """The newest of each context; "pending" also where there is none at all."""
    rows = _newest(_of_commit(call, "status"))
    states = {shapes.status_word(row) for row in rows}
    worst = "failure" if states & {"failure", "error"} else "pending"
    shown, headers = page_of(call, rows)
    response = as_json(
        {
            "state": "success" if states == {"success"} else worst,
            "statuses": [_status(call, row) for row in shown],
            "sha": call.sha(call.found["ref"]),
            "total_count": len(rows),
            "repository": shapes.repository(call.world, call.repository, call.origin),
        }
    )
    response.headers.update(headers)
    return response


def add_status(call: Call) -> Response:
    call.needs(WRITE)
    state = call.required("state", "Status")
    if state not in _CONCLUSIONS:
        raise invalid("Status", "state")
    check = set_status(call, _CONCLUSIONS[state])
    return as_json(_status(call, check), 201)


def _status(call: Call, check: Check) -> shapes.Shape:
    return shapes.status(call.world, call.repository, check, call.origin)


_COMMIT = "repos/{owner}/{repo}/commits/{ref}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", f"{_COMMIT}/check-runs"): list_runs,
    ("GET", f"{_COMMIT}/status"): show_combined,
    ("GET", f"{_COMMIT}/statuses"): list_statuses,
    ("POST", "repos/{owner}/{repo}/statuses/{ref}"): add_status,
}
