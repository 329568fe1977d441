"""What the GitLab stand-in sends by webhook: proved by a token, or in mode "signing" by a signature.

https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

from chatops_site.sandbox.gitlab import shapes
from chatops_site.sandbox.hooks import Packet, Terms
from chatops_site.sandbox.records import Happening
from chatops_site.sandbox.world import World

_ACTIONS = {
    "opened": "open",
    "pushed": "update",
    "closed": "close",
    "reopened": "reopen",
    "merged": "merge",
}
_REVIEWS = {"approved": "approved", "dismissed": "unapproved"}


def make_hook(world: World, happening: Happening, terms: Terms, origin: str) -> Packet | None:
    """None for a review without a verdict: GitLab tells of approvals only."""
    action = _ACTIONS.get(happening.kind, "")
    if happening.review is not None:
        action = _REVIEWS.get(happening.review.state, "")
    if happening.comment is not None:
        event, body = "Note Hook", _note(world, happening, origin)
    elif action:
        event, body = "Merge Request Hook", _merge_request(world, happening, origin, action)
    else:
        return None
    raw = json.dumps(body, ensure_ascii=False).encode()
    unique = hashlib.sha256(raw + str(world.now()).encode()).hexdigest()[:32]
    headers = {
        "User-Agent": "GitLab/17.8.1",
        "Content-Type": "application/json",
        "X-Gitlab-Event": event,
        "X-Gitlab-Event-UUID": unique,
        "X-Gitlab-Instance": origin,
        "Idempotency-Key": unique,
    }
    return Packet(headers | _proof(world, terms, unique, raw), raw)


def _proof(world: World, terms: Terms, unique: str, raw: bytes) -> dict[str, str]:
    """https://www.standardwebhooks.com/"""
    if terms.mode != "signing":
        return {"X-Gitlab-Token": terms.key}
    stamp = str(int(world.now() - terms.age))
    right = hmac.new(_key(terms.key), f"{unique}.{stamp}.".encode() + raw, hashlib.sha256)
    return {
        "webhook-id": unique,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{b64encode(right.digest()).decode()}",
    }


def _key(secret: str) -> bytes:
    try:
        return b64decode(secret.split("whsec_")[1], validate=True)
    except (IndexError, ValueError):
        return secret.encode()


def _note(world: World, happening: Happening, origin: str) -> dict[str, Any]:
    comment, pull = happening.comment, happening.pull
    assert comment is not None  # noqa: S101 (the caller asked)
    edited = happening.kind == "comment_edited"
    pull_url = f"{origin}/{happening.repository.path}/-/merge_requests/{pull.number}"
    return _common(world, happening, origin, "note") | {
        "event_type": "note",
        "object_attributes": {
            "id": comment.id,
            "note": comment.body,
            "noteable_type": "MergeRequest",
            "noteable_id": pull.id,
            "author_id": world.accounts[comment.login].id,
            "project_id": happening.repository.id,
            "system": False,
            "action": "update" if edited else "create",
            "created_at": _time(comment.created),
            "updated_at": _time(comment.updated),
            "url": f"{pull_url}#note_{comment.id}",
        },
        "merge_request": _attributes(happening, origin),
    }


def _merge_request(world: World, happening: Happening, origin: str, action: str) -> dict[str, Any]:
    told = _attributes(happening, origin) | {"action": action}
    if happening.old_sha:
        told["oldrev"] = happening.old_sha
    return _common(world, happening, origin, "merge_request") | {
        "event_type": "merge_request",
        "object_attributes": told,
        "changes": {},
        "labels": [],
    }


def _attributes(happening: Happening, origin: str) -> dict[str, Any]:
    found, pull = happening.repository, happening.pull
    return {
        "id": pull.id,
        "iid": pull.number,
        "title": pull.title,
        "description": pull.body,
        "state": "opened" if pull.state == "open" else pull.state,
        "draft": pull.draft,
        "source_branch": pull.head_ref,
        "target_branch": pull.base_ref,
        "target_project_id": found.id,
        "merge_commit_sha": pull.merge_sha or None,
        "detailed_merge_status": shapes.merge_status(found, pull),
        "last_commit": {"id": pull.head_sha, "message": found.commits[pull.head_sha].message},
        "created_at": _time(pull.created),
        "updated_at": _time(pull.updated),
        "url": f"{origin}/{found.path}/-/merge_requests/{pull.number}",
    }


def _common(world: World, happening: Happening, origin: str, kind: str) -> dict[str, Any]:
    found = happening.repository
    project = shapes.project(found, origin)
    kept = ("id", "name", "description", "web_url", "path_with_namespace", "default_branch")
    return {
        "object_kind": kind,
        "user": shapes.user(world, happening.by, origin),
        "project": {name: project[name] for name in kept},
        "repository": {"name": found.name, "homepage": project["web_url"]},
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
