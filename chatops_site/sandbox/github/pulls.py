"""Pull requests of the GitHub stand-in: list, show, create, change and merge.

https://docs.github.com/en/rest/pulls/pulls
"""

from chatops_site.sandbox.calls import open_pull
from chatops_site.sandbox.github import gates, shapes
from chatops_site.sandbox.github.calls import Call, Endpoint, Refused, invalid, not_found, paged
from chatops_site.sandbox.records import WRITE, Pull
from chatops_site.sandbox.server import Response, as_json

MOVED = "Head branch was modified. Review and try the merge again."
_METHODS = ("merge", "squash", "rebase")


def list_pulls(call: Call) -> Response:
    found, state = call.repository, call.choice("state", ("open", "closed", "all"))
    base, head = call.text("base"), call.text("head")
    rows = [
        row
        for row in found.pulls.values()
        if state in ("all", "open" if row.state == "open" else "closed")
        and base in ("", row.base_ref)
        and head in ("", f"{found.owner}:{row.head_ref}")
    ]
    by_update = call.choice("sort", ("created", "updated", "popularity", "long-running"))
    rows.sort(key=lambda row: row.updated if by_update == "updated" else row.created)
    # Newest first only where no other order is asked for.
    default = "asc" if call.text("sort") not in ("", "created") else "desc"
    if (call.text("direction") or default) == "desc":
        rows.reverse()
    return paged(call, rows, lambda row: shapes.pull(call.world, found, row, call.origin))


def show_pull(call: Call) -> Response:
    return shown(call, call.pull)


def shown(call: Call, pull: Pull, status: int = 200) -> Response:
    mergeable, state = gates.look(call.repository, pull)
    shape = shapes.pull(call.world, call.repository, pull, call.origin)
    merger = shapes.user(call.world, pull.merged_by, call.origin) if pull.merged_by else None
    more = {
        "merged": pull.state == "merged",
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": state,
        "merged_by": merger,
        "comments": len(pull.comments),
        "review_comments": 0,
        "commits": len(call.repository.between(pull.base_sha, pull.head_sha)),
    }
    return as_json(shape | more, status)


def create_pull(call: Call) -> Response:
    found = call.repository
    head = call.required("head").rpartition(":")[2]
    base = call.required("base")
    for field, ref in (("head", head), ("base", base)):
        if ref not in found.branches:
            raise invalid("PullRequest", field)
    if any(row.state == "open" and row.head_ref == head for row in found.pulls.values()):
        message = f"A pull request already exists for {found.owner}:{head}."
        raise Refused(422, "Validation Failed", {"code": "custom", "message": message})
    pull = open_pull(call, head=head, base=base)
    pull.draft = call.text("draft") == "true"
    return shown(call, pull, 201)


def change_pull(call: Call) -> Response:
    pull, state = call.pull, call.text("state")
    if pull.author != call.login:
        call.needs(WRITE)
    if state not in ("", "open", "closed"):
        raise invalid("PullRequest", "state")
    if state == "closed" and pull.state == "open":
        call.world.close(pull, by=call.login)
    elif state == "open" and pull.state != "open":
        _reopen(call, pull)
    pull.title = call.text("title") or pull.title
    pull.body = call.text("body", pull.body)
    return shown(call, pull)


def _reopen(call: Call, pull: Pull) -> None:
    if pull.state == "merged" or pull.head_ref not in call.repository.branches:
        raise invalid("PullRequest", "state")
    call.world.reopen(call.repository, pull, by=call.login)


def is_merged(call: Call) -> Response:
    if call.pull.state == "merged":
        return Response(204)
    raise not_found()


def merge_pull(call: Call) -> Response:
    call.needs(WRITE)
    found, pull = call.repository, call.pull
    call.before_merge()
    method = call.text("merge_method") or "merge"
    if method not in _METHODS:
        raise Refused(422, "Invalid request.", f"{method} is not a member of {_METHODS}.")
    if call.text("sha") and call.text("sha") != pull.head_sha:
        raise Refused(409, MOVED)
    for reason in gates.refusals(found, pull, method):
        raise Refused(405, reason)
    commit = call.world.merge(
        found,
        pull,
        by=call.login,
        method=method,
        title=call.text("commit_title") or _title(call, pull, method),
        description=call.text("commit_message") or pull.title,
        prune=False,
    )
    return as_json(
        {"sha": commit.sha, "merged": True, "message": "Pull Request successfully merged"}
    )


def _title(call: Call, pull: Pull, method: str) -> str:
    if method == "squash":
        return f"{pull.title} (#{pull.number})"
    return f"Merge pull request #{pull.number} from {call.repository.owner}/{pull.head_ref}"


def list_commits(call: Call) -> Response:
    found = call.repository
    rows = found.between(call.pull.base_sha, call.pull.head_sha)[:250]
    return paged(call, rows, lambda row: shapes.commit(call.world, found, row, call.origin))


def show_issue(call: Call) -> Response:
    return as_json(shapes.issue(call.world, call.repository, call.pull, call.origin))


_PULL = "repos/{owner}/{repo}/pulls/{number}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "repos/{owner}/{repo}/pulls"): list_pulls,
    ("POST", "repos/{owner}/{repo}/pulls"): create_pull,
    ("GET", _PULL): show_pull,
    ("PATCH", _PULL): change_pull,
    ("GET", f"{_PULL}/merge"): is_merged,
    ("PUT", f"{_PULL}/merge"): merge_pull,
    ("GET", f"{_PULL}/commits"): list_commits,
    ("GET", "repos/{owner}/{repo}/issues/{number}"): show_issue,
}
