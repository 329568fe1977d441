"""What a test or the demo may do to a forge behind the API's back, and what it is like now."""

from collections.abc import Callable
from typing import Any

from chatops_site.sandbox.clock import china_time
from chatops_site.sandbox.demo import add_pulls
from chatops_site.sandbox.records import RIGHTS, Discussion, Pull, Repository
from chatops_site.sandbox.world import World

Arguments = dict[str, Any]
Answer = dict[str, Any]
Change = Callable[[World, Arguments], Answer]
_STRANGER = "lisi"


def change(world: World, op: str, arguments: Arguments) -> Answer:
    """Does one named operation. ValueError for an unknown one, Missing for an unknown target."""
    found = _CHANGES.get(op)
    if found is None:
        raise ValueError(
            f"A forge has no operation {op!r}; there are: {', '.join(sorted(_CHANGES))}."
        )
    return found(world, arguments)


def _repository(world: World, arguments: Arguments) -> Repository:
    return world.repository(str(arguments["repository"]))


def _pull(world: World, arguments: Arguments) -> Pull:
    return world.pull(str(arguments["repository"]), int(arguments["number"]))


def push(world: World, arguments: Arguments) -> Answer:
    """Moves the head of a pull request (or a named branch) by one commit."""
    repository = _repository(world, arguments)
    branch = str(arguments.get("branch") or _pull(world, arguments).head_ref)
    commit = world.extend(
        repository,
        branch,
        message=str(arguments.get("message", "One more change")),
        author=str(arguments.get("by", _STRANGER)),
        sha=str(arguments.get("sha", "")),
    )
    return {"sha": commit.sha, "branch": branch}


def set_check(world: World, arguments: Arguments) -> Answer:
    repository = _repository(world, arguments)
    sha = arguments.get("sha") or _pull(world, arguments).head_sha
    conclusion = arguments.get("conclusion", "success")
    check = world.set_check(
        repository,
        name=str(arguments.get("name", "unit")),
        sha=str(sha),
        conclusion=conclusion,
        status=str(arguments.get("status", "completed" if conclusion else "in_progress")),
        details_url=str(arguments.get("details_url", "")),
        kind=str(arguments.get("kind", "run")),
    )
    return {"id": check.id, "sha": check.head_sha}


def _clear_checks(world: World, arguments: Arguments) -> Answer:
    repository, sha = _repository(world, arguments), _pull(world, arguments).head_sha
    repository.checks = [check for check in repository.checks if check.head_sha != sha]
    return {"sha": sha}


