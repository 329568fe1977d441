"""Repositories, branches, rules and commits of the GitHub stand-in.

https://docs.github.com/en/rest/repos and https://docs.github.com/en/rest/commits
"""

from typing import Any

from chatops_site.sandbox.github import shapes
from chatops_site.sandbox.github.calls import Call, Endpoint, Refused, not_found, page_of, paged
from chatops_site.sandbox.records import Missing
from chatops_site.sandbox.server import Response, as_json


def show_owner(call: Call) -> Response:
    name = {"name": call.account.name, "email": None}
    return as_json(shapes.user(call.world, call.login, call.origin) | name)


def list_own(call: Call) -> Response:
    return paged(call, call.seen, lambda row: shapes.repository(call.world, row, call.origin))


def show_repository(call: Call) -> Response:
    right = call.right
    rights = {"pull": right >= 1, "triage": right >= 2, "push": right >= 2, "admin": right >= 3}
    shape = shapes.repository(call.world, call.repository, call.origin)
    return as_json(shape | {"permissions": rights | {"maintain": right >= 3}})


def list_branches(call: Call) -> Response:
    return paged(call, sorted(call.repository.branches), lambda name: _branch(call, name))


def show_branch(call: Call) -> Response:
    found, name = call.repository, call.branch
    tip = found.commits[found.branches[name]]
    commit = shapes.commit(call.world, found, tip, call.origin)
    return as_json(_branch(call, name) | {"commit": commit})


def _branch(call: Call, name: str) -> shapes.Shape:
    found = call.repository
    api, sha = shapes.repository_urls(found, call.origin)[0], found.branches[name]
    rule = found.protection
    protected = name == found.default_branch and bool(
        rule.approvals or rule.checks or rule.discussions
    )
    checks = list(rule.checks) if protected else []
    level = "non_admins" if checks else "off"
    required = {"enforcement_level": level, "contexts": checks, "checks": []}
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{api}/commits/{sha}"},
        "protected": protected,
        "protection": {"enabled": protected, "required_status_checks": required},
        "protection_url": f"{api}/branches/{name}/protection",
    }


def list_rules(call: Call) -> Response:
    """No rulesets here: the protection is the older kind, of the branch."""
    return as_json([])


def list_tags(call: Call) -> Response:
    rows = [{"name": name, "commit": {"sha": sha}} for name, sha in call.repository.tags.items()]
    return paged(call, rows, lambda row: row)


def list_commits(call: Call) -> Response:
    found = call.repository
    try:
        start = found.resolve(call.text("sha") or found.default_branch)
    except Missing as error:
        raise not_found() from error
    return paged(call, list(found.history(start)), lambda row: _commit(call, row.sha))


def show_commit(call: Call) -> Response:
    shape = _commit(call, call.sha(call.found["ref"]))
    return as_json(shape | {"stats": {"additions": 1, "deletions": 0, "total": 1}, "files": []})


def compare(call: Call) -> Response:
    """All pages have the totals; the commits come oldest first."""
    found, (base, dots, head) = call.repository, call.found["range"].partition("...")
    try:
        base_sha, head_sha = found.resolve(base if dots else ""), found.resolve(head)
    except Missing as error:
        raise not_found() from error
    ahead, behind = found.between(base_sha, head_sha), found.between(head_sha, base_sha)
    shown, headers = page_of(call, ahead)
    response = as_json(
        {
            "url": f"{call.origin}{call.request.raw_path}",
            "base_commit": _commit(call, base_sha),
            "merge_base_commit": _commit(call, found.merge_base(base_sha, head_sha).sha),
            "status": _relation(bool(ahead), bool(behind)),
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [_commit(call, row.sha) for row in shown],
            "files": [],
        }
    )
    response.headers.update(headers)
    return response


def _relation(*sides: bool) -> str:
    words = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind"}
    return words.get((sides[0], sides[1]), "identical")


def _commit(call: Call, sha: str) -> dict[str, Any]:
    found = call.repository
    return shapes.commit(call.world, found, found.commits[sha], call.origin)


def show_rate_limit(call: Call) -> Response:
    """Enterprise has none unless it is switched on."""
    raise Refused(404, "Rate limiting is not enabled.")


_REPO = "repos/{owner}/{repo}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "user"): show_owner,
    ("GET", "user/repos"): list_own,
    ("GET", "rate_limit"): show_rate_limit,
    ("GET", _REPO): show_repository,
    ("GET", f"{_REPO}/branches"): list_branches,
    ("GET", f"{_REPO}/branches/{{branch}}"): show_branch,
    ("GET", f"{_REPO}/rules/branches/{{branch}}"): list_rules,
    ("GET", f"{_REPO}/tags"): list_tags,
    ("GET", f"{_REPO}/commits"): list_commits,
    ("GET", f"{_REPO}/commits/{{ref}}"): show_commit,
    ("GET", f"{_REPO}/compare/{{range}}"): compare,
}
