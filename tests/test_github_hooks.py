"""GitHub's webhooks: what recorded ones say, and which are not believed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from repos.forges.events import (
    ForgeEvent,
    Happened,
    Hook,
    HookRejected,
    hmac_hex,
    text_digest,
)
from repos.forges.github import GitHub

CASES = Path(__file__).parent / "cases"
SECRET = "hook-secret"


def body_of(name: str) -> bytes:
    return (CASES / f"github_{name}__recorded.json").read_bytes()


def changed(name: str, **fields: object) -> bytes:
    return json.dumps(json.loads(body_of(name)) | fields).encode()


def receive(
    event: str, body: bytes, *, secret: str = SECRET, right: str = SECRET, **more: str
) -> ForgeEvent:
    headers = {
        "x-github-event": event,
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-hub-signature-256": f"sha256={hmac_hex(secret, body)}",
        "content-type": "application/json",
    }
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return GitHub.receive(Hook(headers | named, body), secret=right, now=datetime.now(UTC))


def test_a_comment_on_a_pull_request_is_told() -> None:
    body = body_of("issue_comment_created")

    event = receive("issue_comment", body)

    assert (event.happened, event.path) == (Happened.COMMENTED, "abc/def-ci-webhook-test")
    assert (event.number, event.comment_id) == (2, "751955664")
    assert event.text_digest == text_digest(json.loads(body)["comment"]["body"])
    assert (event.delivery[:8], event.told) == ("72d3162e", "issue_comment created")


@pytest.mark.parametrize(
    ("body", "happened"),
    [
        (body_of("pull_request_opened"), Happened.OPENED),
        (body_of("pull_request_synchronize"), Happened.PUSHED),
        (body_of("pull_request_closed"), Happened.CLOSED),
        (changed("pull_request_opened", action="reopened"), Happened.REOPENED),
    ],
)
def test_what_happened_to_a_pull_request_is_told(body: bytes, happened: Happened) -> None:
    event = receive("pull_request", body)

    assert (event.happened, event.path) == (happened, "Codertocat/Hello-World")
    assert event.number == 2


def test_a_close_that_is_a_merge_is_told_as_one() -> None:
    pull = json.loads(body_of("pull_request_closed"))["pull_request"] | {"merged": True}

    event = receive("pull_request", changed("pull_request_closed", pull_request=pull))

    assert event.happened is Happened.MERGED


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("ping", body_of("ping")),
        ("issue_comment", changed("issue_comment_created", action="edited")),
        ("issue_comment", changed("issue_comment_created", issue={"number": 2})),
        ("pull_request", changed("pull_request_opened", action="labeled")),
    ],
)
def test_everything_else_is_nothing(event: str, body: bytes) -> None:
    assert receive(event, body).happened is Happened.NOTHING


def test_a_hook_that_is_sent_as_a_form_is_read() -> None:
    form = urlencode({"payload": body_of("issue_comment_created").decode()}).encode()

    event = receive("issue_comment", form, content_type="application/x-www-form-urlencoded")

    assert (event.happened, event.number) == (Happened.COMMENTED, 2)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"secret": "another"}, "bad_signature"),
        ({"secret": "", "right": ""}, "bad_signature"),
        ({"x_hub_signature_256": ""}, "bad_signature"),
        ({"x_gitea_event": "issue_comment"}, "not_github"),
        ({"x_forgejo_event": "issue_comment"}, "not_github"),
    ],
)
def test_what_github_did_not_sign_is_rejected(more: dict[str, str], reason: str) -> None:
    with pytest.raises(HookRejected) as caught:
        receive("issue_comment", body_of("issue_comment_created"), **more)

    assert (caught.value.reason, caught.value.status) == (reason, 401)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", changed("issue_comment_created", comment={})]
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_malformed_hook_is_rejected(body: bytes, kind: str) -> None:
    with pytest.raises(HookRejected) as caught:
        receive("issue_comment", body, content_type=kind)

    assert (caught.value.reason, caught.value.status) == ("malformed", 400)
