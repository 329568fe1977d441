"""The JSON of the Gitea stand-in, as far as clients read it.

https://docs.gitea.com/api
"""

from typing import Any
from zlib import crc32

from chatops_site.sandbox.gitea import gates
from chatops_site.sandbox.github.shapes import utc_time
from chatops_site.sandbox.records import (
    ADMIN,
    READ,
    WRITE,
    Account,
    Check,
    Comment,
    Commit,
    Pull,
    Repository,
    Review,
)
from chatops_site.sandbox.world import World

Shape = dict[str, Any]
API = "/api/v1"
REVIEW_STATES = {
    "approved": "APPROVED",
    "changes": "REQUEST_CHANGES",
    "commented": "COMMENT",
    "pending": "PENDING",
    # Dismissed reviews keep their state; that they are dismissed stands beside it.
    "dismissed": "APPROVED",
}
_GHOST = Account(-1, "Ghost", "Ghost")
_STATUS_WORDS = {
    "success": "success",
    "failure": "failure",
    "neutral": "warning",
    "skipped": "warning",
    None: "pending",
}
_EPOCH = "1970-01-01T00:00:00Z"


def user(world: World, login: str, origin: str) -> Shape:
    email = f"{login}@noreply.example.com"
    return _user(world.accounts.get(login, _GHOST), origin) | {"email": email}


def owner(world: World, found: Repository, origin: str) -> Shape:
    """One that is no account is an organization, which has no mail address."""
    name = found.owner
    if name in world.accounts:
        return user(world, name, origin)
    return _user(Account(crc32(name.encode()), name, name), origin)


def _user(account: Account, origin: str) -> Shape:
    return {
        "id": account.id,
        "login": account.login,
        "login_name": "",
        "source_id": 0,
        "full_name": account.name,
        "email": "",
        "avatar_url": f"{origin}/avatars/{account.login}",
        "html_url": f"{origin}/{account.login}",
        "language": "",
        "is_admin": False,
        "last_login": _EPOCH,
        "created": _EPOCH,
        "active": True,
        "restricted": False,
        "visibility": "public",
        "username": account.login,
    }


def urls(found: Repository, origin: str) -> tuple[str, str]:
    """Where its API and where its pages begin."""
    return f"{origin}{API}/repos/{found.path}", f"{origin}/{found.path}"


def repository(world: World, found: Repository, origin: str, *, right: int = READ) -> Shape:
    api, page = urls(found, origin)
    opened = sum(one.state == "open" for one in found.pulls.values())
    times = [one.at for one in found.commits.values()]
    return {
        "id": found.id,
        "owner": owner(world, found, origin),
        "name": found.name,
        "full_name": found.path,
        "description": "",
        "empty": not found.branches,
        "private": True,
        "fork": False,
        "template": False,
        "parent": None,
        "mirror": False,
        "size": 32,
        "html_url": page,
        "url": api,
        "clone_url": f"{page}.git",
        "open_issues_count": 0,
        "open_pr_counter": opened,
        "default_branch": found.default_branch,
        "archived": found.archived,
        "created_at": utc_time(min(times)),
        "updated_at": utc_time(max(times)),
        "permissions": {"admin": right >= ADMIN, "push": right >= WRITE, "pull": right >= READ},
        "has_issues": True,
        "has_pull_requests": True,
        "allow_merge_commits": "merge" in found.merge_methods,
        "allow_squash_merge": "squash" in found.merge_methods,
        "allow_rebase": "rebase" in found.merge_methods,
        "allow_rebase_explicit": False,
        "allow_fast_forward_only_merge": False,
        "default_merge_style": "merge",
    }


def commit(world: World, found: Repository, one: Commit, origin: str) -> Shape:
    api, page = urls(found, origin)
    url, person = f"{api}/git/commits/{one.sha}", _person(world, one)
    known = user(world, one.author, origin) if one.author in world.accounts else None
    return {
        "url": url,
        "sha": one.sha,
        "created": utc_time(one.at),
        "html_url": f"{page}/commit/{one.sha}",
        "commit": {
            "url": url,
            "author": person,
            "committer": person,
            # As git keeps it.
            "message": f"{one.message}\n",
            "tree": {"url": f"{api}/git/trees/{one.sha[::-1]}", "sha": one.sha[::-1]},
        },
        "author": known,
        "committer": known,
        "parents": [{"url": f"{api}/git/commits/{sha}", "sha": sha} for sha in one.parents],
    }


def _person(world: World, one: Commit) -> Shape:
    account = world.accounts.get(one.author)
    name = account.name if account else one.author
    return {"name": name, "email": f"{one.author}@example.com", "date": utc_time(one.at)}


