"""Pull requests of the Gitee stand-in: list, show, create, change and merge.

https://gitee.com/api/v5/swagger#/getV5ReposOwnerRepoPulls
"""

import json
from collections.abc import Callable
from datetime import datetime

from chatops_site.sandbox.calls import open_pull
from chatops_site.sandbox.gitee import shapes
from chatops_site.sandbox.gitee.calls import Call, Endpoint, Refused, paged
from chatops_site.sandbox.records import WRITE, Pull
from chatops_site.sandbox.server import Response, as_json

# Quoted by three independent clients; all other refusals are worded after them.
NOT_REVIEWED = "此 Pull Request 未通过设置的审查"
NOT_TESTED = "此 Pull Request 未通过设置的测试"
MERGED = "Pull Request 已成功合并"

_SORTS: dict[str, Callable[[Pull], float]] = {
    "created": lambda pull: pull.created,
    "updated": lambda pull: pull.updated,
    "popularity": lambda pull: len(pull.comments),
    "long-running": lambda pull: -pull.created,
}
_FILTERS: dict[str, Callable[[Pull, str], bool]] = {
    "head": lambda pull, value: value in (pull.head_ref, f"{pull.author}:{pull.head_ref}"),
    "base": lambda pull, value: pull.base_ref == value,
    "author": lambda pull, value: pull.author == value,
    "assignee": lambda pull, value: value in pull.assignees,
    "tester": lambda pull, value: value in pull.testers,
    "labels": lambda pull, value: set(value.split(",")) <= set(pull.labels),
    "milestone_number": lambda _pull, _value: False,
    "since": lambda pull, value: pull.updated >= datetime.fromisoformat(value).timestamp(),
}


def list_pulls(call: Call) -> Response:
    found = call.repository
    state = call.choice("state", ("open", "closed", "merged", "all"))
    rows = [row for row in found.pulls.values() if state in ("all", row.state)]
    for name, keeps in _FILTERS.items():
        if value := call.text(name):
            rows = [row for row in rows if _keeps(keeps, row, name=name, value=value)]
    rows.sort(key=_SORTS[call.choice("sort", tuple(_SORTS))])
    if call.choice("direction", ("desc", "asc")) == "desc":
        rows.reverse()
    return paged(call, rows, lambda row: shapes.pull(call.world, found, row, call.origin))


def _keeps(keeps: Callable[[Pull, str], bool], row: Pull, *, name: str, value: str) -> bool:
    try:
        return keeps(row, value)
    except ValueError as error:
        raise Refused(400, f"{name} is invalid") from error


def show_pull(call: Call) -> Response:
    return _shown(call, call.pull)


def _shown(call: Call, pull: Pull, status: int = 200) -> Response:
    return as_json(shapes.pull(call.world, call.repository, pull, call.origin), status)


def create_pull(call: Call) -> Response:
    call.needs(WRITE)
    found, head, base = call.repository, call.required("head"), call.required("base")
    head = head.rpartition(":")[2]
    if head not in found.branches or base not in found.branches:
        raise Refused(400, "源分支或目标分支不存在")
    if any(row.state == "open" and row.head_ref == head for row in found.pulls.values()):
        raise Refused(400, "相同源分支、目标分支的 Pull Request 已存在")
    pull = open_pull(call, head=head, base=base)
    pull.draft = call.truth("draft")
    pull.assignees = dict.fromkeys(_listed(call, "assignees"), False)
    pull.testers = dict.fromkeys(_listed(call, "testers"), False)
    _set_gates(call, pull)
    return _shown(call, pull, 201)


def _listed(call: Call, name: str) -> list[str]:
    return [part for part in call.text(name).split(",") if part in call.world.accounts]


def _set_gates(call: Call, pull: Pull) -> None:
    pull.assignees_number = call.number("assignees_number", pull.assignees_number)
    pull.testers_number = call.number("testers_number", pull.testers_number)


