"""GitLab's JSON into our words, its webhooks too, and our comments into what GitLab leaves alone.

https://docs.gitlab.com/api/merge_requests/#merge-status and
https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

import hmac
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from repos.forges.answers import checked, link_of, sha_of, text_of
from repos.forges.events import (
    ForgeEvent,
    Happened,
    Hook,
    HookRejected,
    Payload,
    check_fresh,
    digest,
    is_same,
    text_digest,
)
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
_HAPPENED: Final = {
    "open": Happened.OPENED,
    "reopen": Happened.REOPENED,
    "close": Happened.CLOSED,
    "merge": Happened.MERGED,
}
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


# Webhooks


def check_proof(hook: Hook, *, secret: str, now: datetime) -> None:
    """The token alone is believed only where no signature is told."""
    if "webhook-signature" not in hook.headers:
        if not is_same(hook.headers.get("x-gitlab-token", ""), secret):
            raise HookRejected("bad_signature")
        return
    timestamp = hook.headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise HookRejected("no_timestamp")
    right = _signature(hook, timestamp, secret)
    told = hook.headers["webhook-signature"].split()
    if not secret or not any(is_same(one, right) for one in told):
        raise HookRejected("bad_signature")
    check_fresh(datetime.fromtimestamp(int(timestamp), UTC), now)


def _signature(hook: Hook, timestamp: str, secret: str) -> str:
    """https://www.standardwebhooks.com/"""
    message = f"{hook.headers.get('webhook-id', '')}.{timestamp}.".encode() + hook.body
    return "v1," + b64encode(hmac.new(_key(secret), message, sha256).digest()).decode()


def _key(secret: str) -> bytes:
    """The base64 after whsec_; a secret that is none is taken as it is."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return secret.encode()


def read_hook(hook: Hook, payload: Payload) -> ForgeEvent:
    """https://docs.gitlab.com/user/project/integrations/webhook_events/"""
    kind, action = payload.get("object_kind"), payload.get("object_attributes.action")
    happened, known = Happened.NOTHING, dict[str, Any]()
    if kind == "note" and payload.get("object_attributes.noteable_type") == "MergeRequest":
        happened = _noted(payload)
        known = {
            "number": payload.number("merge_request.iid"),
            "comment_id": str(payload.number("object_attributes.id")),
            "text_digest": text_digest(payload.text("object_attributes.note")),
        }
    elif kind == "merge_request":
        happened = _changed(payload)
        known = {"number": payload.number("object_attributes.iid")}
    if known:
        known["path"] = payload.text("project.path_with_namespace")
    told = f"{kind} {action or ''}".strip()[:80]
    return ForgeEvent(happened, _delivery(hook), told=told, **known)


def _noted(payload: Payload) -> Happened:
    """Older servers tell no action; then a note is new if it was never updated."""
    if payload.get("object_attributes.system"):
        return Happened.NOTHING
    action = payload.get("object_attributes.action")
    created, updated = (
        payload.get(f"object_attributes.{name}_at") for name in ("created", "updated")
    )
    new = action == "create" if action else created == updated
    return Happened.COMMENTED if new else Happened.NOTHING


def _changed(payload: Payload) -> Happened:
    action = payload.get("object_attributes.action")
    if action == "update" and payload.get("object_attributes.oldrev"):
        return Happened.PUSHED
    return _HAPPENED.get(str(action), Happened.NOTHING)


def _delivery(hook: Hook) -> str:
    names = ("webhook-id", "idempotency-key", "x-gitlab-event-uuid")
    told = next((hook.headers[name] for name in names if hook.headers.get(name)), "")
    return digest(told) if told else digest(hook.body.hex())
