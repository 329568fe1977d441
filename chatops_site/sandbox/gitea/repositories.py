"""Accounts, repositories, branches and commits of the Gitea stand-in.

https://docs.gitea.com/api
"""

from chatops_site.sandbox.gitea import shapes
from chatops_site.sandbox.gitea.calls import Call, Endpoint, Refused, paged
from chatops_site.sandbox.github.shapes import utc_time
from chatops_site.sandbox.records import WRITE, Missing, Repository
from chatops_site.sandbox.server import Response, as_json

VERSION = "1.23.8"


def show_version(call: Call) -> Response:
    return as_json({"version": VERSION})


def show_owner(call: Call) -> Response:
    return as_json(shapes.user(call.world, call.login, call.origin))


def _repository(call: Call, found: Repository) -> shapes.Shape:
    right = call.token.right_on(found.path)
    return shapes.repository(call.world, found, call.origin, right=right)


def list_own(call: Call) -> Response:
    return paged(call, call.seen, lambda row: _repository(call, row))


def search(call: Call) -> Response:
    """By a part of the name, or of owner and name around a slash."""
    words = call.text("q").lower()
    owner, _slash, name = words.partition("/") if words.count("/") == 1 else ("", "", words)
    rows = [row for row in call.seen if owner in row.owner.lower() and name in row.name.lower()]
    return paged(call, rows, lambda row: _repository(call, row), key="data")


def show_repository(call: Call) -> Response:
    return as_json(_repository(call, call.repository))


def list_branches(call: Call) -> Response:
    return paged(call, sorted(call.repository.branches), lambda name: _branch(call, name))


def show_branch(call: Call) -> Response:
    return as_json(_branch(call, call.branch))


def _branch(call: Call, name: str) -> shapes.Shape:
    """With what its protection asks for, which readers may know as well."""
    found, writes = call.repository, call.right >= WRITE
    rule, tip = found.protection, found.commits[found.branches[name]]
    protected = name == found.default_branch and bool(rule.approvals or rule.checks)
    page = shapes.urls(found, call.origin)[1]
    return {
        "name": name,
        "commit": {
            "id": tip.sha,
            "message": f"{tip.message}\n",
            "url": f"{page}/commit/{tip.sha}",
            "timestamp": utc_time(tip.at),
        },
        "protected": protected,
        "required_approvals": rule.approvals if protected else 0,
        "enable_status_check": protected and bool(rule.checks),
        "status_check_contexts": list(rule.checks) if protected else [],
        "user_can_push": writes and not protected,
        "user_can_merge": writes,
        "effective_branch_protection_name": name if protected else "",
    }


def list_commits(call: Call) -> Response:
    start = call.sha(call.text("sha") or call.repository.default_branch)
    rows = list(call.repository.history(start))
    return paged(call, rows, lambda row: _commit(call, row.sha))


def show_commit(call: Call) -> Response:
    """Of a branch, a tag or a sha."""
    try:
        sha = call.repository.resolve(call.found["ref"])
    except Missing as error:
        raise Refused(404, f"commit doesn't exist: {call.found['ref']}") from error
    stats = {"total": 1, "additions": 1, "deletions": 0}
    return as_json(_commit(call, sha) | {"stats": stats, "files": []})


def compare(call: Call) -> Response:
    """All commits at once, the newest first."""
    base, _dots, head = call.found["span"].partition("...")
    rows = call.repository.between(call.sha(base), call.sha(head))[::-1]
    commits = [_commit(call, row.sha) for row in rows]
    return as_json({"total_commits": len(rows), "commits": commits})


def _commit(call: Call, sha: str) -> shapes.Shape:
    found = call.repository
    return shapes.commit(call.world, found, found.commits[sha], call.origin)


_REPO = "repos/{owner}/{repo}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "version"): show_version,
    ("GET", "user"): show_owner,
    ("GET", "user/repos"): list_own,
    ("GET", "repos/search"): search,
    ("GET", _REPO): show_repository,
    ("GET", f"{_REPO}/branches"): list_branches,
    ("GET", f"{_REPO}/branches/{{branch}}"): show_branch,
    ("GET", f"{_REPO}/commits"): list_commits,
    ("GET", f"{_REPO}/git/commits/{{ref}}"): show_commit,
    ("GET", f"{_REPO}/compare/{{span}}"): compare,
}
