"""What the Gitea stand-in sends by webhook.

https://docs.gitea.com/usage/repository/webhooks
"""

import hmac
import json
import uuid
from hashlib import sha1, sha256
from typing import Any

from chatops_site.sandbox.gitea import shapes
from chatops_site.sandbox.hooks import Packet, Terms
from chatops_site.sandbox.records import Happening
from chatops_site.sandbox.world import World

_ACTIONS = {
    "opened": "opened",
    "pushed": "synchronized",
    "closed": "closed",
    "reopened": "reopened",
    "merged": "closed",
}
_REVIEWED = {
    "approved": ("pull_request_approved", "pull_request_review_approved"),
    "changes": ("pull_request_rejected", "pull_request_review_rejected"),
    "commented": ("pull_request_comment", "pull_request_review_comment"),
}
Told = tuple[str, str, dict[str, Any]]


def make_hook(world: World, happening: Happening, terms: Terms, origin: str) -> Packet | None:
    """Signed over the body; nothing in it tells the time of sending."""
    event, fine, more = _told(world, happening, origin)
    told = more | {
        "repository": shapes.repository(world, happening.repository, origin),
        "sender": shapes.user(world, happening.by, origin),
    }
    body = json.dumps(told, ensure_ascii=False).encode()
    return Packet(_headers(event, fine, terms.key.encode(), body), body)


def _headers(event: str, fine: str, key: bytes, body: bytes) -> dict[str, str]:
    """Under its own name, under that of its ancestor, and as GitHub would."""
    strong = hmac.new(key, body, sha256).hexdigest()
    delivery = str(uuid.uuid4())
    headers = {
        "Content-Type": "application/json",
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, sha1).hexdigest(),
        "X-Hub-Signature-256": f"sha256={strong}",
        "X-Gitea-Signature": strong,
        "X-Gogs-Signature": strong,
    }
    for name in ("Gitea", "Gogs", "GitHub"):
        headers[f"X-{name}-Delivery"] = delivery
        headers[f"X-{name}-Event"] = event
        headers[f"X-{name}-Event-Type"] = fine
    return headers


def _told(world: World, happening: Happening, origin: str) -> Told:
    """The event, its finer name, and what is particular to it."""
    found, pull = happening.repository, happening.pull
    shape = shapes.pull(world, found, pull, origin)
    if happening.comment is not None:
        more = {
            "action": "edited" if happening.kind == "comment_edited" else "created",
            "issue": shapes.issue(world, found, pull, origin),
            "pull_request": shape,
            "comment": shapes.comment(world, found, pull, happening.comment, origin),
            "is_pull": True,
        }
        return "issue_comment", "pull_request_comment", more
    about = {"number": pull.number, "pull_request": shape}
    if happening.review is not None:
        event, fine = _REVIEWED[happening.review.state]
        review = {"type": fine, "content": happening.review.body}
        return event, fine, about | {"action": "reviewed", "review": review}
    fine = "pull_request_sync" if happening.kind == "pushed" else "pull_request"
    return "pull_request", fine, about | {"action": _ACTIONS[happening.kind]}