def change_pull(call: Call) -> Response:
    pull = call.pull
    if pull.author != call.login:
        call.needs(WRITE)
    if state := call.text("state"):
        _change_state(call, pull, state)
    pull.title = call.text("title") or pull.title
    pull.body = call.text("body", pull.body)
    if "draft" in call.arguments:
        pull.draft = call.truth("draft")
    if "labels" in call.arguments:
        pull.labels = [name for name in call.text("labels").split(",") if name]
    _set_gates(call, pull)
    call.world.log(pull, call.login, "update", "更新了 Pull Request")
    return _shown(call, pull)


def _change_state(call: Call, pull: Pull, state: str) -> None:
    if state not in ("open", "closed"):
        raise Refused(400, "state does not have a valid value")
    if pull.state == "merged":
        raise Refused(400, "此 Pull Request 已经合并，不能更改状态")
    if state == pull.state:
        return
    if state == "closed":
        call.world.close(pull, by=call.login)
        return
    if pull.head_ref not in call.repository.branches:
        raise Refused(400, "源分支不存在，不能重新打开")
    call.world.reopen(call.repository, pull, by=call.login)


def is_merged(call: Call) -> Response:
    if call.pull.state == "merged":
        return Response(204)
    raise Refused(404, "404 Not Found")


def merge_pull(call: Call) -> Response:
    """There is no sha to guard it with: what the head is at this moment gets merged."""
    call.needs(WRITE)
    found, pull = call.repository, call.pull
    call.before_merge()
    method = call.choice("merge_method", ("merge", "squash", "rebase"))
    if method not in found.merge_methods:
        raise Refused(400, "merge_method does not have a valid value")
    _check_gates(call, pull)
    commit = call.world.merge(
        found,
        pull,
        by=call.login,
        method=method,
        title=call.text("title"),
        description=call.text("description"),
        prune=call.truth("prune_source_branch"),
    )
    return as_json({"sha": commit.sha, "merged": True, "message": MERGED})


def _check_gates(call: Call, pull: Pull) -> None:
    """The exact status of these refusals is known to nobody; the world's setting decides."""
    refusals = {
        "此 Pull Request 已经合并": pull.state == "merged",
        "此 Pull Request 已经关闭": pull.state == "closed",
        "草稿状态的 Pull Request 不能合并": pull.draft,
        "此 Pull Request 存在冲突，不能自动合并": not pull.mergeable,
        NOT_REVIEWED: not pull.reviewed(),
        NOT_TESTED: not pull.tested(),
    }
    for message, applies in refusals.items():
        if applies:
            raise Refused(call.world.refusal_status, message)


def list_pull_commits(call: Call) -> Response:
    found = call.repository
    rows = found.between(call.pull.base_sha, call.pull.head_sha)[::-1][:250]
    return as_json([shapes.commit(call.world, found, row, call.origin) for row in rows])


def list_pull_files(call: Call) -> Response:
    found = call.repository
    rows = found.between(call.pull.base_sha, call.pull.head_sha)[:300]
    return as_json([shapes.changed_file(found, row, call.origin) for row in rows])


def list_operations(call: Call) -> Response:
    rows = list(call.pull.operations)
    if call.choice("sort", ("desc", "asc")) == "desc":
        rows.reverse()
    return as_json([shapes.operation(call.world, row, call.origin) for row in rows])


def add_labels(call: Call) -> Response:
    call.needs(WRITE)
    try:
        names = json.loads(call.request.body)
    except ValueError as error:
        raise Refused(400, "labels is invalid") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(400, "labels is invalid")
    pull = call.pull
    pull.labels += [name for name in names if name not in pull.labels]
    return as_json([{"id": n, "name": name} for n, name in enumerate(pull.labels, 1)], 201)


_PULL = "repos/{owner}/{repo}/pulls/{number}"
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "repos/{owner}/{repo}/pulls"): list_pulls,
    ("POST", "repos/{owner}/{repo}/pulls"): create_pull,
    ("GET", _PULL): show_pull,
    ("PATCH", _PULL): change_pull,
    ("GET", f"{_PULL}/merge"): is_merged,
    ("PUT", f"{_PULL}/merge"): merge_pull,
    ("GET", f"{_PULL}/commits"): list_pull_commits,
    ("GET", f"{_PULL}/files"): list_pull_files,
    ("GET", f"{_PULL}/operate_logs"): list_operations,
    ("POST", f"{_PULL}/labels"): add_labels,
}
