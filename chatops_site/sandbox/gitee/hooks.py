"""What the Gitee stand-in sends by webhook, as gitee.com was recorded doing.

https://help.gitee.com/webhook/gitee-webhook-push-data-format
"""

import hmac
import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

from chatops_site.sandbox.gitee import shapes
from chatops_site.sandbox.hooks import Packet, Terms
from chatops_site.sandbox.records import Happening
from chatops_site.sandbox.world import World

_HOOK_ID = 788_005
_ACTIONS = {
    "opened": ("open", None),
    "pushed": ("update", "source_branch_changed"),
    "closed": ("close", None),
    "reopened": ("reopen", None),
    "merged": ("merge", None),
    "reviewed": ("approved", None),
}


def make_hook(world: World, happening: Happening, terms: Terms, origin: str) -> Packet | None:
    timestamp = str(int((world.now() - terms.age) * 1000))
    if happening.comment is not None:
        event, body = "Note Hook", _note(world, happening, origin)
    else:
        event, body = "Merge Request Hook", _merge_request(world, happening, origin)
    password = terms.key if terms.mode == "password" else ""
    token = password or _sign(terms.key, timestamp)
    body |= {
        "hook_id": _HOOK_ID,
        "hook_url": f"{origin}/{happening.repository.path}/hooks/{_HOOK_ID}/edit",
        "password": password,
        "timestamp": timestamp,
        "sign": "" if password else token,
    }
    headers = {
        "User-Agent": "git-oschina-hook",
        "Content-Type": "application/json",
        "X-Gitee-Event": event,
        "X-Gitee-Timestamp": timestamp,
        "X-Gitee-Token": token,
    }
    return Packet(headers, json.dumps(body, ensure_ascii=False).encode())


def _sign(secret: str, timestamp: str) -> str:
    """Over the time and the secret: the body is not covered."""
    message = f"{timestamp}\n{secret}".encode()
    return b64encode(hmac.new(secret.encode(), message, sha256).digest()).decode()


def _note(world: World, happening: Happening, origin: str) -> dict[str, Any]:
    comment, pull = happening.comment, happening.pull
    assert comment is not None  # noqa: S101 (the caller asked)
    edited = happening.kind == "comment_edited"
    shape = shapes.comment(world, happening.repository, pull, comment, origin)
    kept = ("id", "body", "html_url", "user", "created_at", "updated_at")
    return _common(world, happening, origin) | {
        "action": "edited" if edited else "comment",
        "hook_name": "note_hooks",
        "author": shape["user"],
        "comment": {name: shape[name] for name in kept},
        "note": comment.body,
        "noteable_id": pull.id,
        "noteable_type": "PullRequest",
        "per_iid": f"!{pull.number}",
        "issue": None,
    }


def _merge_request(world: World, happening: Happening, origin: str) -> dict[str, Any]:
    pull = happening.pull
    action, description = _ACTIONS[happening.kind]
    return _common(world, happening, origin) | {
        "action": action,
        "action_desc": description,
        "hook_name": "merge_request_hooks",
        "author": shapes.user(world, pull.author, origin),
        "iid": pull.number,
        "number": pull.number,
        "title": pull.title,
        "body": pull.body,
        "state": pull.state,
        "merge_commit_sha": pull.merge_sha or None,
        "merge_status": "can_be_merged" if pull.mergeable else "cannot_be_merged",
        "source_branch": pull.head_ref,
        "target_branch": pull.base_ref,
        "updated_by": shapes.user(world, happening.by, origin),
        "url": f"{origin}/{happening.repository.path}/pulls/{pull.number}",
    }


def _common(world: World, happening: Happening, origin: str) -> dict[str, Any]:
    found = happening.repository
    repository = shapes.repository(world, found, origin)
    return {
        "enterprise": None,
        "sender": shapes.user(world, happening.by, origin),
        "project": repository | {"path_with_namespace": found.path},
        "repository": repository,
        "pull_request": shapes.pull(world, found, happening.pull, origin)
        | {"merged": happening.pull.state == "merged"},
    }
