"""What GitLab's webhooks say, and their proof: a token in plain text, or a signature.

https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

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

_HAPPENED: Final = {
    "open": Happened.OPENED,
    "reopen": Happened.REOPENED,
    "close": Happened.CLOSED,
    "merge": Happened.MERGED,
}


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
