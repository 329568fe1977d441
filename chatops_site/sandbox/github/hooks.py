"""What the GitHub stand-in sends by webhook.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

import hmac
import json
import uuid
from hashlib import sha256
from typing import Any

from chatops_site.sandbox.github import shapes
from chatops_site.sandbox.hooks import Packet, Terms
from chatops_site.sandbox.records import Happening
from chatops_site.sandbox.world import World

_HOOK_ID = "788005"
_ACTIONS = {
    "opened": "opened",
    "pushed": "synchronize",
    "closed": "closed",
    "reopened": "reopened",
    "merged": "closed",
}


def make_hook(world: World, happening: Happening, terms: Terms, origin: str) -> Packet | None:
    """Signed over the body; nothing in it tells the time of sending."""
    event, more = _told(world, happening, origin)
    sender = shapes.user(world, happening.by, origin)
    repository = shapes.repository(world, happening.repository, origin)
    told = more | {"repository": repository, "sender": sender}
    body = json.dumps(told, ensure_ascii=False).encode()
    signature = hmac.new(terms.key.encode(), body, sha256).hexdigest()
    headers = {
        "User-Agent": "GitHub-Hookshot/044aadd",
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-GitHub-Hook-ID": _HOOK_ID,
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    return Packet(headers, body)


def _told(world: World, happening: Happening, origin: str) -> tuple[str, dict[str, Any]]:
    found, pull = happening.repository, happening.pull
    if happening.comment is not None:
        action = "edited" if happening.kind == "comment_edited" else "created"
        issue = shapes.issue(world, found, pull, origin)
        comment = shapes.comment(world, found, pull, happening.comment, origin)
        return "issue_comment", {"action": action, "issue": issue, "comment": comment}
    merged = pull.state == "merged"
    shape = shapes.pull(world, found, pull, origin) | {"merged": merged}
    if happening.review is not None:
        review = shapes.review(world, found, pull, happening.review, origin)
        state = {"state": review["state"].lower()}
        more = {"action": "submitted", "review": review | state, "pull_request": shape}
        return "pull_request_review", more
    action = _ACTIONS[happening.kind]
    moved = {"before": happening.old_sha, "after": pull.head_sha} if happening.old_sha else {}
    return "pull_request", {
        "action": action,
        "number": pull.number,
        "pull_request": shape,
        **moved,
    }
