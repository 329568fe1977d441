"""What the forges really sent, years ago and lately, is understood: webhooks and answers as recorded."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils.module_loading import import_string

from chatops_site.sandbox.forges import FORGES
from repos.forges import FORGE_KINDS
from repos.forges.base import ForgeClient
from repos.forges.events import ForgeEvent, Happened, Hook, hmac_hex
from repos.forges.resources import CheckState, PullState
from tests.loopback import Serve, answer_with, serving

CASES = Path(__file__).parent / "cases"
SECRET = "hook-secret"


def recorded(kind: str, name: str) -> bytes:
    return (CASES / f"{kind}_{name}__recorded.json").read_bytes()


def client_of(kind: str) -> type[ForgeClient]:
    found: type[ForgeClient] = import_string(FORGE_KINDS[kind])
    return found


# Webhooks


def headers_of(kind: str, event: str, body: bytes) -> dict[str, str]:
    signature = hmac_hex(SECRET, body)
    return {
        "gitee": {"x-gitee-token": SECRET, "x-gitee-timestamp": "1633691608022"},
        "github": {"x-github-event": event, "x-hub-signature-256": f"sha256={signature}"},
        "gitlab": {"x-gitlab-token": SECRET},
        "gitea": {"x-gitea-event": event, "x-gitea-signature": signature},
    }[kind]


def received(kind: str, name: str, event: str) -> ForgeEvent:
    body = recorded(kind, name)
    hook = Hook(headers_of(kind, event, body), body)
    sent_at = datetime.fromtimestamp(1_633_691_608, UTC)
    return client_of(kind).receive(hook, secret=SECRET, now=sent_at)


HOOKS: list[tuple[str, str, str, Happened, tuple[str, int]]] = [
    ("gitee", "hook_comment", "", Happened.COMMENTED, ("kit101/drone-yml-test", 7)),
    ("gitee", "hook_opened", "", Happened.OPENED, ("kit101/drone-yml-test", 9)),
    ("gitee", "hook_pushed", "", Happened.PUSHED, ("kit101/drone-yml-test", 7)),
    ("gitee", "hook_closed", "", Happened.CLOSED, ("kit101/drone-yml-test", 8)),
    ("gitee", "hook_merged", "", Happened.MERGED, ("kit101/drone-yml-test", 9)),
    ("github", "check_run_completed", "check_run", Happened.NOTHING, ("", 0)),
    ("github", "hook_status", "status", Happened.NOTHING, ("", 0)),
    ("github", "issue_comment_on_issue", "issue_comment", Happened.NOTHING, ("", 0)),
    ("github", "review_submitted", "pull_request_review", Happened.NOTHING, ("", 0)),
    ("github", "workflow_run_completed", "workflow_run", Happened.NOTHING, ("", 0)),
    ("gitlab", "hook_comment", "", Happened.COMMENTED, ("gitlab-org/hello-world", 1)),
    ("gitlab", "hook_opened", "", Happened.OPENED, ("gitlab-org/hello-world", 1)),
    ("gitlab", "hook_merged", "", Happened.MERGED, ("gitlab-org/hello-world", 1)),
    ("gitlab", "hook_pipeline", "", Happened.NOTHING, ("", 0)),
    ("gitea", "hook_comment", "issue_comment", Happened.COMMENTED, ("gogits/hello-world", 2)),
    ("gitea", "hook_opened", "pull_request", Happened.OPENED, ("jcitizen/my-repo", 1)),
    ("gitea", "hook_merged", "pull_request", Happened.MERGED, ("jcitizen/my-repo", 1)),
]


@pytest.mark.parametrize(("kind", "name", "event", "happened", "about"), HOOKS)
def test_a_webhook_is_understood(
    kind: str, name: str, event: str, happened: Happened, about: tuple[str, int]
) -> None:
    found = received(kind, name, event)

    assert (found.happened, found.path, found.number) == (happened, *about)
    assert bool(found.comment_id) == (happened is Happened.COMMENTED)
    assert found.delivery


# Answers


@pytest.fixture(name="serve")
def serve_fixture() -> Iterator[Serve]:
    yield from serving()


def a_pull(client: ForgeClient) -> Any:
    found = client.pull("a/b", 1)
    return found.number, found.author, found.state, found.head_ref


def the_pulls(client: ForgeClient) -> Any:
    return [one.title for one in client.pulls("a/b", state=PullState.OPEN).items]


def a_comment(client: ForgeClient) -> Any:
    found = client.read_comment("a/b", 2, "301")
    return found.id, found.author, found.edited


ANSWERS: list[tuple[str, str, Callable[[ForgeClient], Any], Any]] = [
    ("gitlab", "pull", a_pull, (1, "dblessing", PullState.CLOSED, "fix")),
    ("gitlab", "pulls", the_pulls, ["JS fix"]),
    ("gitlab", "comment", a_comment, ("301", "pipin", False)),
    ("gitea", "pull", a_pull, (1, "jcitizen", PullState.OPEN, "feature")),
    ("gitea", "pulls", the_pulls, ["Add License File"]),
]


@pytest.mark.parametrize(("kind", "name", "call", "told"), ANSWERS)
def test_an_answer_is_read(
    serve: Serve, kind: str, name: str, call: Callable[[ForgeClient], Any], told: Any
) -> None:
    peer = serve(answer_with(recorded(kind, name)))
    client = client_of(kind)(base_url=f"{peer.url}{FORGES[kind].api}", token="t")

    assert call(client) == told


STATUSES: list[tuple[str, Callable[[Any], Any]]] = [
    ("github", lambda row: {"state": "success", "statuses": [row]}),
    ("gitea", lambda row: [row]),
]


@pytest.mark.parametrize(("kind", "around"), STATUSES)
def test_a_status_is_read(serve: Serve, kind: str, around: Callable[[Any], Any]) -> None:
    row = json.loads(recorded(kind, "status_row"))
    peer = serve(answer_with(json.dumps(around(row)).encode()))
    client = client_of(kind)(base_url=f"{peer.url}{FORGES[kind].api}", token="t")

    name = "continuous-integration/drone"
    assert client.tests_passed("a/b", 1, sha="f" * 40, name=name)


def test_statuses_of_gitlab_are_read(serve: Serve) -> None:
    pull = json.loads(recorded("gitlab", "pull"))
    peer = serve(
        answer_with(json.dumps(pull).encode()), answer_with(recorded("gitlab", "statuses"))
    )
    client = client_of("gitlab")(base_url=f"{peer.url}/api/v4", token="t")

    (check,) = client.checks("a/b", client.pull("a/b", 1))

    assert (check.name, check.state) == ("default", CheckState.PENDING)
    assert check.url.endswith("/thedude/gitlab-ce/builds/91")
