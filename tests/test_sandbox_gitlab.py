"""The GitLab stand-in against python-gitlab, a client that others wrote, and against plain requests."""

from datetime import UTC, datetime
from typing import Any

import gitlab as python_gitlab
import pytest
from gitlab.exceptions import GitlabAuthenticationError, GitlabError, GitlabGetError

from chatops_site.sandbox.gitlab import make_hook
from chatops_site.sandbox.hooks import Packet, Terms
from chatops_site.sandbox.records import Happening
from repos.forges.events import Happened, Hook, HookRejected
from repos.forges.gitlab import GitLab
from repos.forges.shapes import time_of
from tests.forge_stand import BOT, SHOP
from tests.gitlab_stand import Stand, running, stand

__all__ = ["running", "stand"]
PULL = "/projects/acme%2Fshop/merge_requests/233"


def other(stand: Stand, login: str = BOT, root: str = "") -> python_gitlab.Gitlab:
    url, token = f"{stand.origin}{root}", f"demo-gitlab-token-{login}"
    return python_gitlab.Gitlab(url, private_token=token)


@pytest.fixture
def project(stand: Stand) -> Any:
    return other(stand).projects.get(SHOP)


@pytest.fixture
def pull(project: Any) -> Any:
    return project.mergerequests.get(233)


def refused(status: int, call: Any) -> str:
    with pytest.raises(GitlabError) as caught:
        call()
    assert caught.value.response_code == status, caught.value
    return str(caught.value.error_message)


# With python-gitlab


@pytest.mark.parametrize("root", ["", "/gitlab"])
def test_it_knows_who_asks_also_below_a_relative_root(stand: Stand, root: str) -> None:
    client = other(stand, root=root)
    client.auth()

    assert client.user is not None
    assert client.user.username == BOT
    assert [row.path_with_namespace for row in client.projects.list(iterator=True)] == [
        "acme/web",
        "acme/shop",
    ]


def test_a_token_that_is_none_or_sees_nothing_is_refused(stand: Stand) -> None:
    with pytest.raises(GitlabAuthenticationError):
        other(stand, "nobody").auth()
    with pytest.raises(GitlabGetError):
        other(stand, "outsider").projects.get(SHOP)


def test_all_pages_of_a_list_are_followed_by_its_links(stand: Stand, project: Any) -> None:
    stand.change("open_pull", count=45)

    rows = list(project.mergerequests.list(state="opened", iterator=True, per_page=20))
    page = project.mergerequests.list(state="opened", iterator=True)

    assert len({row.iid for row in rows}) == 49
    assert (page.total, page.total_pages, page.next_page) == (49, 3, 2)


def test_the_number_in_the_project_is_not_the_id(pull: Any) -> None:
    assert pull.iid == 233
    assert pull.id > 1_000_000
    assert pull.detailed_merge_status == "mergeable"


def test_only_gitlabs_own_words_are_states(project: Any) -> None:
    said = refused(400, lambda: project.mergerequests.list(state="open"))

    assert "state does not have a valid value" in said


def test_it_approves_and_takes_it_back(pull: Any) -> None:
    pull.approve(sha=pull.sha)
    given = pull.approvals.get().approved_by
    pull.unapprove()

    assert [row["user"]["username"] for row in given] == [BOT]
    assert pull.approvals.get().approved_by == []


def test_an_approval_is_refused_by_head_and_by_person(stand: Stand, pull: Any) -> None:
    assert "SHA does not match" in refused(409, lambda: pull.approve(sha="0" * 40))
    own = other(stand, "lisi").projects.get(SHOP).mergerequests.get(233)
    refused(401, own.approve)
    pull.approve()
    refused(401, pull.approve)


@pytest.mark.parametrize("squash", [True, False])
def test_it_merges_and_names_the_commit(stand: Stand, pull: Any, squash: bool) -> None:
    pull.merge(squash=squash)

    landed = pull.squash_commit_sha if squash else pull.merge_commit_sha
    assert (pull.state, landed) == ("merged", stand.shop.branches["master"])
    refused(405, pull.merge)


