"""The Gitea stand-in against py-gitea, a client that others wrote, and against plain requests."""

from typing import Any

import gitea as py_gitea  # type: ignore[import-untyped]
import pytest
from gitea.exceptions import Forbidden, NotFoundException  # type: ignore[import-untyped]

from tests.forge_stand import BOT, SHOP, refused
from tests.gitea_stand import Stand, running, stand

__all__ = ["running", "stand"]
REPO = "/repos/acme/shop"
PULL, REVIEWS = f"{REPO}/pulls/233", f"{REPO}/pulls/233/reviews"


@pytest.fixture
def other(stand: Stand) -> Any:
    return connected(stand)


def connected(stand: Stand, login: str = BOT) -> Any:
    client = py_gitea.Gitea(stand.origin, f"demo-gitea-token-{login}", log_level="CRITICAL")
    client.requests.trust_env = False
    return client


def shop(other: Any) -> Any:
    return py_gitea.Repository.request(other, "acme", "shop")


def merge(stand: Stand, **more: Any) -> Any:
    login = more.pop("login", BOT)
    return stand.call("POST", f"{PULL}/merge", json={"Do": "merge"} | more, login=login)


def review(stand: Stand, event: str, *, login: str = BOT, **more: Any) -> Any:
    return stand.call("POST", REVIEWS, json={"event": event} | more, login=login)


# With py-gitea


def test_it_knows_who_asks_and_its_version(other: Any) -> None:
    me = other.get_user()

    assert (me.username, me.full_name, me.is_admin) == (BOT, "ChatOps", False)
    assert other.get_version().startswith("1.")
    assert [row.full_name for row in me.get_accessible_repos()] == [SHOP, "acme/web"]


def test_a_token_that_is_none_or_sees_nothing_is_refused(stand: Stand) -> None:
    with pytest.raises(Forbidden, match="401"):
        connected(stand, "nobody").get_user()
    with pytest.raises(NotFoundException, match="404"):
        shop(connected(stand, "outsider"))


def test_it_reads_a_repository_of_an_organization_with_its_branches(other: Any) -> None:
    found = shop(other)

    assert (found.get_full_name(), found.default_branch, found.archived) == (SHOP, "master", False)
    assert found.owner.email == ""
    names = {row.name for row in found.get_branches()}
    assert {"master", "fix/payment-callback"} <= names


def test_it_pages_through_all_commits(stand: Stand, other: Any) -> None:
    for _ in range(40):
        stand.change("push", branch="master")

    found = shop(other).get_commits()

    assert len(found) == 45
    assert found[0].sha == stand.world.repository(SHOP).branches["master"]


def test_pull_requests_are_issues_that_it_can_close_and_rename(stand: Stand, other: Any) -> None:
    issues = shop(other).get_issues_state("open")
    assert [row.number for row in issues] == [236, 235, 234, 233]

    issue = py_gitea.Issue.request(other, "acme", "shop", "233")
    issue.state, issue.title = "closed", "WIP: later"
    issue.commit()

    assert (stand.pull().state, stand.pull().title, stand.pull().draft) == (
        "closed",
        "WIP: later",
        True,
    )


# Lists and places


def test_a_page_has_at_most_fifty_and_links_to_its_neighbours(stand: Stand) -> None:
    stand.change("open_pull", count=110)

    answer = stand.call("GET", f"{REPO}/pulls", params={"limit": 100, "page": 2})

    assert len(answer.json()) == 50
    assert answer.headers["X-Total-Count"] == "114"
    links = {name: link["url"] for name, link in answer.links.items()}
    assert set(links) == {"next", "last", "first", "prev"}
    assert links["next"] == f"{stand.origin}/api/v1{REPO}/pulls?limit=100&page=3"


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({}, [236, 235, 234]),
        ({"state": "closed"}, [233]),
        ({"state": "all", "sort": "oldest"}, [233, 234, 235, 236]),
        ({"state": "all", "sort": "mostcomment", "limit": 1}, [235]),
        ({"limit": 0, "page": "x"}, [236, 235, 234]),
    ],
)
def test_pull_requests_are_listed_by_state_and_order(
    stand: Stand, params: dict[str, Any], numbers: list[int]
) -> None:
    stand.change("close_pull")
    stand.change("comment", 235, body="Hi")

    assert [row["number"] for row in stand.get(f"{REPO}/pulls", **params)] == numbers


