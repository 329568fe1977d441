"""Shapes that Gitee and Gitea took over from GitHub, read once for all three."""

from datetime import datetime
from typing import Any

from chatops_site.kit.http import Answer, HttpError
from repos.forges.answers import link_of, sha_of, text_of
from repos.forges.resources import Comment, Commit, RepositoryFacts


def login_of(row: Any) -> str:
    """The login of a user object; "" for none, as of a deleted account."""
    return (row or {}).get("login") or ""


def time_of(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def read_repository(row: Any) -> RepositoryFacts:
    return RepositoryFacts(
        path=text_of(row["full_name"]),
        default_branch=row.get("default_branch") or "",
        url=link_of(row.get("html_url")),
        archived=bool(row.get("archived")),
    )


def read_comment(row: Any) -> Comment:
    return Comment(
        id=str(row["id"]),
        author=login_of(row.get("user")),
        body=row.get("body") or "",
        url=link_of(row.get("html_url")),
        created_at=time_of(row.get("created_at")),
        edited=bool(row.get("updated_at")) and row["updated_at"] != row.get("created_at"),
    )


def read_commit(row: Any) -> Commit:
    inner = row["commit"]
    author = row.get("author") or inner.get("author") or {}
    return Commit(
        sha=sha_of(row["sha"]),
        message=inner.get("message") or "",
        author=author.get("login") or author.get("name") or "",
        url=link_of(row.get("html_url")),
        parents=tuple(parent["sha"] for parent in row.get("parents") or ()),
    )


def answered_sha(answer: Answer) -> str:
    """The merge commit that an answer to a merge names; "" when it names none."""
    try:
        return sha_of(answer.json()["sha"])
    except (HttpError, KeyError, TypeError, ValueError):
        return ""
