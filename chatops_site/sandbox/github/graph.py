"""The one GraphQL query that the GitHub stand-in answers: OpenPulls, the list of open pull requests.

It is known by its operation's name and takes owner, name, size and after; the query itself is not read.
https://docs.github.com/en/graphql/reference/objects#pullrequest
"""

from base64 import b64decode, b64encode
from typing import Any

from chatops_site.sandbox.github import gates, shapes
from chatops_site.sandbox.records import READ, Check, Pull, Repository, Token
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.world import World

_MOST = 50
_MERGEABLE = {True: "MERGEABLE", False: "CONFLICTING", None: "UNKNOWN"}
_LAST_WORDS = ("approved", "changes", "dismissed")


def answer(world: World, request: Request, token: Token) -> Response:
    try:
        asked = request.json()
        operation, variables = asked["operationName"], asked["variables"]
        path = f"{variables['owner']}/{variables['name']}"
        size, start = min(int(variables["size"]), 100), _start(variables.get("after"))
    except (ValueError, KeyError, TypeError):
        return as_json({"message": "Problems parsing JSON"}, 400)
    if operation != "OpenPulls":
        return _failed("undefinedOperation", f"The sandbox knows no operation {operation}.")
    found = world.repositories.get(path)
    if found is None or token.right_on(path) < READ:
        name = f"'{path}'"
        return _failed("NOT_FOUND", f"Could not resolve to a Repository with the name {name}.")
    return as_json({"data": {"repository": {"pullRequests": _page(found, size, start, request)}}})


def _failed(kind: str, message: str) -> Response:
    error = {"type": kind, "path": ["repository"], "message": message}
    return as_json({"data": {"repository": None}, "errors": [error]})


def _start(cursor: Any) -> int:
    return int(b64decode(cursor).removeprefix(b"cursor:")) if cursor else 0


def _page(found: Repository, size: int, start: int, request: Request) -> dict[str, Any]:
    rows = sorted((row for row in found.pulls.values() if row.state == "open"), key=_age)
    end = start + size
    cursor = b64encode(f"cursor:{end}".encode()).decode()
    return {
        "totalCount": len(rows),
        "pageInfo": {"hasNextPage": end < len(rows), "endCursor": cursor},
        "nodes": [_node(found, row, request.origin) for row in rows[start:end]],
    }


def _age(pull: Pull) -> float:
    return -pull.created


def _node(found: Repository, pull: Pull, origin: str) -> dict[str, Any]:
    mergeable, state = gates.look(found, pull)
    rollup = _rollup(gates.latest_checks(found, pull.head_sha))
    return {
        "number": pull.number,
        "title": pull.title,
        "isDraft": pull.draft,
        "mergeable": _MERGEABLE[mergeable],
        "mergeStateStatus": state.upper(),
        "url": f"{origin}/{found.path}/pull/{pull.number}",
        "updatedAt": shapes.utc_time(pull.updated),
        "headRefOid": pull.head_sha,
        "headRefName": pull.head_ref,
        "baseRefOid": found.branches.get(pull.base_ref, pull.base_sha),
        "baseRefName": pull.base_ref,
        "author": {"login": pull.author},
        "labels": {"nodes": [{"name": name} for name in pull.labels]},
        "latestOpinionatedReviews": _reviews(pull),
        "reviewThreads": {"nodes": [{"isResolved": row.resolved} for row in pull.discussions]},
        "commits": {"nodes": [{"commit": {"statusCheckRollup": rollup}}]},
    }


def _cut(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"pageInfo": {"hasNextPage": len(rows) > _MOST}, "nodes": rows[:_MOST]}


def _reviews(pull: Pull) -> dict[str, Any]:
    last = {row.login: row for row in pull.reviews if row.state in _LAST_WORDS}
    return _cut(
        [
            {
                "state": shapes.REVIEW_STATES[row.state],
                "author": {"login": login},
                "commit": {"oid": row.sha},
            }
            for login, row in last.items()
        ]
    )


def _rollup(checks: list[Check]) -> dict[str, Any] | None:
    return {"contexts": _cut([_context(row) for row in checks])} if checks else None


def _context(row: Check) -> dict[str, Any]:
    if row.kind == "status":
        return {
            "__typename": "StatusContext",
            "context": row.name,
            "state": shapes.status_word(row).upper(),
            "targetUrl": row.details_url or None,
        }
    return {
        "__typename": "CheckRun",
        "databaseId": row.id,
        "name": row.name,
        "status": row.status.upper(),
        "conclusion": row.conclusion.upper() if row.conclusion else None,
        "detailsUrl": row.details_url or None,
    }