def test_a_renamed_repository_redirects_to_a_path_without_a_host(stand: Stand) -> None:
    stand.change("rename", to="acme/store")

    answer = stand.call("GET", f"{REPO}/pulls/233")

    assert answer.status_code == 301
    assert answer.headers["Location"] == "/api/v1/repos/acme/store/pulls/233"


def test_an_archive_is_locked_for_writing_only(stand: Stand) -> None:
    stand.change("archive")

    assert stand.get(REPO)["archived"] is True
    assert refused(merge(stand)) == (423, "acme/shop is archived")


def test_a_refusal_names_the_api_and_a_404_lists_errors(stand: Stand) -> None:
    answer = stand.call("GET", f"{REPO}/pulls/4")

    assert answer.status_code == 404
    assert answer.json() == {
        "errors": [],
        "message": "The target couldn't be found.",
        "url": f"{stand.origin}/api/swagger",
    }
    assert refused(stand.call("GET", "/user", login="")) == (401, "token is required")


@pytest.mark.parametrize("path", ["/acme/shop/pulls/233", "/acme/shop", "/"])
def test_links_lead_to_pages(stand: Stand, path: str) -> None:
    answer = stand.session.get(stand.origin + path, timeout=5)

    assert answer.status_code == 200
    assert "Gitea 替身" in answer.text


# Merging


def test_a_merge_answers_with_nothing_and_the_pull_request_tells(stand: Stand) -> None:
    answer = merge(stand, MergeMessageField="ChatOps run 1842", delete_branch_after_merge=True)

    assert (answer.status_code, answer.content) == (200, b"")
    pull, found = stand.get(PULL), stand.world.repository(SHOP)
    assert (pull["state"], pull["merged"], pull["merged_by"]["login"]) == ("closed", True, BOT)
    assert stand.system.state()["pull_requests"][0]["state"] == "merged"
    assert pull["merge_commit_sha"] == found.branches["master"]
    assert found.commits[found.branches["master"]].message == (
        "Merge pull request '修复支付回调' (#233) from fix/payment-callback into master"
        "\n\nChatOps run 1842"
    )
    assert "fix/payment-callback" not in found.branches
    assert stand.call("GET", f"{PULL}/merge").status_code == 204


MERGES: list[tuple[str, dict[str, Any], dict[str, Any], tuple[int, str]]] = [
    ("merge_elsewhere", {}, {}, (405, "")),
    ("close_pull", {}, {}, (404, "The target couldn't be found.")),
    ("clear_checks", {}, {"login": "zhaoliu"}, (405, "User not allowed to merge PR")),
    ("set_draft", {}, {}, (405, "Work in progress PRs cannot be merged")),
    ("set_mergeable", {"mergeable": False}, {}, (405, "Please try again later")),
    ("set_mergeable", {"unknown_looks": 1}, {}, (405, "Please try again later")),
    ("protect", {"approvals": 1}, {}, (405, "Does not have enough approvals")),
    ("protect", {"checks": ["e2e"]}, {}, (405, "Not all required status checks successful")),
    ("push", {}, {"head_commit_id": "0" * 40}, (409, "head out of date")),
    ("push", {}, {"Do": "APPROVED"}, (422, "[Do]: In")),
    (
        "push",
        {},
        {"Do": "rebase-merge"},
        (405, "rebase-merge is not allowed an allowed merge style for this repository"),
    ),
]


