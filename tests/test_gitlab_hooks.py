"""GitLab's webhooks: both proofs, and what each packet tells."""

import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from repos.forges.events import ForgeEvent, Happened, Hook, HookRejected
from repos.forges.gitlab import GitLab

NOW = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
KEY = b"a key of thirty-two bytes, truly"
SECRET = "whsec_" + b64encode(KEY).decode()


def note(**attributes: Any) -> dict[str, Any]:
    told = {"id": 77, "note": "/merge", "noteable_type": "MergeRequest", "action": "create"}
    return {
        "object_kind": "note",
        "project": {"path_with_namespace": "acme/shop"},
        "merge_request": {"id": 9001, "iid": 233},
        "object_attributes": told | attributes,
    }


def change(**attributes: Any) -> dict[str, Any]:
    return {
        "object_kind": "merge_request",
        "project": {"path_with_namespace": "acme/shop"},
        "object_attributes": {"id": 9001, "iid": 233} | attributes,
    }


def by_token(body: Any, token: str = SECRET) -> Hook:
    headers = {"x-gitlab-token": token, "x-gitlab-event-uuid": "one"}
    return Hook(headers, json.dumps(body).encode())


def signed(body: Any, *, at: datetime = NOW, key: bytes = KEY) -> Hook:
    raw, stamp = json.dumps(body).encode(), str(int(at.timestamp()))
    right = hmac.new(key, f"two.{stamp}.".encode() + raw, sha256).digest()
    signature = f"v1,AAAA v1,{b64encode(right).decode()}"
    headers = {"webhook-id": "two", "webhook-timestamp": stamp, "webhook-signature": signature}
    return Hook(headers, raw)


def receive(hook: Hook, secret: str = SECRET) -> ForgeEvent:
    return GitLab.receive(hook, secret=secret, now=NOW)


@pytest.mark.parametrize("pack", [by_token, signed])
def test_a_new_comment_is_told_with_its_iid_under_either_proof(pack: Any) -> None:
    event = receive(pack(note()))

    assert (event.happened, event.path, event.number) == (Happened.COMMENTED, "acme/shop", 233)
    assert event.comment_id == "77"


@pytest.mark.parametrize(
    ("body", "happened"),
    [
        (note(action="update"), Happened.NOTHING),
        (note(system=True), Happened.NOTHING),
        (note(noteable_type="Issue"), Happened.NOTHING),
        (note(action=None, created_at="1", updated_at="1"), Happened.COMMENTED),
        (note(action=None, created_at="1", updated_at="2"), Happened.NOTHING),
        (change(action="open"), Happened.OPENED),
        (change(action="reopen"), Happened.REOPENED),
        (change(action="close"), Happened.CLOSED),
        (change(action="merge"), Happened.MERGED),
        (change(action="update", oldrev="0" * 40), Happened.PUSHED),
        (change(action="update"), Happened.NOTHING),
        ({"object_kind": "pipeline"}, Happened.NOTHING),
    ],
)
def test_each_packet_tells_what_happened(body: Any, happened: Happened) -> None:
    assert receive(by_token(body)).happened is happened


@pytest.mark.parametrize(
    "hook",
    [
        by_token(note(), token="wrong"),
        signed(note(), key=b"wrong"),
        Hook(signed(note()).headers, b"{}"),
        Hook({"webhook-signature": "v1,AAAA", "x-gitlab-token": SECRET}, b"{}"),
        signed(note(), at=NOW - timedelta(hours=2)),
    ],
)
def test_a_wrong_or_stale_proof_is_rejected(hook: Hook) -> None:
    with pytest.raises(HookRejected) as caught:
        receive(hook)

    assert caught.value.status == 401


def test_an_empty_secret_proves_nothing() -> None:
    with pytest.raises(HookRejected):
        receive(by_token(note(), token=""), secret="")


@pytest.mark.parametrize("body", [[], note(id="77"), note(note=None), change(iid=0)])
def test_a_malformed_packet_is_rejected_as_such(body: Any) -> None:
    with pytest.raises(HookRejected) as caught:
        receive(by_token(body))

    assert caught.value.status == 400
