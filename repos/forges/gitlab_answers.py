"""GitLab's JSON into our words, and our comments into what GitLab leaves alone.

https://docs.gitlab.com/api/merge_requests/#merge-status
"""

import re
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from repos.forges.answers import checked, link_of, sha_of, text_of
from repos.forges.resources import (
    Check,
    CheckState,
    Comment,
    Commit,
    PullRequest,
    PullState,
    RepositoryFacts,
)
from repos.forges.shapes import time_of

_STATES: Final = {
    "opened": PullState.OPEN,
    "locked": PullState.OPEN,
    "closed": PullState.CLOSED,
    "merged": PullState.MERGED,
}
_UNKNOWN: Final = ("checking", "unchecked", "preparing", "cannot_be_merged_recheck")
_CONFLICT: Final = ("conflict", "cannot_be_merged")
# Other fields say these, or there is nothing to say.
_NO_BLOCK: Final = (
    *_UNKNOWN,
    *_CONFLICT,
    "",
    "mergeable",
    "can_be_merged",
    "draft_status",
    "not_open",
    "discussions_not_resolved",
)
_BLOCKS: Final[dict[str, Promise]] = {
    "ci_must_pass": gettext_lazy("a pipeline must succeed first"),
    "ci_still_running": gettext_lazy("a pipeline is still running"),
    "not_approved": gettext_lazy("GitLab asks for more approvals"),
    "need_rebase": gettext_lazy("it has to be rebased first"),
    "blocked_status": gettext_lazy("another pull request has to be merged first"),
    "external_status_checks": gettext_lazy("external status checks must pass first"),
    "status_checks_must_pass": gettext_lazy("external status checks must pass first"),
    "requested_changes": gettext_lazy("a reviewer has asked for changes"),
    "jira_association_missing": gettext_lazy("it must name a Jira issue"),
    "policies_denied": gettext_lazy("a security policy denies it"),
    "security_policy_violations": gettext_lazy("a security policy denies it"),
    "locked_paths": gettext_lazy("it changes locked files"),
}
_GREEN: Final = ("success", "skipped")
_RED: Final = ("failed", "canceled")
_FENCE: Final = re.compile(r" {0,3}(```+|~~~+)")


def counts(row: Any, *, since: datetime | None, resets: bool) -> bool:
    """An approval in the same millisecond as the push may be of what was there before."""
    given = time_of(row.get("approved_at"))
    return resets if given is None else since is not None and given > since


def read_repository(row: Any) -> RepositoryFacts:
    return RepositoryFacts(
        path=text_of(row["path_with_namespace"]),
        default_branch=row.get("default_branch") or "",
        url=link_of(row.get("web_url")),
        archived=bool(row.get("archived")),
    )


def read_pull(row: Any) -> PullRequest:
    state = _STATES[row["state"]]
    status = row.get("detailed_merge_status") or row.get("merge_status") or ""
    landed = row.get("merge_commit_sha") or row.get("squash_commit_sha") or row["sha"]
    return PullRequest(
        number=checked(row["iid"], int),
        title=text_of(row["title"]),
        author=(row.get("author") or {}).get("username") or "",
        state=state,
        draft=bool(row.get("draft", row.get("work_in_progress"))),
        mergeable=None if status in _UNKNOWN else status not in _CONFLICT,
        head_sha=sha_of(row["sha"]),
        head_ref=text_of(row["source_branch"]),
        base_sha=(row.get("diff_refs") or {}).get("base_sha") or "",
        base_ref=text_of(row["target_branch"]),
        url=link_of(row.get("web_url")),
        updated_at=time_of(row.get("updated_at")),
        unresolved=int(
            status == "discussions_not_resolved"
            or row.get("blocking_discussions_resolved") is False
        ),
        blocks=() if status in _NO_BLOCK else (str(_BLOCKS.get(status, status)),),
        merge_sha=landed if state is PullState.MERGED else "",
        labels=tuple(map(text_of, row.get("labels") or ())),
    )


def read_check(name: str, row: Any) -> Check:
    told, optional = row.get("status"), row.get("allow_failure") is True
    state = CheckState.PENDING
    if told in _GREEN or (optional and told in ("failed", "manual")):
        state = CheckState.SUCCESS
    elif told in _RED:
        state = CheckState.FAILURE
    return Check(name, state, link_of(row.get("target_url")))


def read_note(row: Any) -> Comment:
    """updated_at changes as well when a discussion is resolved: last_edited_at is better."""
    edited_at = row.get("last_edited_at", row.get("updated_at"))
    return Comment(
        id=str(row["id"]),
        author=(row.get("author") or {}).get("username") or "",
        body=row.get("body") or "",
        url=link_of(row.get("url")),
        created_at=time_of(row.get("created_at")),
        edited=bool(edited_at) and edited_at != row.get("created_at"),
    )


def read_commit(row: Any) -> Commit:
    return Commit(
        sha=sha_of(row["id"]),
        message=row.get("message") or row.get("title") or "",
        author=row.get("author_name") or "",
        url=link_of(row.get("web_url")),
        parents=tuple(row.get("parent_ids") or ()),
    )


def tame(body: str) -> str:
    """GitLab would run a line that begins with "/" as a quick action, but not in a code fence."""
    lines, fence = [], ""
    for line in body.split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        lines.append(f"\\{line}" if line.startswith("/") and not fence else line)
    return "\n".join(lines)