@pytest.mark.parametrize(("op", "arguments", "body", "told"), MERGES)
def test_a_merge_is_refused_in_giteas_words(
    stand: Stand, op: str, arguments: dict[str, Any], body: dict[str, Any], told: tuple[int, str]
) -> None:
    stand.change(op, **arguments)

    assert refused(merge(stand, **body)) == told
    assert stand.call("GET", f"{PULL}/merge").status_code == (204 if told[1] == "" else 404)


def test_only_an_administrator_may_force_a_merge(stand: Stand) -> None:
    stand.change("protect", approvals=1)

    assert merge(stand, force_merge=True, login="wangfang").status_code == 405
    assert merge(stand, force_merge=True).status_code == 200


def test_mergeability_is_no_while_it_is_looked_for_and_for_a_draft(stand: Stand) -> None:
    stand.change("set_mergeable", unknown_looks=1)
    seen = [stand.get(PULL)["mergeable"] for _ in range(2)]
    stand.change("set_draft")
    draft = stand.get(PULL)

    assert seen == [False, True]
    assert (draft["draft"], draft["mergeable"]) == (True, False)
    assert draft["title"] == "WIP: 修复支付回调"


def test_what_is_merged_stays_merged(stand: Stand) -> None:
    merge(stand)

    answer = stand.call("PATCH", PULL, json={"state": "open"})

    assert answer.status_code == 412


def test_a_pull_request_is_opened_once_for_its_branches(stand: Stand) -> None:
    stand.change("push", branch="feature/new")
    body = {"head": "feature/new", "base": "master", "title": "WIP: new"}

    first, second = (stand.call("POST", f"{REPO}/pulls", json=body) for _ in range(2))

    assert (first.status_code, first.json()["draft"], second.status_code) == (201, True, 409)
    lost = stand.call("POST", f"{REPO}/pulls", json=body | {"base": "nowhere"})
    assert lost.status_code == 404


# Reviews


def test_an_approval_is_official_of_a_writer_and_stale_after_a_push(stand: Stand) -> None:
    review(stand, "APPROVED")
    review(stand, "APPROVED", login="zhaoliu")
    stand.change("push")
    review(stand, "REQUEST_CHANGES", login="wangfang", body="No")

    rows = [(row["official"], row["stale"], row["state"]) for row in stand.get(REVIEWS)]

    assert rows == [
        (True, True, "APPROVED"),
        (False, True, "APPROVED"),
        (True, False, "REQUEST_CHANGES"),
    ]


@pytest.mark.parametrize(
    ("event", "login", "told"),
    [
        ("APPROVED", "lisi", "approve your own pull is not allowed"),
        ("REQUEST_CHANGES", "lisi", "reject your own pull is not allowed"),
        ("APPROVE", BOT, "review event APPROVE requires a body"),
        ("COMMENT", BOT, "review event COMMENT requires a body or a comment"),
    ],
)
def test_a_review_is_refused_in_giteas_words(
    stand: Stand, event: str, login: str, told: str
) -> None:
    assert refused(review(stand, event, login=login)) == (422, told)


def test_what_is_closed_is_reviewed_no_more(stand: Stand) -> None:
    stand.change("close_pull")

    assert refused(review(stand, "APPROVED"))[0] == 422


def test_githubs_word_for_it_leaves_an_approval_pending_until_it_is_submitted(
    stand: Stand,
) -> None:
    given = review(stand, "APPROVE", body="Fine").json()
    one = f"{REVIEWS}/{given['id']}"
    assert given["state"] == "PENDING"
    assert stand.call("GET", one, login="wangfang").status_code == 404
    assert refused(stand.call("POST", one, json={"body": "x"})) == (422, "review stay pending")

    stand.call("POST", one, json={"event": "APPROVED"})

    assert stand.get(one)["state"] == "APPROVED"
    assert refused(stand.call("POST", one, json={"event": "APPROVED"}))[0] == 422


