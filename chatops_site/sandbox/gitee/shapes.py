"""The JSON of the Gitee stand-in, field by field as recorded from gitee.com.

https://gitee.com/api/v5/swagger
"""

from functools import lru_cache
from typing import Any

from chatops_site.sandbox.clock import china_time
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


def user(world: World, login: str, origin: str) -> Shape:
    account = world.accounts.get(login) or Account(_UNKNOWN_ID, login, login)
    return _user(account, origin)


@lru_cache(maxsize=512)
def _user(account: Account, origin: str) -> Shape:
    """Shared by all answers: nobody changes what it gives back."""
    api = f"{origin}/api/v5/users/{account.login}"
    return {
        "id": account.id,
        "login": account.login,
        "name": account.name,
        "avatar_url": f"{origin}/assets/no_portrait.png",
        "url": api,
        "html_url": f"{origin}/{account.login}",
        "remark": "",
        "followers_url": f"{api}/followers",
        "following_url": f"{api}/following_url{{/other_user}}",
        "gists_url": f"{api}/gists{{/gist_id}}",
        "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{api}/subscriptions",
        "organizations_url": f"{api}/orgs",
        "repos_url": f"{api}/repos",
        "events_url": f"{api}/events{{/privacy}}",
        "received_events_url": f"{api}/received_events",
        "type": "User",
    }


def token_owner(world: World, login: str, origin: str) -> Shape:
    return user(world, login, origin) | {
        "blog": None,
        "weibo": None,
        "bio": "",
        "public_repos": len(world.repositories),
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "stared": 0,
        "watched": 0,
        "created_at": "2017-09-15T11:34:30+08:00",
        "updated_at": "2021-08-06T16:34:48+08:00",
        "email": f"{login}@example.com",
    }


def repository(world: World, found: Repository, origin: str) -> Shape:
    api, page = _urls(found, origin)
    owner = user(world, found.owner, origin)
    return {
        "id": found.id,
        "full_name": found.path,
        "human_name": found.path,
        "url": api,
        "namespace": {
            "id": found.id + 1,
            "type": "group",
            "name": found.owner,
            "path": found.owner,
            "html_url": f"{origin}/{found.owner}",
        },
        "path": found.name,
        "name": found.name,
        "owner": owner,
        "assigner": owner,
        "description": "",
        "private": True,
        "public": False,
        "internal": False,
        "fork": False,
        "html_url": f"{page}.git",
        "ssh_url": f"git@127.0.0.1:{found.path}.git",
    }


def repository_page(world: World, found: Repository, origin: str, *, right: int) -> Shape:
    """The longer shape of GET /repos/O/R."""
    return repository(world, found, origin) | {
        "default_branch": found.default_branch,
        "permission": {"pull": right >= 1, "push": right >= 2, "admin": right >= 3},
        "can_comment": True,
        "pull_requests_enabled": True,
        "open_issues_count": 0,
        "empty_repo": not found.branches,
        "merge_enabled": "merge" in found.merge_methods,
        "squash_enabled": "squash" in found.merge_methods,
        "rebase_enabled": "rebase" in found.merge_methods,
    }


def _urls(found: Repository, origin: str) -> tuple[str, str]:
    return f"{origin}/api/v5/repos/{found.path}", f"{origin}/{found.path}"


def branch(found: Repository, name: str, origin: str) -> Shape:
    api, page = _urls(found, origin)
    sha = found.branches[name]
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{api}/commits/{sha}"},
        "protected": name == found.default_branch,
        "protection_url": f"{api}/branches/{name}/protection",
        "_links": {"self": f"{api}/branches/{name}", "html": f"{page}/tree/{name}"},
    }


def commit(world: World, found: Repository, one: Commit, origin: str) -> Shape:
    api, page = _urls(found, origin)
    at = china_time(one.at)
    name = world.accounts[one.author].name if one.author in world.accounts else one.author
    person = {"name": name, "date": at, "email": f"{one.author}@example.com"}
    return {
        "url": f"{api}/commits/{one.sha}",
        "sha": one.sha,
        "html_url": f"{page}/commit/{one.sha}",
        "comments_url": f"{api}/commits/{one.sha}/comments",
        "commit": {
            "author": person,
            "committer": person,
            "message": one.message,
            "tree": {"sha": one.sha[::-1], "url": f"{api}/git/trees/{one.sha[::-1]}"},
        },
        "author": user(world, one.author, origin),
        "committer": user(world, one.author, origin),
        "parents": [{"sha": sha, "url": f"{api}/commits/{sha}"} for sha in one.parents],
    }