def test_it_looks_at_the_state_before_the_sha(stand: Stand, pull: Any) -> None:
    wrong = {"sha": "0" * 40}
    assert "SHA does not match" in refused(409, lambda: pull.merge(**wrong))
    stand.change("set_mergeable", mergeable=False)
    refused(422, lambda: pull.merge(**wrong))
    stand.change("set_draft")
    refused(405, lambda: pull.merge(**wrong))


def test_a_merge_may_end_in_an_error_or_show_later(stand: Stand, pull: Any) -> None:
    stand.change("merge_error", text="Broken hook")
    pull.merge()
    assert (pull.state, pull.merge_error) == ("opened", "Broken hook")

    stand.change("slow_merge", looks=1)
    pull.merge()
    seen = [stand.call("GET", PULL).json()["state"] for _ in range(2)]

    assert (pull.state, pull.merge_error, seen) == ("locked", None, ["locked", "merged"])


def test_mergeability_is_worked_out_first(stand: Stand) -> None:
    stand.change("set_mergeable", unknown_looks=1)

    seen = [stand.call("GET", PULL).json()["detailed_merge_status"] for _ in range(2)]

    assert seen == ["checking", "mergeable"]


def test_notes_are_written_changed_and_removed(stand: Stand, pull: Any) -> None:
    note = pull.notes.create({"body": "Hello"})
    note.body = "Hello again"
    note.save()

    assert pull.notes.get(note.id).body == "Hello again"
    assert {row.system for row in pull.notes.list(iterator=True)} == {True, False}
    note.delete()
    assert stand.pull().comments == []


def test_a_line_with_a_slash_is_carried_out(stand: Stand, pull: Any) -> None:
    answer = stand.call("POST", f"{PULL}/notes", json={"body": "/close"})

    assert (answer.status_code, stand.pull().state) == (202, "closed")
    pull.notes.create({"body": "```\n/reopen\n```"})
    assert stand.pull().comments[0].body == "```\n/reopen\n```"


def test_statuses_of_a_commit_follow_each_other(project: Any, pull: Any) -> None:
    commit = project.commits.get(pull.sha)
    for state in ("pending", "running", "success"):
        commit.statuses.create({"state": state, "name": "e2e"})

    shown = {row.name: row.status for row in commit.statuses.list(iterator=True)}
    assert shown == {"unit": "success", "lint": "success", "e2e": "success"}
    commit.statuses.create({"state": "running", "name": "e2e"})
    said = refused(400, lambda: commit.statuses.create({"state": "pending", "name": "e2e"}))
    assert "Cannot transition" in said


def test_it_shows_branches_commits_and_what_is_between(project: Any) -> None:
    found = project.repository_compare("v1.4.2", "fix/payment-callback")

    assert [row["title"] for row in found["commits"]] == ["支付回调按流水号去重", "补充回调测试"]
    assert project.branches.get("fix/payment-callback").commit["id"] == found["commit"]["id"]
    assert project.commits.list(ref_name="v1.4.1", get_all=False)[0].title == "Release v1.4.1"


def test_the_versions_of_a_pull_request_tell_its_pushes(stand: Stand, pull: Any) -> None:
    sha = stand.change("push")["sha"]

    rows = pull.diffs.list(get_all=True)

    assert rows[0].head_commit_sha == sha
    assert time_of(rows[0].created_at) > time_of(rows[1].created_at)  # type: ignore[operator]


def test_it_opens_changes_and_closes_pull_requests(stand: Stand, project: Any) -> None:
    stand.change("push", branch="feature/new")
    wanted = {"source_branch": "feature/new", "target_branch": "master", "title": "Draft: new"}

    made = project.mergerequests.create(wanted)
    made.labels, made.state_event = ["a", "b"], "close"
    made.save()

    assert (made.draft, made.state, made.labels) == (True, "closed", ["a", "b"])
    taken = wanted | {"source_branch": "fix/payment-callback"}
    assert "!233" in refused(409, lambda: project.mergerequests.create(taken))


