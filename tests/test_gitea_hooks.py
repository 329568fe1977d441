"""Gitea's webhooks: what recorded ones and those of the stand-in say, and which are not believed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from chatops_site.sandbox import demo
from chatops_site.sandbox.changes import change
from chatops_site.sandbox.gitea import make_hook
from chatops_site.sandbox.hooks import SECRET, Terms
from chatops_site.sandbox.records import Happening
from chatops_site.sandbox.world import World
from repos.forges.events import (
    ForgeEvent,
    Happened,
    Hook,
    HookRejected,
    hmac_hex,
    text_digest,
)
from repos.forges.gitea import Gitea
from repos.forges.github import GitHub

CASES = Path(__file__).parent / "cases"
SHOP, ORIGIN = "acme/shop", "http://gitea.example"
COMMENTED, MERGED = "comment", "merged"


@pytest.fixture
def world() -> World:
    made = World()
    demo.fill(made)
    return made


def happening(world: World, op: str, **arguments: Any) -> Happening:
    """What the world tells of an operation."""
    told: list[Happening] = []
    world.listeners.append(told.append)
    change(world, op, {"repository": SHOP, "number": 233} | arguments)
    return told[-1]


def packed(world: World, what: Happening, terms: Terms | None = None) -> Hook:
    packet = make_hook(world, what, terms or Terms(), ORIGIN)
    assert packet is not None
    return Hook({name.lower(): value for name, value in packet.headers.items()}, packet.body)


def received(hook: Hook, secret: str = SECRET) -> ForgeEvent:
    return Gitea.receive(hook, secret=secret, now=datetime.now(UTC))


def rejected(hook: Hook, secret: str = SECRET) -> tuple[str, int]:
    with pytest.raises(HookRejected) as caught:
        received(hook, secret)
    return caught.value.reason, caught.value.status


def body_of(name: str) -> bytes:
    return (CASES / f"gitea_hook_{name}__recorded.json").read_bytes()


def changed(name: str, **fields: object) -> bytes:
    return json.dumps(json.loads(body_of(name)) | fields).encode()


def hook(event: str, body: bytes, **more: str) -> Hook:
    headers = {
        "x-gitea-event": event,
        "x-gitea-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-gitea-signature": hmac_hex(SECRET, body),
    }
    return Hook(headers | {name.replace("_", "-"): value for name, value in more.items()}, body)


# Recorded ones


def test_a_recorded_comment_on_a_pull_request_is_told() -> None:
    event = received(hook("issue_comment", body_of(COMMENTED)))

    assert (event.happened, event.path) == (Happened.COMMENTED, "gogits/hello-world")
    assert (event.number, event.comment_id) == (2, "45")
    assert event.text_digest == text_digest("run gofmt")
    assert event.told == "issue_comment created"


@pytest.mark.parametrize(
    ("body", "happened"),
    [
        (body_of("opened"), Happened.OPENED),
        (body_of(MERGED), Happened.MERGED),
        (changed(MERGED, pull_request={"merged": False}), Happened.CLOSED),
        (changed("opened", action="reopened"), Happened.REOPENED),
        (changed("opened", action="synchronized"), Happened.PUSHED),
    ],
)
def test_what_happened_to_a_recorded_pull_request_is_told(body: bytes, happened: Happened) -> None:
    event = received(hook("pull_request", body))

    assert (event.happened, event.path, event.number) == (happened, "jcitizen/my-repo", 1)


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("push", b'{"ref": "refs/heads/master"}'),
        ("issue_comment", changed(COMMENTED, action="edited")),
        ("issue_comment", changed(COMMENTED, action="deleted")),
        ("issue_comment", changed(COMMENTED, issue={"number": 2})),
        ("pull_request", changed("opened", action="label_updated")),
        ("pull_request_approved", changed("opened", action="reviewed")),
        ("issues", changed("opened")),
    ],
)
def test_everything_else_is_nothing(event: str, body: bytes) -> None:
    assert received(hook(event, body)).happened is Happened.NOTHING


def test_a_delivery_is_known_again_by_its_id_and_else_by_its_body() -> None:
    body = body_of(COMMENTED)
    first, again = received(hook("issue_comment", body)), received(hook("issue_comment", body))
    other = received(hook("issue_comment", body, x_gitea_delivery="another"))
    bare = received(hook("issue_comment", body, x_gitea_delivery=""))

    assert first.delivery == again.delivery
    assert len({first.delivery, other.delivery, bare.delivery}) == 3


def test_forgejo_may_use_its_own_name() -> None:
    body = body_of(COMMENTED)
    headers = {
        "x-forgejo-event": "issue_comment",
        "x-forgejo-delivery": "1",
        "x-forgejo-signature": hmac_hex(SECRET, body),
    }

    assert received(Hook(headers, body)).happened is Happened.COMMENTED


def test_a_form_is_signed_by_the_json_in_it() -> None:
    sent = hook("issue_comment", body_of(COMMENTED))
    form = urlencode({"payload": sent.body.decode()}).encode()
    headers = {**sent.headers, "content-type": "application/x-www-form-urlencoded; charset=utf-8"}

    assert received(Hook(headers, form)).happened is Happened.COMMENTED
    assert rejected(Hook(headers, form + b"1")) == ("bad_signature", 401)
    assert rejected(Hook(headers, b"a=1")) == ("bad_signature", 401)
    assert rejected(Hook(headers, b"&" * 20)) == ("bad_signature", 401)


@pytest.mark.parametrize(
    ("more", "secret", "reason"),
    [
        ({}, "another", "bad_signature"),
        ({}, "", "bad_signature"),
        ({"x_gitea_signature": ""}, SECRET, "bad_signature"),
        ({"x_gitea_signature": "é"}, SECRET, "bad_signature"),
        ({"x_gitea_event": ""}, SECRET, "not_gitea"),
        ({"x_gitea_event": "", "x_github_event": "issue_comment"}, SECRET, "not_gitea"),
    ],
)
def test_what_gitea_did_not_sign_is_rejected(
    more: dict[str, str], secret: str, reason: str
) -> None:
    assert rejected(hook("issue_comment", body_of(COMMENTED), **more), secret) == (reason, 401)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", changed(COMMENTED, comment={}), changed(COMMENTED, repository=1)],
)
def test_a_malformed_hook_is_rejected(body: bytes) -> None:
    assert rejected(hook("issue_comment", body)) == ("malformed", 400)


# Those of the stand-in

HAPPENINGS: list[tuple[str, dict[str, Any], Happened, str]] = [
    ("open_pull", {}, Happened.OPENED, "pull_request"),
    ("push", {}, Happened.PUSHED, "pull_request_sync"),
    ("close_pull", {}, Happened.CLOSED, "pull_request"),
    ("merge_elsewhere", {}, Happened.MERGED, "pull_request"),
    ("comment", {"body": "/merge"}, Happened.COMMENTED, "pull_request_comment"),
]


@pytest.mark.parametrize(("op", "arguments", "happened", "fine"), HAPPENINGS)
def test_what_the_stand_in_sends_is_believed(
    world: World, op: str, arguments: dict[str, Any], happened: Happened, fine: str
) -> None:
    what = happening(world, op, **arguments)

    sent = packed(world, what)
    event = received(sent)

    assert (event.happened, event.path, event.number) == (happened, SHOP, what.pull.number)
    assert sent.headers["x-gitea-event-type"] == fine


def test_a_reopened_one_is_told_too(world: World) -> None:
    happening(world, "close_pull")

    event = received(packed(world, happening(world, "reopen_pull")))

    assert event.happened is Happened.REOPENED


@pytest.mark.parametrize("state", ["approved", "changes", "commented"])
def test_a_review_of_the_stand_in_is_nothing(world: World, state: str) -> None:
    what = happening(world, "review", login="wangfang", state=state)

    assert received(packed(world, what)).happened is Happened.NOTHING


def test_an_edited_comment_is_nothing_and_its_text_is_another(world: World) -> None:
    written = happening(world, "comment", body="/merge")
    assert written.comment is not None
    before = received(packed(world, written))

    edited = happening(world, "edit_comment", id=written.comment.id, body="/deploy")
    after = received(packed(world, edited))

    assert (after.happened, after.comment_id) == (Happened.NOTHING, before.comment_id)
    assert after.text_digest != before.text_digest


def test_what_is_signed_with_another_secret_is_not_believed(world: World) -> None:
    what = happening(world, "comment", body="/merge")

    assert rejected(packed(world, what, Terms(spoilt=True))) == ("bad_signature", 401)


def test_it_also_signs_as_github_and_is_still_not_taken_for_it(world: World) -> None:
    sent = packed(world, happening(world, "comment", body="/merge"))

    assert sent.headers["x-hub-signature-256"] == f"sha256={sent.headers['x-gitea-signature']}"
    with pytest.raises(HookRejected) as caught:
        GitHub.receive(sent, secret=SECRET, now=datetime.now(UTC))
    assert caught.value.reason == "not_github"