def changed_file(found: Repository, one: Commit, origin: str) -> Shape:
    """Commits have no content here, so each one changes one file named by its sha."""
    api, page = _urls(found, origin)
    name = f"changes/{one.sha[:12]}.txt"
    return {
        "sha": one.sha,
        "filename": name,
        "status": "added",
        "additions": "1",
        "deletions": "0",
        "blob_url": f"{page}/blob/{one.sha}/{name}",
        "raw_url": f"{page}/raw/{one.sha}/{name}",
        "patch": {"diff": f"+{one.sha}", "new_path": name, "old_path": name},
        "contents_url": f"{api}/contents/{name}?ref={one.sha}",
    }


def comment(world: World, found: Repository, pull_of: Pull, one: Comment, origin: str) -> Shape:
    api, page = _urls(found, origin)
    url = f"{api}/pulls/comments/{one.id}"
    html_url = f"{page}/pulls/{pull_of.number}#note_{one.id}"
    pull_url = f"{api}/pulls/{pull_of.number}"
    return {
        "url": url,
        "id": one.id,
        "path": one.path,
        "position": one.position,
        "original_position": one.position,
        "commit_id": one.commit_id,
        "original_commit_id": one.commit_id,
        "user": user(world, one.login, origin),
        "created_at": china_time(one.created),
        "updated_at": china_time(one.updated),
        "body": one.body,
        "html_url": html_url,
        "pull_request_url": pull_url,
        "_links": {
            "self": {"href": url},
            "html": {"href": html_url},
            "pull_request": {"href": pull_url},
        },
    }


def operation(world: World, one: Operation, origin: str) -> Shape:
    return {
        "id": one.id,
        "icon": "history icon",
        "content": one.content,
        "action_type": one.action,
        "created_at": china_time(one.at),
        "user": user(world, one.login, origin),
    }


def check(one: Check, found: Repository, origin: str) -> Shape:
    api, page = _urls(found, origin)
    return {
        "id": one.id,
        "head_sha": one.head_sha,
        "url": f"{api}/check-runs/{one.id}",
        "html_url": f"{page}/check-runs/{one.id}",
        "name": one.name,
        "status": one.status,
        "conclusion": one.conclusion,
        "details_url": one.details_url,
        "started_at": china_time(one.started),
        "completed_at": None if one.completed is None else china_time(one.completed),
        "pull_request_id": one.pull,
        "output": one.output,
    }


def pull(world: World, found: Repository, one: Pull, origin: str) -> Shape:
    """No merge_commit_sha: recorded answers of the API have none, only the webhooks do."""
    base_sha = one.base_sha if one.merged else found.branches.get(one.base_ref, one.base_sha)
    return {
        "id": one.id,
        **_pull_links(found, one, origin),
        "number": one.number,
        "state": one.state,
        "title": one.title,
        "body": one.body,
        "assignees_number": one.assignees_number,
        "testers_number": one.testers_number,
        "assignees": _reviewers(world, one.assignees, origin),
        "testers": _reviewers(world, one.testers, origin),
        "milestone": None,
        "labels": [{"id": index, "name": name} for index, name in enumerate(one.labels, 1)],
        "locked": False,
        "draft": one.draft,
        "created_at": china_time(one.created),
        "updated_at": china_time(one.updated),
        "closed_at": None if one.closed is None else china_time(one.closed),
        "merged_at": None if one.merged is None else china_time(one.merged),
        "mergeable": one.mergeable,
        "can_merge_check": False,
        "head": _end(world, found, one.author, origin, ref=one.head_ref, sha=one.head_sha),
        "base": _end(world, found, found.owner, origin, ref=one.base_ref, sha=base_sha),
        "user": user(world, one.author, origin),
    }


def _pull_links(found: Repository, one: Pull, origin: str) -> Shape:
    api, page = _urls(found, origin)
    url, html_url = f"{api}/pulls/{one.number}", f"{page}/pulls/{one.number}"
    links = {
        "self": url,
        "html": html_url,
        "issue": f"{url}/issues",
        "comments": f"{url}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{api}/pulls/comments/{one.number}",
        "commits": f"{url}/commits",
    }
    return {
        "url": url,
        "html_url": html_url,
        "diff_url": f"{html_url}.diff",
        "patch_url": f"{html_url}.patch",
        "issue_url": f"{url}/issues",
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{api}/pulls/comments/{{/number}}",
        "review_comment_url": f"{api}/pulls/comments",
        "comments_url": f"{url}/comments",
        "_links": {name: {"href": href} for name, href in links.items()},
    }


def _reviewers(world: World, flags: dict[str, bool], origin: str) -> list[Shape]:
    return [
        user(world, login, origin) | {"assignee": True, "code_owner": False, "accept": accepted}
        for login, accepted in flags.items()
    ]


def _end(world: World, found: Repository, login: str, origin: str, *, ref: str, sha: str) -> Shape:
    return {
        "label": ref,
        "ref": ref,
        "sha": sha,
        "user": user(world, login, origin),
        "repo": repository(world, found, origin),
    }