def pull(world: World, found: Repository, one: Pull, origin: str) -> Shape:
    """In lists as well as alone; url is that of the page, as Gitea has it."""
    html = f"{urls(found, origin)[1]}/pulls/{one.number}"
    tip = one.base_sha if one.merged else found.branches.get(one.base_ref, one.base_sha)
    repo = repository(world, found, origin)
    return {
        "id": one.id,
        "url": html,
        "number": one.number,
        "user": user(world, one.author, origin),
        "title": gates.title_of(one),
        "body": one.body,
        "labels": [
            {"id": number, "name": name, "color": "ededed"}
            for number, name in enumerate(one.labels, 1)
        ],
        "milestone": None,
        "assignee": None,
        "assignees": None,
        "requested_reviewers": None,
        "state": "open" if one.state == "open" else "closed",
        "draft": gates.is_draft(one),
        "is_locked": False,
        "comments": len(one.comments),
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "mergeable": gates.is_mergeable(one),
        **_landed(world, one, origin),
        "base": _end(found, repo, one.base_ref, tip),
        "head": _end(found, repo, one.head_ref, one.head_sha),
        "merge_base": found.merge_base(one.base_sha, one.head_sha).sha,
        "due_date": None,
        "created_at": utc_time(one.created),
        "updated_at": utc_time(one.updated),
        "closed_at": utc_time(one.merged or one.closed),
    }


def _landed(world: World, one: Pull, origin: str) -> Shape:
    return {
        "merged": one.state == "merged",
        "merged_at": utc_time(one.merged),
        "merge_commit_sha": one.merge_sha or None,
        "merged_by": user(world, one.merged_by, origin) if one.merged_by else None,
    }


def _end(found: Repository, repo: Shape, ref: str, sha: str) -> Shape:
    return {"label": ref, "ref": ref, "sha": sha, "repo_id": found.id, "repo": repo}


def issue(world: World, found: Repository, one: Pull, origin: str) -> Shape:
    """A pull request as the issue that it is as well."""
    shown, api = pull(world, found, one, origin), urls(found, origin)[0]
    kept = ("id", "number", "title", "user", "labels", "state", "body", "html_url", "comments")
    more = ("milestone", "assignee", "assignees", "is_locked", "created_at", "updated_at")
    meta = {"id": found.id, "name": found.name, "owner": found.owner, "full_name": found.path}
    landed: Shape = {name: shown[name] for name in ("merged", "merged_at", "draft")}
    return {name: shown[name] for name in (*kept, *more)} | {
        "url": f"{api}/issues/{one.number}",
        "closed_at": shown["closed_at"],
        "due_date": None,
        "repository": meta,
        "pull_request": landed | {"html_url": shown["html_url"]},
    }


def comment(world: World, found: Repository, pull_of: Pull, one: Comment, origin: str) -> Shape:
    """Of a pull request: then the issue's address is empty."""
    html = f"{urls(found, origin)[1]}/pulls/{pull_of.number}"
    return {
        "id": one.id,
        "html_url": f"{html}#issuecomment-{one.id}",
        "pull_request_url": html,
        "issue_url": "",
        "user": user(world, one.login, origin),
        "original_author": "",
        "original_author_id": 0,
        "body": one.body,
        "assets": [],
        "created_at": utc_time(one.created),
        "updated_at": utc_time(one.updated),
    }


def review(world: World, found: Repository, pull_of: Pull, one: Review, origin: str) -> Shape:
    """Official is the last verdict of somebody who may write; stale, one on an older head."""
    html = f"{urls(found, origin)[1]}/pulls/{pull_of.number}"
    verdicts = [row for row in pull_of.reviews if row.login == one.login]
    last = [row for row in verdicts if row.state in ("approved", "changes")][-1:]
    return {
        "id": one.id,
        "user": user(world, one.login, origin),
        "team": None,
        "state": REVIEW_STATES[one.state],
        "body": one.body,
        "commit_id": one.sha,
        "stale": one.sha != pull_of.head_sha,
        "official": last == [one] and gates.is_writer(world, found, one.login),
        "dismissed": one.state == "dismissed",
        "comments_count": 0,
        "submitted_at": utc_time(one.at),
        "updated_at": utc_time(one.at),
        "html_url": f"{html}#issuecomment-{one.id}",
        "pull_request_url": html,
    }


def status_word(one: Check) -> str:
    return _STATUS_WORDS.get(one.conclusion, "error")


def status(world: World, found: Repository, one: Check, origin: str) -> Shape:
    """Its word stands in `status`; `state` is what the combined one has."""
    return {
        "id": one.id,
        "status": status_word(one),
        "target_url": one.details_url,
        "description": one.description,
        "url": f"{urls(found, origin)[0]}/statuses/{one.head_sha}",
        "context": one.name,
        "creator": user(world, one.login, origin) if one.login else None,
        "created_at": utc_time(one.started),
        "updated_at": utc_time(one.started),
    }