def test_only_an_administrator_dismisses_a_review(stand: Stand) -> None:
    one = f"{REVIEWS}/{review(stand, 'APPROVED').json()['id']}/dismissals"

    assert refused(stand.call("POST", one, login="wangfang")) == (403, "Must be repo admin")
    assert stand.call("POST", one, json={"message": "Old"}).json()["dismissed"] is True
    assert stand.call("POST", one, json={"message": "Old"}).status_code == 403


# Statuses and comments


def test_a_status_has_its_word_in_status_and_the_sum_in_state(stand: Stand) -> None:
    sha = stand.pull().head_sha
    body = {"state": "warning", "context": "ci", "target_url": "https://ci.example/1"}

    made = stand.call("POST", f"{REPO}/statuses/{sha}", json=body)
    combined = stand.get(f"{REPO}/commits/{sha}/status")
    rows = stand.get(f"{REPO}/commits/{sha}/statuses")

    assert (made.status_code, made.json()["status"]) == (201, "warning")
    assert (combined["state"], combined["total_count"]) == ("warning", 3)
    assert [row["context"] for row in rows] == ["ci", "lint", "unit"]


@pytest.mark.parametrize(
    ("login", "sha", "state", "status"),
    [
        (BOT, "head", "green", 400),
        (BOT, "0" * 40, "success", 404),
        ("zhaoliu", "head", "success", 403),
    ],
)
def test_a_status_is_refused_to_readers_and_for_what_is_not_there(
    stand: Stand, login: str, sha: str, state: str, status: int
) -> None:
    place = f"{REPO}/statuses/{sha.replace('head', stand.pull().head_sha)}"

    assert stand.call("POST", place, json={"state": state}, login=login).status_code == status


def test_a_commit_without_a_status_has_no_state(stand: Stand) -> None:
    assert stand.get(f"{REPO}/commits/master/status")["state"] == ""


def test_a_comment_is_written_changed_and_removed(stand: Stand) -> None:
    made = stand.call("POST", f"{REPO}/issues/233/comments", json={"body": "/merge"})
    one = f"{REPO}/issues/comments/{made.json()['id']}"

    changed = stand.call("PATCH", one, json={"body": "/deploy"}).json()["body"]
    foreign = stand.call("PATCH", one, json={"body": "x"}, login="zhaoliu")

    assert (made.status_code, changed) == (201, "/deploy")
    assert (foreign.status_code, foreign.content) == (403, b"")
    assert made.json()["pull_request_url"] == f"{stand.origin}/acme/shop/pulls/233"
    assert made.json()["issue_url"] == ""
    assert [stand.call("DELETE", one).status_code for _ in range(2)] == [204, 404]


def test_an_empty_comment_is_refused(stand: Stand) -> None:
    answer = stand.call("POST", f"{REPO}/issues/233/comments", json={"body": ""})

    assert refused(answer) == (422, "[Body]: Required")


def test_a_protected_branch_says_what_it_asks_for(stand: Stand) -> None:
    stand.change("protect", approvals=2, checks=["unit"])

    branch, free = (
        stand.get(f"{REPO}/branches/{name}") for name in ("master", "fix%2Fpayment-callback")
    )

    assert (branch["protected"], branch["required_approvals"]) == (True, 2)
    assert (branch["enable_status_check"], branch["status_check_contexts"]) == (True, ["unit"])
    assert (free["protected"], free["enable_status_check"]) == (False, False)


def test_commits_of_a_pull_request_and_of_a_span_come_newest_first(stand: Stand) -> None:
    found = stand.get(f"{REPO}/compare/v1.4.2...fix%2Fpayment-callback")

    shas = [row["sha"] for row in stand.get(f"{PULL}/commits")]

    assert (found["total_commits"], [row["sha"] for row in found["commits"]]) == (2, shas)
    assert shas[0] == stand.pull().head_sha