def test_a_reader_writes_comments_only(stand: Stand) -> None:
    reader = other(stand, "zhaoliu").projects.get(SHOP).mergerequests.get(233)

    reader.notes.create({"body": "Hello"})
    refused(403, reader.approve)
    refused(401, reader.merge)


# With plain requests


def test_a_renamed_project_is_at_its_number(stand: Stand) -> None:
    stand.change("rename", to="acme/store")

    answer = stand.call("GET", PULL)
    place = f"{stand.origin}/api/v4/projects/{stand.world.repository('acme/store').id}"

    assert (answer.status_code, answer.headers["Location"]) == (
        301,
        f"{place}/merge_requests/233",
    )
    assert stand.call("POST", f"{PULL}/approve").status_code == 405
    assert stand.call("GET", answer.headers["Location"].split("/api/v4")[1]).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/projects/acme%2Fnone", 404, {"message": "404 Project Not Found"}),
        ("GET", f"{PULL}9", 404, {"message": "404 Not found"}),
        ("GET", "/nothing", 404, {"error": "404 Not Found"}),
        ("POST", "/user", 405, {"error": "405 Not Allowed"}),
        ("POST", f"{PULL}/notes", 400, {"error": "body is missing"}),
    ],
)
def test_it_refuses_in_gitlabs_words(
    stand: Stand, method: str, path: str, status: int, body: dict[str, str]
) -> None:
    answer = stand.call(method, path)

    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize("root", ["", "/gitlab"])
def test_its_links_lead_to_pages(stand: Stand, root: str) -> None:
    url = f"{stand.origin}{root}/acme/shop/-/merge_requests/233"
    page = stand.session.get(url, timeout=5)

    assert page.status_code == 200
    assert "修复支付回调" in page.text


# Webhooks


def told(stand: Stand, terms: Terms, op: str, **arguments: Any) -> Hook:
    """What the stand-in sends for one operation, as the portal gets it."""
    packets: list[Packet | None] = []

    def hear(happening: Happening) -> None:
        packets.append(make_hook(stand.world, happening, terms, stand.origin))

    stand.world.listeners.append(hear)
    try:
        stand.change(op, **arguments)
    finally:
        stand.world.listeners.remove(hear)
    packet = packets[-1]
    assert packet is not None
    return Hook({name.lower(): value for name, value in packet.headers.items()}, packet.body)


@pytest.mark.parametrize("mode", ["", "signing"])
@pytest.mark.parametrize(
    ("op", "arguments", "happened"),
    [
        ("comment", {"body": "/merge"}, Happened.COMMENTED),
        ("push", {}, Happened.PUSHED),
        ("open_pull", {}, Happened.OPENED),
        ("close_pull", {}, Happened.CLOSED),
        ("reopen_pull", {}, Happened.REOPENED),
        ("merge_elsewhere", {}, Happened.MERGED),
        ("review", {"login": "zhangsan"}, Happened.NOTHING),
    ],
)
def test_its_webhooks_are_believed_and_understood(
    stand: Stand, mode: str, op: str, arguments: dict[str, Any], happened: Happened
) -> None:
    hook = told(stand, Terms(secret="s3", mode=mode), op, **arguments)

    event = GitLab.receive(hook, secret="s3", now=datetime.now(UTC))

    assert event.happened is happened
    assert event.path == SHOP


@pytest.mark.parametrize(
    "terms",
    [
        Terms(spoilt=True),
        Terms(spoilt=True, mode="signing"),
        Terms(age=7200, mode="signing"),
    ],
)
def test_spoilt_and_stale_webhooks_are_rejected(stand: Stand, terms: Terms) -> None:
    hook = told(stand, terms, "comment", body="Hello")

    with pytest.raises(HookRejected):
        GitLab.receive(hook, secret=terms.secret, now=datetime.now(UTC))


def test_an_edited_comment_is_no_new_one(stand: Stand) -> None:
    number = stand.change("comment", body="Hello")["id"]
    hook = told(stand, Terms(), "edit_comment", id=number, body="Hello again")

    assert (
        GitLab.receive(hook, secret=Terms().secret, now=datetime.now(UTC)).happened
        is Happened.NOTHING
    )
