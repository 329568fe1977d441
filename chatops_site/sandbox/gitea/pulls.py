"""Pull requests of the Gitea stand-in: list, show, create, change and merge.

https://docs.gitea.com/api
"""

from chatops_site.sandbox.calls import open_pull
from chatops_site.sandbox.gitea import gates, shapes
from chatops_site.sandbox.gitea.calls import Call, Endpoint, Refused, not_found, paged
from chatops_site.sandbox.records import ADMIN, WRITE, Pull
from chatops_site.sandbox.server import Response, as_json

MOVED, LATER = "head out of date", "Please try again later"
_STYLES = ("merge", "rebase", "rebase-merge", "squash", "fast-forward-only", "manually-merged")
_ORDERS = {
    "oldest": lambda pull: pull.created,
    "recentupdate": lambda pull: -pull.updated,
    "leastupdate": lambda pull: pull.updated,
    "mostcomment": lambda pull: -len(pull.comments),
    "leastcomment": lambda pull: len(pull.comments),
}


def list_pulls(call: Call) -> Response:
    """The newest first where no other order is asked for; merged ones are closed."""
    return paged(call, _listed(call), lambda row: _shape(call, row))


def _listed(call: Call) -> list[Pull]:
    state = call.text("state") or "open"
    rows = [
        row
        for row in call.repository.pulls.values()
        if state in ("all", "open" if row.state == "open" else "closed")
    ]
    return sorted(rows, key=_ORDERS.get(call.text("sort"), lambda pull: -pull.created))


def show_pull(call: Call) -> Response:
    return as_json(_shape(call, call.pull))


def _shape(call: Call, pull: Pull) -> shapes.Shape:
    mergeable = gates.look(pull)
    shape = shapes.pull(call.world, call.repository, pull, call.origin)
    return shape | {"mergeable": mergeable}


def create_pull(call: Call) -> Response:
    found = call.repository
    head, base = call.text("head").rpartition(":")[2], call.text("base")
    if head not in found.branches or base not in found.branches:
        raise not_found()
    for row in found.pulls.values():
        if (row.state, row.head_ref, row.base_ref) == ("open", head, base):
            raise Refused(409, "pull request already exists for these targets")
    pull = open_pull(call, head=head, base=base)
    return as_json(_shape(call, pull), 201)


def change_pull(call: Call) -> Response:
    _change(call)
    return as_json(_shape(call, call.pull), 201)


def change_issue(call: Call) -> Response:
    _change(call)
    return as_json(_issue(call, call.pull), 201)


def _change(call: Call) -> None:
    pull, state = call.pull, call.text("state")
    if pull.author != call.login:
        call.needs(WRITE)
    if state and pull.state == "merged":
        raise Refused(412, "cannot change state of this pull request, it was already merged")
    if call.text("title"):
        pull.title, pull.draft = call.text("title"), gates.is_wip(call.text("title"))
    pull.body = call.text("body", pull.body)
    if state == "closed" and pull.state == "open":
        call.world.close(pull, by=call.login)
    elif state == "open" and pull.state == "closed":
        call.world.reopen(call.repository, pull, by=call.login)


def is_merged(call: Call) -> Response:
    if call.pull.state == "merged":
        return Response(204)
    raise not_found()


def merge_pull(call: Call) -> Response:
    """What landed is told by the pull request; the answer is empty."""
    found, pull, style = call.repository, call.pull, call.text("Do") or "merge"
    call.before_merge()
    if style not in _STYLES:
        raise Refused(422, "[Do]: In")
    _check_mergeable(call)
    if style not in found.merge_methods:
        raise Refused(405, f"{style} is not allowed an allowed merge style for this repository")
    if call.text("head_commit_id") not in ("", pull.head_sha):
        raise Refused(409, MOVED)
    call.world.merge(
        found,
        pull,
        by=call.login,
        method=style,
        title=call.text("MergeTitleField").strip() or _title(pull, style),
        description=call.text("MergeMessageField").strip() or f"Reviewed-on: {_page(call)}",
        prune=call.truth("delete_branch_after_merge"),
    )
    return Response(200, content_type="")


def _check_mergeable(call: Call) -> None:
    """In Gitea's order; a conflict has the words of a look under way."""
    pull = call.pull
    if pull.state == "merged":
        raise Refused(405, "")
    if pull.state == "closed":
        raise not_found()
    if call.right < WRITE:
        raise Refused(405, "User not allowed to merge PR")
    if gates.is_draft(pull):
        raise Refused(405, "Work in progress PRs cannot be merged")
    if not gates.look(pull):
        raise Refused(405, LATER)
    forced = call.truth("force_merge") and call.right >= ADMIN
    for reason in gates.unmet(call.world, call.repository, pull):
        if not forced:
            raise Refused(405, reason)


def _title(pull: Pull, style: str) -> str:
    if style == "squash":
        return f"{pull.title} (#{pull.number})"
    number, ends = f"(#{pull.number})", f"from {pull.head_ref} into {pull.base_ref}"
    return f"Merge pull request '{pull.title}' {number} {ends}"


def _page(call: Call) -> str:
    return f"{shapes.urls(call.repository, call.origin)[1]}/pulls/{call.pull.number}"


def list_commits(call: Call) -> Response:
    """The newest first."""
    found, pull = call.repository, call.pull
    rows = found.between(pull.base_sha, pull.head_sha)[::-1]
    return paged(call, rows, lambda row: shapes.commit(call.world, found, row, call.origin))


def list_issues(call: Call) -> Response:
    """There are no others than the pull requests."""
    rows = [] if call.text("type") == "issues" else _listed(call)
    return paged(call, rows, lambda row: _issue(call, row))


def show_issue(call: Call) -> Response:
    return as_json(_issue(call, call.pull))


def _issue(call: Call, pull: Pull) -> shapes.Shape:
    return shapes.issue(call.world, call.repository, pull, call.origin)


_REPO = "repos/{owner}/{repo}"
_PULL, _ISSUE = f"{_REPO}/pulls/{{index}}", f"{_REPO}/issues/{{index}}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", f"{_REPO}/pulls"): list_pulls,
    ("POST", f"{_REPO}/pulls"): create_pull,
    ("GET", _PULL): show_pull,
    ("PATCH", _PULL): change_pull,
    ("GET", f"{_PULL}/merge"): is_merged,
    ("POST", f"{_PULL}/merge"): merge_pull,
    ("GET", f"{_PULL}/commits"): list_commits,
    ("GET", f"{_REPO}/issues"): list_issues,
    ("GET", _ISSUE): show_issue,
    ("PATCH", _ISSUE): change_issue,
}
