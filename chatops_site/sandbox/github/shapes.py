"""The JSON of the GitHub stand-in, as far as clients read it.

https://docs.github.com/en/rest
"""

from datetime import UTC, datetime
from typing import Any

from chatops_site.sandbox.records import (
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
API = "/api/v3"
REVIEW_STATES = {
    "approved": "APPROVED",
    "changes": "CHANGES_REQUESTED",
    "commented": "COMMENTED",
    "pending": "PENDING",
    "dismissed": "DISMISSED",
}
_NO_ACCOUNT = Account(10_137, "ghost", "Deleted user")
_STATUS_WORDS = {"success": "success", "failure": "failure", None: "pending"}


def utc_time(seconds: float | None) -> str | None:
    """To the second, with the Z that GitHub writes."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user(world: World, login: str, origin: str) -> Shape:
    account = world.accounts.get(login) or _NO_ACCOUNT
    return {
        "login": account.login,
        "id": account.id,
        "node_id": f"U_{account.id}",
        "avatar_url": f"{origin}/avatars/{account.login}",
        "url": f"{origin}{API}/users/{account.login}",
        "html_url": f"{origin}/{account.login}",
        "type": "User",
        "site_admin": False,
    }


def repository_urls(found: Repository, origin: str) -> tuple[str, str]:
    return f"{origin}{API}/repos/{found.path}", f"{origin}/{found.path}"


def repository(world: World, found: Repository, origin: str) -> Shape:
    api, page = repository_urls(found, origin)
    return {
        "id": found.id,
        "node_id": f"R_{found.id}",
        "name": found.name,
        "full_name": found.path,
        "private": True,
        "owner": user(world, found.owner, origin) | {"login": found.owner, "type": "Organization"},
        "html_url": page,
        "description": None,
        "fork": False,
        "url": api,
        "default_branch": found.default_branch,
        "archived": found.archived,
        "disabled": False,
        "allow_merge_commit": "merge" in found.merge_methods,
        "allow_squash_merge": "squash" in found.merge_methods,
        "allow_rebase_merge": "rebase" in found.merge_methods,
    }


def commit(world: World, found: Repository, one: Commit, origin: str) -> Shape:
    api, page = repository_urls(found, origin)
    url, person = f"{api}/commits/{one.sha}", _person(world, one)
    tree = {"sha": one.sha[::-1], "url": f"{api}/git/trees/{one.sha[::-1]}"}
    return {
        "sha": one.sha,
        "node_id": f"C_{one.sha}",
        "commit": {
            "author": person,
            "committer": person,
            "message": one.message,
            "tree": tree,
            "url": f"{api}/git/commits/{one.sha}",
            "comment_count": 0,
        },
        "url": url,
        "html_url": f"{page}/commit/{one.sha}",
        "comments_url": f"{url}/comments",
        "author": user(world, one.author, origin),
        "committer": user(world, one.author, origin),
        "parents": [
            {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
            for sha in one.parents
        ],
    }


def _person(world: World, one: Commit) -> Shape:
    account = world.accounts.get(one.author)
    name = account.name if account else one.author
    return {"name": name, "email": f"{one.author}@example.com", "date": utc_time(one.at)}


def pull(world: World, found: Repository, one: Pull, origin: str) -> Shape:
    """A row of a list: whether it can be merged stands only in the longer shape."""
    base_sha = one.base_sha if one.merged else found.branches.get(one.base_ref, one.base_sha)
    base_of, head_of = found.owner, found.owner
    return {
        "id": one.id,
        "node_id": f"PR_{one.id}",
        **_pull_links(found, one, origin),
        "number": one.number,
        "state": "open" if one.state == "open" else "closed",
        "locked": False,
        "title": one.title,
        "user": user(world, one.author, origin),
        "body": one.body or None,
        "labels": [_label(found, n, name, origin) for n, name in enumerate(one.labels, 1)],
        "milestone": None,
        "created_at": utc_time(one.created),
        "updated_at": utc_time(one.updated),
        "closed_at": utc_time(one.merged or one.closed),
        "merged_at": utc_time(one.merged),
        "merge_commit_sha": one.merge_sha or None,
        "assignees": [],
        "requested_reviewers": [],
        "draft": one.draft,
        "head": _end(world, found, origin, label=f"{head_of}:{one.head_ref}", sha=one.head_sha),
        "base": _end(world, found, origin, label=f"{base_of}:{one.base_ref}", sha=base_sha),
    }


def _label(found: Repository, number: int, name: str, origin: str) -> Shape:
    url = f"{repository_urls(found, origin)[0]}/labels/{name}"
    return {"id": number, "name": name, "color": "ededed", "default": False, "url": url}


def _end(world: World, found: Repository, origin: str, *, label: str, sha: str) -> Shape:
    owner = user(world, found.owner, origin)
    ref, shown = label.partition(":")[2], repository(world, found, origin)
    return {"label": label, "ref": ref, "sha": sha, "user": owner, "repo": shown}


def _pull_links(found: Repository, one: Pull, origin: str) -> Shape:
    api, page = repository_urls(found, origin)
    url, issue = f"{api}/pulls/{one.number}", f"{api}/issues/{one.number}"
    html = f"{page}/pull/{one.number}"
    return {
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "comments_url": f"{issue}/comments",
        "statuses_url": f"{api}/statuses/{one.head_sha}",
    }


def issue(world: World, found: Repository, one: Pull, origin: str) -> Shape:
    """A pull request as the issue that it is as well."""
    shown, api = pull(world, found, one, origin), repository_urls(found, origin)[0]
    kept = ("id", "number", "title", "user", "labels", "state", "body", "html_url", "comments_url")
    links = {name: shown[name] for name in ("url", "html_url", "diff_url", "patch_url")}
    return {name: shown[name] for name in kept} | {
        "url": shown["issue_url"],
        "repository_url": api,
        "comments": len(one.comments),
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "pull_request": links | {"merged_at": shown["merged_at"]},
    }


def comment(world: World, found: Repository, pull_of: Pull, one: Comment, origin: str) -> Shape:
    api, page = repository_urls(found, origin)
    return {
        "id": one.id,
        "node_id": f"IC_{one.id}",
        "url": f"{api}/issues/comments/{one.id}",
        "html_url": f"{page}/pull/{pull_of.number}#issuecomment-{one.id}",
        "issue_url": f"{api}/issues/{pull_of.number}",
        "user": user(world, one.login, origin),
        "body": one.body,
        "author_association": "MEMBER",
        "created_at": utc_time(one.created),
        "updated_at": utc_time(one.updated),
    }


def review(world: World, found: Repository, pull_of: Pull, one: Review, origin: str) -> Shape:
    api, page = repository_urls(found, origin)
    return {
        "id": one.id,
        "node_id": f"PRR_{one.id}",
        "user": user(world, one.login, origin),
        "body": one.body,
        "state": REVIEW_STATES[one.state],
        "commit_id": one.sha,
        "html_url": f"{page}/pull/{pull_of.number}#pullrequestreview-{one.id}",
        "pull_request_url": f"{api}/pulls/{pull_of.number}",
        "author_association": "MEMBER",
    } | ({} if one.state == "pending" else {"submitted_at": utc_time(one.at)})


def check_run(found: Repository, one: Check, origin: str) -> Shape:
    api, page = repository_urls(found, origin)
    return {
        "id": one.id,
        "name": one.name,
        "node_id": f"CR_{one.id}",
        "head_sha": one.head_sha,
        "external_id": "",
        "url": f"{api}/check-runs/{one.id}",
        "html_url": f"{page}/runs/{one.id}",
        "details_url": one.details_url or None,
        "status": one.status,
        "conclusion": one.conclusion,
        "started_at": utc_time(one.started),
        "completed_at": utc_time(one.completed),
        "output": {"title": None, "summary": None, "text": None},
        "pull_requests": [],
    }


def status_word(one: Check) -> str:
    return _STATUS_WORDS.get(one.conclusion, "error")


def status(world: World, found: Repository, one: Check, origin: str) -> Shape:
    api, _page = repository_urls(found, origin)
    return {
        "id": one.id,
        "node_id": f"SC_{one.id}",
        "url": f"{api}/statuses/{one.head_sha}",
        "state": status_word(one),
        "context": one.name,
        "description": one.description or None,
        "target_url": one.details_url or None,
        "creator": user(world, one.login, origin),
        "created_at": utc_time(one.started),
        "updated_at": utc_time(one.started),
    }
