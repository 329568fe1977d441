"""The GitHub stand-in seen by PyGithub, which knows nothing of the sandbox, and by plain requests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from github import Auth, BadCredentialsException, Github, GithubException, UnknownObjectException

from repos.forges.github import GitHub
from tests import forge_stand
from tests.forge_stand import BOT, SHOP

Stand = forge_stand.Stand[GitHub]
running, stand = forge_stand.fixtures(Stand, GitHub)
PULL = f"/repos/{SHOP}/pulls/233"


def library(stand: Stand, login: str = BOT) -> Github:
    auth = Auth.Token(f"demo-github-token-{login}")
    return Github(
        base_url=f"{stand.origin}/api/v3",
        auth=auth,
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
    )


@pytest.fixture(name="shop")
def shop_fixture(stand: Stand) -> Iterator[Any]:
    client = library(stand)
    yield client.get_repo(SHOP)
    client.close()


@pytest.fixture(name="pull")
def pull_fixture(shop: Any) -> Any:
    return shop.get_pull(233)


def refused(status: int, call: Callable[[], object]) -> str:
    with pytest.raises(GithubException) as caught:
        call()
    assert caught.value.status == status, caught.value
    return str(caught.value.data)


# With PyGithub


def test_it_knows_who_asks(stand: Stand) -> None:
    client = library(stand)

    assert (client.get_user().login, client.get_user().name) == (BOT, "ChatOps")
    assert [row.full_name for row in client.get_user().get_repos()] == [SHOP, "acme/web"]


def test_a_token_that_is_none_or_sees_nothing_is_refused(stand: Stand) -> None:
    with pytest.raises(BadCredentialsException):
        library(stand, "nobody").get_user().login  # noqa: B018 (asked for when read)
    with pytest.raises(UnknownObjectException):
        library(stand, "outsider").get_repo(SHOP)


def test_all_pages_of_a_list_are_followed_by_its_links(stand: Stand, shop: Any) -> None:
    stand.change("open_pull", count=65)

    rows = list(shop.get_pulls(state="open"))

    assert len({row.number for row in rows}) == 69


def test_it_shows_what_a_pull_request_is(pull: Any) -> None:
    assert (pull.title, pull.user.login, pull.base.ref) == ("修复支付回调", "lisi", "master")
    assert (pull.mergeable, pull.mergeable_state, pull.merged) == (True, "clean", False)
    assert pull.commits == 2
    assert [row.commit.message for row in pull.get_commits()] == [
        "支付回调按流水号去重",
        "补充回调测试",
    ]


def test_mergeability_is_worked_out_when_first_asked_for(stand: Stand, shop: Any) -> None:
    stand.change("set_mergeable", unknown_looks=1)

    assert [shop.get_pull(233).mergeable for _ in range(2)] == [None, True]


def test_reviews_are_given_and_dismissed(pull: Any) -> None:
    given = pull.create_review(event="APPROVE")
    states = [row.state for row in pull.get_reviews()]
    given.dismiss("Looked at the wrong branch.")

    assert states == ["APPROVED"]
    assert [row.state for row in pull.get_reviews()] == ["DISMISSED"]


def test_nobody_approves_their_own_or_a_commit_that_is_not_in_it(stand: Stand, pull: Any) -> None:
    own = library(stand, "lisi").get_repo(SHOP).get_pull(233)

    assert "your own pull request" in refused(422, lambda: own.create_review(event="APPROVE"))
    path = f"{PULL}/reviews"
    answer = stand.call("POST", path, json={"event": "APPROVE", "commit_id": "0" * 40})
    assert answer.status_code == 422


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1), ("rebase", 1)])
def test_it_merges_each_way(stand: Stand, shop: Any, pull: Any, method: str, parents: int) -> None:
    landed = pull.merge(merge_method=method, sha=pull.head.sha)

    assert landed.merged
    assert len(shop.get_commit(landed.sha).parents) == parents
    assert shop.get_branch("master").commit.sha == landed.sha
    assert shop.get_pull(233).is_merged()


def test_a_merge_is_refused_in_githubs_words(stand: Stand, shop: Any, pull: Any) -> None:
    moved = refused(409, lambda: pull.merge(sha="0" * 40))
    assert "Head branch was modified" in moved
    assert "draft" in refused(405, lambda: shop.get_pull(236).merge())
    assert "not mergeable" in refused(405, lambda: shop.get_pull(235).merge())
    stand.change("protect", approvals=2, checks=["e2e"])
    assert "At least 2 approving reviews" in refused(405, pull.merge)
    stand.change("protect", approvals=0)
    assert 'Required status check "e2e"' in refused(405, pull.merge)


def test_statuses_and_check_runs_are_kept_apart(stand: Stand, shop: Any, pull: Any) -> None:
    commit = shop.get_commit(pull.head.sha)
    commit.create_status("pending", context="e2e")
    commit.create_status("success", context="e2e", target_url="https://ci.example/1")

    combined = commit.get_combined_status()

    assert (combined.state, combined.total_count) == ("success", 1)
    assert combined.statuses[0].target_url == "https://ci.example/1"
    assert {run.name for run in commit.get_check_runs()} == {"unit", "lint"}


def test_comments_are_written_changed_and_removed(stand: Stand, pull: Any) -> None:
    made = pull.create_issue_comment("Hello")
    made.edit("Hello again")

    assert pull.get_issue_comment(made.id).body == "Hello again"
    made.delete()
    assert stand.pull().comments == []


def test_it_opens_changes_and_closes_pull_requests(stand: Stand, shop: Any) -> None:
    stand.change("push", branch="feature/new")

    made = shop.create_pull(base="master", head="feature/new", title="New", draft=True)
    made.edit(title="Newer", state="closed")

    assert (made.draft, made.title, made.state) == (True, "Newer", "closed")
    again = lambda: shop.create_pull(base="master", head="fix/payment-callback", title="x")  # noqa: E731
    assert "already exists" in refused(422, again)


def test_it_shows_what_is_between(shop: Any) -> None:
    found = shop.compare("v1.4.1", "v1.4.2")

    assert (found.status, found.ahead_by, found.behind_by) == ("ahead", 1, 0)


def test_a_renamed_repository_is_at_its_new_place(stand: Stand) -> None:
    stand.change("rename", to="acme/store")

    answer = stand.call("GET", PULL)

    assert answer.status_code == 301
    assert answer.headers["Location"].endswith("/repos/acme/store/pulls/233")
    assert library(stand).get_repo(SHOP).full_name == "acme/store"


def test_nobody_writes_to_an_archive(stand: Stand, pull: Any) -> None:
    stand.change("archive")

    assert "archived" in refused(403, lambda: pull.create_issue_comment("Hello"))


def test_a_reader_reads_and_comments_only(stand: Stand) -> None:
    reader = library(stand, "zhaoliu").get_repo(SHOP).get_pull(233)

    reader.create_issue_comment("Hello")
    assert "not accessible" in refused(403, reader.merge)


# With plain requests


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/repos/acme/none", 404),
        ("GET", f"{PULL}9", 404),
        ("GET", "/nothing", 404),
        ("POST", f"/repos/{SHOP}/issues/233/comments", 422),
        ("PATCH", f"{PULL}?state=ended", 422),
    ],
)
def test_it_refuses_in_json(stand: Stand, method: str, path: str, status: int) -> None:
    answer = stand.call(method, path)

    assert answer.status_code == status
    assert answer.json()["documentation_url"]


def test_what_was_not_changed_is_not_sent_again(stand: Stand) -> None:
    tag = stand.call("GET", PULL).headers["ETag"]

    assert stand.call("GET", PULL, headers={"If-None-Match": tag}).status_code == 304


def test_its_links_lead_to_pages(stand: Stand) -> None:
    page = stand.session.get(stand.get(PULL)["html_url"], timeout=5)

    assert page.status_code == 200
    assert "修复支付回调" in page.text
