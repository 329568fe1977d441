"""The JSON of the GitLab stand-in, field by field as its reference shows it.

https://docs.gitlab.com/api/merge_requests/#get-single-mr
"""

from datetime import UTC, datetime
from typing import Any

from chatops_site.sandbox.gitlab.calls import Mishaps
from chatops_site.sandbox.records import (
    Account,
    Check,
    Comment,
    Commit,
    Operation,
    Pull,
    Repository,
)
from chatops_site.sandbox.world import World

Shape = dict[str, Any]
_UNKNOWN_ID = 0
_STATES = {"open": "opened"}
_STATUSES = {"queued": "pending", "in_progress": "running"}
_CONCLUSIONS = {
    "failure": "failed",
    "timed_out": "failed",
    "cancelled": "canceled",
    "skipped": "skipped",
    "action_required": "manual",
}


def iso_time(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def user(world: World, login: str, origin: str) -> Shape:
    account = world.accounts.get(login) or Account(_UNKNOWN_ID, login, login)
    return {
        "id": account.id,
        "username": account.login,
        "name": account.name,
        "state": "active",
        "locked": False,
        "avatar_url": f"{origin}/assets/no_avatar.png",
        "web_url": f"{origin}/{account.login}",
    }


def project(found: Repository, origin: str) -> Shape:
    web = f"{origin}/{found.path}"
    return {
        "id": found.id,
        "description": "",
        "name": found.name,
        "name_with_namespace": f"{found.owner} / {found.name}",
        "path": found.name,
        "path_with_namespace": found.path,
        "default_branch": found.default_branch,
        "web_url": web,
        "http_url_to_repo": f"{web}.git",
        "readme_url": None,
        "visibility": "private",
        "archived": found.archived,
        "empty_repo": not found.branches,
        "namespace": {"id": found.id + 1, "kind": "group", "full_path": found.owner},
        "merge_method": "ff" if is_fast_forward(found) else "merge",
        "squash_option": "default_off",
        "only_allow_merge_if_pipeline_succeeds": bool(found.protection.checks),
        "only_allow_merge_if_all_discussions_are_resolved": found.protection.discussions,
    }


def is_fast_forward(found: Repository) -> bool:
    return found.merge_methods == {"rebase"}


def branch(found: Repository, name: str, origin: str) -> Shape:
    tip = found.commits[found.branches[name]]
    return {
        "name": name,
        "merged": False,
        "protected": name == found.default_branch,
        "default": name == found.default_branch,
        "web_url": f"{origin}/{found.path}/-/tree/{name}",
        "commit": commit(found, tip, origin),
    }


def commit(found: Repository, one: Commit, origin: str) -> Shape:
    at, email = iso_time(one.at), f"{one.author}@example.com"
    return {
        "id": one.sha,
        "short_id": one.sha[:8],
        "title": one.message.partition("\n")[0],
        "message": one.message,
        "author_name": one.author,
        "author_email": email,
        "authored_date": at,
        "committer_name": one.author,
        "committer_email": email,
        "committed_date": at,
        "created_at": at,
        "parent_ids": list(one.parents),
        "web_url": f"{origin}/{found.path}/-/commit/{one.sha}",
    }


def status(world: World, one: Check, origin: str) -> Shape:
    """Jobs and statuses come in the same list here."""
    done = one.status == "completed"
    told = _CONCLUSIONS.get(one.conclusion or "", "success")
    return {
        "id": one.id,
        "sha": one.head_sha,
        "status": told if done else _STATUSES.get(one.status, "created"),
        "name": one.name,
        "target_url": one.details_url or None,
        "description": one.description or None,
        "allow_failure": False,
        "created_at": iso_time(one.started),
        "finished_at": None if one.completed is None else iso_time(one.completed),
        "author": user(world, one.login or "chatops-bot", origin),
    }


def note(world: World, pull_of: Pull, one: Comment | Operation, origin: str) -> Shape:
    """What the forge itself writes down is a note as well: a system one."""
    if isinstance(one, Operation):
        body, created, updated = one.content, one.at, one.at
    else:
        body, created, updated = one.body, one.created, one.updated
    return {
        "id": one.id,
        "type": None,
        "body": body,
        "author": user(world, one.login, origin),
        "created_at": iso_time(created),
        "updated_at": iso_time(updated),
        "system": isinstance(one, Operation),
        "noteable_id": pull_of.id,
        "noteable_iid": pull_of.number,
        "noteable_type": "MergeRequest",
        "resolvable": False,
        "confidential": False,
        "internal": False,
        "commands_changes": {},
    }


def approvals(world: World, found: Repository, one: Pull, origin: str) -> Shape:
    given = approved(found, one)
    return {
        "id": one.id,
        "iid": one.number,
        "project_id": found.id,
        "title": one.title,
        "state": "opened" if one.state == "open" else one.state,
        "approved": len(given) >= found.protection.approvals,
        "approved_by": [
            {"user": user(world, login, origin), "approved_at": iso_time(at)}
            for login, at in given.items()
        ],
    }


def approved(found: Repository, one: Pull) -> dict[str, float]:
    """Who has approved and when; an approval outlives a push if the project says so."""
    last = {row.login: row for row in one.reviews if row.state != "commented"}
    return {
        login: row.at
        for login, row in last.items()
        if row.state == "approved" and (row.sha == one.head_sha or not found.resets_on_push)
    }


def versions(found: Repository, one: Pull) -> list[Shape]:
    """One for each push, newest first."""
    rows = found.between(one.base_sha, one.head_sha) or [found.commits[one.head_sha]]
    return [
        {
            "id": one.id + index,
            "head_commit_sha": row.sha,
            "base_commit_sha": one.base_sha,
            "start_commit_sha": one.base_sha,
            "created_at": iso_time(max(row.at, one.created)),
            "merge_request_id": one.id,
            "state": "collected",
        }
        for index, row in reversed(list(enumerate(rows)))
    ]


def merge_status(found: Repository, one: Pull) -> str:
    """https://docs.gitlab.com/api/merge_requests/#merge-status"""
    if one.state != "open":
        return "not_open"
    if one.unknown_looks > 0:
        return "checking"
    told = {
        "draft_status": one.draft,
        "conflict": not one.mergeable,
        **_checks_missing(found, one),
        "not_approved": len(approved(found, one)) < found.protection.approvals,
        "requested_changes": _has_objection(one),
        "discussions_not_resolved": _has_open_discussion(found, one),
        "need_rebase": is_fast_forward(found) and not _is_on_tip(found, one),
    }
    return next((name for name, applies in told.items() if applies), "mergeable")


def _checks_missing(found: Repository, one: Pull) -> dict[str, bool]:
    newest = {row.name: row for row in found.checks if row.head_sha == one.head_sha}
    wanted = [newest.get(name) for name in found.protection.checks]
    running = any(row is not None and row.status != "completed" for row in wanted)
    green = all(row is not None and row.conclusion == "success" for row in wanted)
    return {"ci_still_running": running, "ci_must_pass": not green}


def _has_objection(one: Pull) -> bool:
    last = {row.login: row.state for row in one.reviews if row.state != "commented"}
    return "changes" in last.values()


def _has_open_discussion(found: Repository, one: Pull) -> bool:
    return found.protection.discussions and one.unresolved() > 0


def _is_on_tip(found: Repository, one: Pull) -> bool:
    tip = found.branches[one.base_ref]
    return any(row.sha == tip for row in found.history(one.head_sha))


def pull(world: World, found: Repository, one: Pull, origin: str, *, mishaps: Mishaps) -> Shape:
    mishap = mishaps.of(one)
    return {
        "id": one.id,
        "iid": one.number,
        "project_id": found.id,
        "title": one.title,
        "description": one.body,
        **_progress(found, one),
        "created_at": iso_time(one.created),
        "updated_at": iso_time(one.updated),
        "source_branch": one.head_ref,
        "target_branch": one.base_ref,
        "source_project_id": found.id,
        "target_project_id": found.id,
        "author": user(world, one.author, origin),
        "labels": list(one.labels),
        "draft": one.draft,
        "work_in_progress": one.draft,
        "sha": one.head_sha,
        "diff_refs": {
            "base_sha": one.base_sha,
            "head_sha": one.head_sha,
            "start_sha": one.base_sha,
        },
        "merge_error": mishap.error or None if mishap else None,
        "squash": False,
        "has_conflicts": not one.mergeable,
        "blocking_discussions_resolved": not _has_open_discussion(found, one),
        "user_notes_count": len(one.comments),
        "reference": f"!{one.number}",
        "web_url": f"{origin}/{found.path}/-/merge_requests/{one.number}",
    } | (_LOCKED if mishap and mishap.looks > 0 and one.state == "merged" else {})


# A merge that is under way: taken, and not yet to be seen.
_LOCKED: Shape = {
    "state": "locked",
    "merge_commit_sha": None,
    "squash_commit_sha": None,
    "merged_at": None,
}


def _progress(found: Repository, one: Pull) -> Shape:
    """A fast-forward leaves neither a merge commit nor a squashed one."""
    landed = found.commits.get(one.merge_sha)
    two = landed is not None and len(landed.parents) > 1
    status_now = merge_status(found, one)
    old = {"checking": "checking", "conflict": "cannot_be_merged"}
    return {
        "state": _STATES.get(one.state, one.state),
        "merged_at": None if one.merged is None else iso_time(one.merged),
        "closed_at": None if one.closed is None else iso_time(one.closed),
        "merge_commit_sha": one.merge_sha if two else None,
        "squash_commit_sha": (one.merge_sha or None)
        if not two and one.merge_sha != one.head_sha
        else None,
        "merge_status": old.get(status_now, "can_be_merged"),
        "detailed_merge_status": status_now,
    }
