"""Repositories, branches, commits and check runs of the Gitee stand-in.

https://gitee.com/api/v5/swagger#/getV5ReposOwnerRepoCommits
"""

import json
from typing import Any

from chatops_site.sandbox.gitee import shapes
from chatops_site.sandbox.gitee.calls import Call, Endpoint, Refused, page_of, paged, with_totals
from chatops_site.sandbox.records import WRITE, Check
from chatops_site.sandbox.server import Response, as_json

_STATUSES = ("queued", "in_progress", "completed")
_CONCLUSIONS = (
    "neutral",
    "success",
    "failure",
    "cancelled",
    "action_required",
    "timed_out",
    "skipped",
)


def show_owner(call: Call) -> Response:
    return as_json(shapes.token_owner(call.world, call.login, call.origin))


def show_repository(call: Call) -> Response:
    found = call.repository
    return as_json(shapes.repository_page(call.world, found, call.origin, right=call.right))


def list_own(call: Call) -> Response:
    """What the token sees, by its path; q: a part of it."""
    sought = call.text("q").casefold()
    rows = [found for found in call.seen if sought in found.path.casefold()]
    shape = lambda row: shapes.repository(call.world, row, call.origin)  # noqa: E731
    return paged(call, rows, shape)


def list_branches(call: Call) -> Response:
    found = call.repository
    return paged(call, sorted(found.branches), lambda name: shapes.branch(found, name, call.origin))


def show_branch(call: Call) -> Response:
    found, name = call.repository, call.branch
    tip = found.commits[found.branches[name]]
    shape = shapes.branch(found, name, call.origin)
    return as_json(shape | {"commit": shapes.commit(call.world, found, tip, call.origin)})


def list_tags(call: Call) -> Response:
    found = call.repository
    rows = [
        {"name": name, "message": "", "commit": {"sha": sha}} for name, sha in found.tags.items()
    ]
    return paged(call, rows, lambda row: row)


def list_commits(call: Call) -> Response:
    found = call.repository
    start = call.sha(call.text("sha") or found.default_branch)
    rows = list(found.history(start))
    author = call.text("author")
    rows = [row for row in rows if not author or row.author == author]
    return paged(call, rows, lambda row: shapes.commit(call.world, found, row, call.origin))


def show_commit(call: Call) -> Response:
    found = call.repository
    one = found.commits[call.sha(call.found["ref"])]
    shape = shapes.commit(call.world, found, one, call.origin)
    files = [shapes.changed_file(found, one, call.origin)]
    return as_json(shape | {"stats": {"additions": 1, "deletions": 0, "total": 1}, "files": files})


def compare(call: Call) -> Response:
    found = call.repository
    base, dots, head = call.found["range"].partition("...")
    if not dots or not base or not head:
        raise Refused(404, "404 Not Found")
    base_sha, head_sha = call.sha(base), call.sha(head)
    rows = found.between(base_sha, head_sha)
    fork = found.merge_base(base_sha, head_sha)
    return as_json(
        {
            "base_commit": _commit(call, found.commits[base_sha].sha),
            "merge_base_commit": _commit(call, fork.sha),
            "commits": [_commit(call, row.sha) for row in rows],
            "files": [shapes.changed_file(found, row, call.origin) for row in rows],
        }
    )


def _commit(call: Call, sha: str) -> shapes.Shape:
    found = call.repository
    return shapes.commit(call.world, found, found.commits[sha], call.origin)


def list_checks(call: Call) -> Response:
    found = call.repository
    sha = call.sha(call.found["ref"])
    rows = [row for row in found.checks if row.head_sha == sha and _wanted(call, row)]
    if call.choice("filter", ("latest", "all")) == "latest":
        rows = list({row.name: row for row in rows}.values())
    shown, totals = page_of(call, rows)
    checks = [shapes.check(row, found, call.origin) for row in shown]
    return with_totals({"total_count": len(rows), "check_runs": checks}, totals)


def _wanted(call: Call, row: Check) -> bool:
    pull, name, status = (call.text(key) for key in ("pull_request_id", "check_name", "status"))
    return (
        (not pull or str(row.pull) == pull)
        and (not name or row.name == name)
        and (not status or row.status == status)
    )


def create_check(call: Call) -> Response:
    call.needs(WRITE)
    found, name, sha = call.repository, call.required("name"), call.required("head_sha")
    if sha not in found.commits:
        raise Refused(400, "head_sha is invalid")
    check = call.world.set_check(
        found,
        name=name,
        sha=sha,
        conclusion=None,
        status="queued",
        details_url=call.text("details_url"),
        pull=call.number("pull_request_id", 0) or None,
    )
    _update(call, check)
    return as_json(shapes.check(check, found, call.origin), 201)


def change_check(call: Call) -> Response:
    call.needs(WRITE)
    found = call.repository
    check = next((row for row in found.checks if str(row.id) == call.found["id"]), None)
    if check is None:
        raise Refused(404, "404 Check Run Not Found")
    _update(call, check)
    return as_json(shapes.check(check, found, call.origin))


def _update(call: Call, check: Check) -> None:
    """A conclusion completes a check, whatever status came with it."""
    conclusion = call.text("conclusion")
    if conclusion and conclusion not in _CONCLUSIONS:
        raise Refused(400, "conclusion does not have a valid value")
    status = call.choice("status", (check.status, *_STATUSES))
    if status == "completed" and not (conclusion or check.conclusion):
        raise Refused(400, "conclusion is missing")
    check.status = "completed" if conclusion else status
    check.conclusion = conclusion or check.conclusion
    check.completed = call.world.now() if check.status == "completed" else None
    check.details_url = call.text("details_url") or check.details_url
    check.output = _output(call) or check.output


def _output(call: Call) -> dict[str, Any]:
    """Sent as an object in JSON, as output[title]=… in a form."""
    try:
        found = json.loads(call.text("output") or "{}")
    except ValueError as error:
        raise Refused(400, "output is invalid") from error
    pieces = {name[7:-1]: text for name, text in call.arguments.items() if name[:7] == "output["}
    return found | pieces if isinstance(found, dict) else pieces


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "user"): show_owner,
    ("GET", "user/repos"): list_own,
    ("GET", "repos/{owner}/{repo}"): show_repository,
    ("GET", "repos/{owner}/{repo}/branches"): list_branches,
    ("GET", "repos/{owner}/{repo}/branches/{branch}"): show_branch,
    ("GET", "repos/{owner}/{repo}/tags"): list_tags,
    ("GET", "repos/{owner}/{repo}/commits"): list_commits,
    ("GET", "repos/{owner}/{repo}/commits/{ref}"): show_commit,
    ("GET", "repos/{owner}/{repo}/commits/{ref}/check-runs"): list_checks,
    ("GET", "repos/{owner}/{repo}/compare/{range}"): compare,
    ("POST", "repos/{owner}/{repo}/check-runs"): create_check,
    ("PATCH", "repos/{owner}/{repo}/check-runs/{id}"): change_check,
}