def _set_mergeable(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    pull.mergeable = bool(arguments.get("mergeable", True))
    pull.unknown_looks = int(arguments.get("unknown_looks", 0))
    return shown(pull)


def _set_draft(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    pull.draft = bool(arguments.get("draft", True))
    return shown(pull)


def _set_gate(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    pull.assignees_number = int(arguments.get("assignees_number", pull.assignees_number))
    pull.testers_number = int(arguments.get("testers_number", pull.testers_number))
    return shown(pull)


def _set_review(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    pull.assignees[str(arguments["login"])] = bool(arguments.get("accept", True))
    return shown(pull)


def _set_test(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    pull.testers[str(arguments["login"])] = bool(arguments.get("accept", True))
    return shown(pull)


def _review(world: World, arguments: Arguments) -> Answer:
    """Somebody's verdict at the forge: "approved", "changes" or "commented"."""
    pull = _pull(world, arguments)
    state = str(arguments.get("state", "approved"))
    world.add_review(pull, login=str(arguments["login"]), state=state)
    return shown(pull)


def _discuss(world: World, arguments: Arguments) -> Answer:
    pull, body = _pull(world, arguments), str(arguments.get("body", "Why?"))
    login = str(arguments.get("by", _STRANGER))
    pull.discussions.append(Discussion(world.next_id(), login, body))
    return shown(pull)


def _resolve(world: World, arguments: Arguments) -> Answer:
    """All discussions of a pull request."""
    pull = _pull(world, arguments)
    for discussion in pull.discussions:
        discussion.resolved = True
    return shown(pull)


def _protect(world: World, arguments: Arguments) -> Answer:
    """What the default branch asks for: "approvals", "checks" (names), "discussions" (a truth)."""
    rule = _repository(world, arguments).protection
    rule.approvals = int(arguments.get("approvals", rule.approvals))
    rule.checks = tuple(arguments.get("checks", rule.checks))
    rule.discussions = bool(arguments.get("discussions", rule.discussions))
    return {"approvals": rule.approvals, "checks": rule.checks, "discussions": rule.discussions}


def _archive(world: World, arguments: Arguments) -> Answer:
    found = _repository(world, arguments)
    found.archived = bool(arguments.get("archived", True))
    return {"archived": found.archived}


def _rename(world: World, arguments: Arguments) -> Answer:
    """The repository gets the path "to"; its old one answers as the forge does for what was renamed."""
    found, new = _repository(world, arguments), str(arguments["to"])
    del world.repositories[found.path]
    world.renamed[found.path] = new
    found.path, world.repositories[new] = new, found
    return {"path": new}


def _unassign(world: World, arguments: Arguments) -> Answer:
    pull, login = _pull(world, arguments), str(arguments["login"])
    pull.assignees.pop(login, None)
    pull.testers.pop(login, None)
    return shown(pull)


_OPENED = ("title", "author", "body", "draft", "mergeable", "assignees_number", "testers_number")


def _open_pull(world: World, arguments: Arguments) -> Answer:
    """`count` of them at once; approved, tested and green unless the arguments say otherwise."""
    more = {name: arguments[name] for name in _OPENED if name in arguments}
    for name in ("assignees", "testers"):
        if name in arguments:
            more[name] = dict(arguments[name])
    pulls = add_pulls(world, str(arguments["repository"]), int(arguments.get("count", 1)), **more)
    return {"numbers": [pull.number for pull in pulls], **shown(pulls[-1])}


def _close_pull(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    world.close(pull, by=str(arguments.get("by", _STRANGER)))
    return shown(pull)


def _reopen_pull(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    world.reopen(_repository(world, arguments), pull, by=str(arguments.get("by", _STRANGER)))
    return shown(pull)


def _merge_elsewhere(world: World, arguments: Arguments) -> Answer:
    """Somebody merges it on the web page, past every gate."""
    pull = _pull(world, arguments)
    world.merge(
        _repository(world, arguments),
        pull,
        by=str(arguments.get("by", _STRANGER)),
        method=str(arguments.get("method", "merge")),
        title=str(arguments.get("title", "")),
        description=str(arguments.get("description", "")),
    )
    return shown(pull)


def _hook_on_merge(world: World, arguments: Arguments) -> Answer:
    """Once, inside the next merge call and before it looks: "do" another operation (push)."""
    pull, op = _pull(world, arguments), str(arguments.get("do", "push"))
    if op not in _CHANGES:
        raise ValueError(f"A forge has no operation {op!r} to do inside a merge.")
    steps = world.before_merge.setdefault((str(arguments["repository"]), pull.number), [])
    steps.append(lambda: _ignored(change(world, op, arguments)))
    return shown(pull)


def _ignored(_answer: Answer) -> None:
    return None


def _comment(world: World, arguments: Arguments) -> Answer:
    comment = world.add_comment(
        _pull(world, arguments),
        login=str(arguments.get("by", _STRANGER)),
        body=str(arguments["body"]),
    )
    return {"id": comment.id}


def _edit_comment(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    comment = next(one for one in pull.comments if one.id == int(arguments["id"]))
    by = str(arguments.get("by", comment.login))
    world.edit_comment(pull, comment, str(arguments["body"]), by=by)
    return {"id": comment.id}


def _set_title(world: World, arguments: Arguments) -> Answer:
    pull = _pull(world, arguments)
    pull.title = str(arguments["title"])
    return shown(pull)


def _revoke_token(world: World, arguments: Arguments) -> Answer:
    """By "token" or by "login" (all of that account's); "state" says what Gitee calls it."""
    secret, login = arguments.get("token"), arguments.get("login")
    found = [row for row in world.tokens.values() if secret == row.secret or login == row.login]
    for token in found:
        token.state = str(arguments.get("state", "revoked"))
    return {"revoked": len(found)}


def _set_right(world: World, arguments: Arguments) -> Answer:
    """The right of an account's tokens on a repository: admin, write, read or none."""
    right, login = str(arguments["right"]), arguments["login"]
    if right not in RIGHTS:
        raise ValueError(f"There is no right {right!r}; there are: {', '.join(RIGHTS)}.")
    found = [token for token in world.tokens.values() if token.login == login]
    for token in found:
        token.rights[str(arguments.get("repository", "*"))] = right
    return {"tokens": len(found)}


def _set_repository(world: World, arguments: Arguments) -> Answer:
    """Its "merge_methods" (a list) and whether a push resets reviews ("resets_on_push")."""
    repository = _repository(world, arguments)
    repository.merge_methods = set(arguments.get("merge_methods", repository.merge_methods))
    repository.resets_on_push = bool(arguments.get("resets_on_push", repository.resets_on_push))
    return {"merge_methods": sorted(repository.merge_methods)}


def _add_repository(world: World, arguments: Arguments) -> Answer:
    path = str(arguments["repository"])
    found = world.add_repository(path, default_branch="master", author=_STRANGER)
    return {"path": found.path}


def _delete_branch(world: World, arguments: Arguments) -> Answer:
    _repository(world, arguments).branches.pop(str(arguments["branch"]), None)
    return {}


def _set_refusal_status(world: World, arguments: Arguments) -> Answer:
    world.refusal_status = int(arguments["status"])
    return {"status": world.refusal_status}


_CHANGES: dict[str, Change] = {
    "push": push,
    "set_check": set_check,
    "clear_checks": _clear_checks,
    "set_mergeable": _set_mergeable,
    "set_draft": _set_draft,
    "set_gate": _set_gate,
    "set_review": _set_review,
    "set_test": _set_test,
    "set_title": _set_title,
    "unassign": _unassign,
    "review": _review,
    "discuss": _discuss,
    "resolve": _resolve,
    "protect": _protect,
    "archive": _archive,
    "rename": _rename,
    "edit_comment": _edit_comment,
    "open_pull": _open_pull,
    "close_pull": _close_pull,
    "reopen_pull": _reopen_pull,
    "merge_elsewhere": _merge_elsewhere,
    "hook_on_merge": _hook_on_merge,
    "comment": _comment,
    "revoke_token": _revoke_token,
    "set_right": _set_right,
    "set_repository": _set_repository,
    "add_repository": _add_repository,
    "delete_branch": _delete_branch,
    "set_refusal_status": _set_refusal_status,
}


def snapshot(world: World) -> Answer:
    """The whole forge as JSON, without tokens."""
    return {
        "world": world.name,
        "repositories": {
            path: _shown_repository(found) for path, found in world.repositories.items()
        },
        "pull_requests": [
            {"repository": path, **shown(pull)}
            for path, found in world.repositories.items()
            for pull in found.pulls.values()
        ],
    }


def _shown_repository(found: Repository) -> Answer:
    return {
        "default_branch": found.default_branch,
        "branches": dict(found.branches),
        "tags": dict(found.tags),
        "merge_methods": sorted(found.merge_methods),
        "commits": len(found.commits),
        "checks": [
            {
                "sha": row.head_sha,
                "name": row.name,
                "status": row.status,
                "conclusion": row.conclusion,
            }
            for row in found.checks
        ],
    }


def shown(pull: Pull) -> Answer:
    return {
        "number": pull.number,
        "title": pull.title,
        "author": pull.author,
        "state": pull.state,
        "draft": pull.draft,
        "mergeable": pull.mergeable,
        "head_ref": pull.head_ref,
        "head_sha": pull.head_sha,
        "base_ref": pull.base_ref,
        "assignees": dict(pull.assignees),
        "testers": dict(pull.testers),
        "assignees_number": pull.assignees_number,
        "testers_number": pull.testers_number,
        "merge_sha": pull.merge_sha,
        "merged_by": pull.merged_by,
        "merged_at": china_time(pull.merged) if pull.merged else None,
        "comments": [{"id": row.id, "login": row.login, "body": row.body} for row in pull.comments],
        "reviews": [
            {"login": row.login, "state": row.state, "sha": row.sha} for row in pull.reviews
        ],
        "unresolved": pull.unresolved(),
        "operations": [{"login": row.login, "action": row.action} for row in pull.operations],
    }
