"""The Gitea client against the Gitea stand-in: reading, verdicts and comments."""

from collections.abc import Callable

import pytest

from repos.errors import HeadMoved, NotFound, Refused
from repos.forges.gitea import Gitea
from repos.forges.resources import Check, CheckState, PullState, Review
from tests.failures import failure
from tests.forge_stand import BOT, NOBODY, SHOP, approve, merge
from tests.gitea_stand import Stand, pass_tests, running, stand, undescribed

__all__ = ["running", "stand"]


# Reading


def test_it_tells_whose_the_token_is(stand: Stand) -> None:
    who = stand.client().whoami()

    assert (who.login, who.name) == (BOT, "ChatOps")
    assert who.clock_skew is not None
    assert abs(who.clock_skew) < 5


def test_it_reads_a_pull_request(stand: Stand) -> None:
    pull = stand.client().pull(SHOP, 233)

    assert (pull.title, pull.author, pull.state) == ("修复支付回调", "lisi", PullState.OPEN)
    assert (pull.draft, pull.mergeable) == (False, True)
    assert (pull.head_sha, pull.head_ref) == (stand.pull().head_sha, "fix/payment-callback")
    assert (pull.base_sha, pull.base_ref) == (stand.pull().base_sha, "master")
    assert pull.url == f"{stand.origin}/acme/shop/pulls/233"


@pytest.mark.parametrize("title", ["WIP: cart", "[wip] cart", "wip:cart"])
def test_a_draft_is_known_by_its_title_and_is_not_said_to_conflict(
    stand: Stand, title: str
) -> None:
    stand.change("set_title", title=title)

    pull = stand.client().pull(SHOP, 233)

    assert (pull.draft, pull.mergeable) == (True, None)


@pytest.mark.parametrize(
    ("state", "numbers"),
    [(PullState.OPEN, [236, 235]), (PullState.CLOSED, [234]), (PullState.MERGED, [233])],
)
def test_it_lists_the_newest_first_and_tells_merged_from_closed(
    stand: Stand, state: PullState, numbers: list[int]
) -> None:
    merge(stand)
    stand.change("close_pull", 234)

    found = stand.client().pulls(SHOP, state=state)

    assert [pull.number for pull in found.items] == numbers
    assert found.total == (2 if state is PullState.OPEN else None)


class Greedy(Gitea):
    """Asks for more a page than the server gives."""

    page_size = 100


@pytest.mark.parametrize("kind", [Gitea, Greedy])
def test_a_long_list_is_read_page_after_page(stand: Stand, kind: type[Gitea]) -> None:
    stand.change("open_pull", count=110)
    client = kind(base_url=f"{stand.origin}/api/v1", token="demo-gitea-token")

    found = client.pulls(SHOP, limit=200)
    cut = client.pulls(SHOP, limit=60)

    assert (len(found.items), found.total, found.more) == (114, 114, False)
    assert (len(cut.items), cut.total, cut.more) == (60, 114, True)


def test_all_reviews_are_read_although_their_pages_have_no_links(stand: Stand) -> None:
    for _ in range(70):
        stand.change("review", login="wangfang", state="commented")
    stand.change("review", login="zhangsan")
    client = stand.client()

    assert client.reviews(SHOP, client.pull(SHOP, 233)) == (Review("zhangsan", accepted=True),)


def test_of_reviews_the_last_word_counts_and_only_on_the_head(stand: Stand) -> None:
    stand.change("review", login="wangfang", state="changes")
    stand.change("review", login="zhangsan")
    stand.change("push")
    stand.change("review", login="wangfang")
    stand.change("review", login="wangfang", state="commented")
    stand.change("review", login="zhaoliu", state="changes")
    client = stand.client()

    assert set(client.reviews(SHOP, client.pull(SHOP, 233))) == {
        Review("wangfang", accepted=True),
        Review("zhangsan", accepted=False),
        Review("zhaoliu", accepted=False, objects=True),
    }


@pytest.mark.parametrize("state", ["approved", "changes"])
def test_a_dismissed_review_neither_accepts_nor_objects(stand: Stand, state: str) -> None:
    stand.change("review", login="wangfang", state=state)
    number = stand.pull().reviews[0].id
    stand.call(
        "POST",
        f"/repos/acme/shop/pulls/233/reviews/{number}/dismissals",
        json={"message": "Outdated"},
    )
    client = stand.client()

    assert client.reviews(SHOP, client.pull(SHOP, 233)) == (Review("wangfang", accepted=False),)


def test_of_checks_the_newest_of_each_name_counts(stand: Stand) -> None:
    stand.change("set_check", name="unit", conclusion="failure")
    stand.change("set_check", name="ci", conclusion=None)
    stand.change("set_check", name="lint", conclusion="neutral")
    client = stand.client()

    found = client.checks(SHOP, client.pull(SHOP, 233))

    assert {row.name: row.state for row in found} == {
        "ci": CheckState.PENDING,
        "unit": CheckState.FAILURE,
        "lint": CheckState.FAILURE,
    }


@pytest.mark.parametrize(
    ("contexts", "known"),
    [((), ()), (("unit", "e2e"), ("unit", "e2e")), (("unit", "ci/*"), None)],
)
def test_it_names_the_checks_that_a_branch_requires(
    stand: Stand, contexts: tuple[str, ...], known: tuple[str, ...] | None
) -> None:
    stand.change("protect", checks=contexts)

    assert stand.client().required_checks(SHOP, "master") == known


def test_of_a_branch_that_is_not_there_it_cannot_tell(stand: Stand) -> None:
    assert stand.client().required_checks(SHOP, "feature/no where") is None


def test_it_lists_the_repositories_and_searches_them(stand: Stand) -> None:
    client = stand.client()

    assert [row.path for row in client.repositories().items] == [SHOP, "acme/web"]
    assert [row.path for row in client.repositories(search="HO").items] == [SHOP]
    assert [row.path for row in client.repositories(search="acme/w").items] == ["acme/web"]
    assert stand.client("outsider").repositories().items == ()
    assert client.repository(SHOP).default_branch == "master"


def test_a_page_of_repositories_says_whether_there_are_more(stand: Stand) -> None:
    for number in range(60):
        stand.change("add_repository", repository=f"many/{number}")
    client = stand.client()

    pages = [client.repositories(page=page) for page in (1, 2, 3)]

    assert [len(page.items) for page in pages] == [50, 12, 0]
    assert [page.more for page in pages] == [True, False, False]
    assert {page.total for page in pages} == {62}


def test_a_commit_is_found_by_branch_and_by_sha(stand: Stand) -> None:
    client, sha = stand.client(), stand.pull().head_sha

    found, *others = (client.commit(SHOP, ref) for ref in ("fix/payment-callback", sha, sha[:8]))

    assert (found.sha, found.author, len(found.parents)) == (sha, "lisi", 1)
    assert found.message.strip() == "补充回调测试"
    assert found.url == f"{stand.origin}/acme/shop/commit/{sha}"
    assert others == [found, found]


@pytest.mark.parametrize("ref", ["", ".", "..", "nowhere", "a?b#c"])
def test_what_is_no_commit_is_not_found(stand: Stand, ref: str) -> None:
    failure(NotFound, lambda: stand.client().commit(SHOP, ref))


def test_a_comparison_tells_the_oldest_first(stand: Stand) -> None:
    client = stand.client()

    found = client.compare(SHOP, "v1.4.2", "fix/payment-callback")
    cut = client.compare(SHOP, "v1.4.2", "fix/payment-callback", limit=1)

    assert [row.message.strip() for row in found.commits] == [
        "支付回调按流水号去重",
        "补充回调测试",
    ]
    assert (found.ahead, found.cut) == (2, False)
    assert (cut.ahead, len(cut.commits), cut.cut) == (2, 1, True)
    failure(NotFound, lambda: client.compare(SHOP, "nowhere", "master"))


# Verdicts


def test_it_approves_a_head_once(stand: Stand) -> None:
    client, sha = stand.client(), stand.pull().head_sha
    assert not client.approved(SHOP, 233, sha=sha)

    approve(stand)
    approve(stand)

    assert client.approved(SHOP, 233, sha=sha)
    assert [(row.login, row.state) for row in stand.pull().reviews] == [(BOT, "approved")]


def test_an_approval_falls_with_a_push_and_is_given_anew(stand: Stand) -> None:
    approve(stand)
    stand.change("push")
    assert not stand.client().approved(SHOP, 233, sha=stand.pull().head_sha)

    approve(stand)

    assert stand.client().approved(SHOP, 233, sha=stand.pull().head_sha)


def test_its_own_pull_request_cannot_be_approved(stand: Stand) -> None:
    error = failure(Refused, lambda: approve(stand, login="lisi"))

    assert "is the portal's own at Gitea" in error.sentence
    assert stand.pull().reviews == []


def test_the_tests_of_a_head_pass_as_a_status(stand: Stand) -> None:
    client, sha = stand.client(), stand.pull().head_sha
    assert not client.tests_passed(SHOP, 233, sha=sha, name="chatops")

    pass_tests(stand)

    assert client.tests_passed(SHOP, 233, sha=sha, name="chatops")
    known = client.checks(SHOP, client.pull(SHOP, 233))
    assert Check("chatops", CheckState.SUCCESS, "https://ci.example/1") in known
    stand.change("set_check", name="chatops", conclusion="failure")
    assert not client.tests_passed(SHOP, 233, sha=sha, name="chatops")


@pytest.mark.parametrize(
    "act",
    [
        lambda stand: stand.client().approve(SHOP, 233, sha=NOBODY),
        lambda stand: pass_tests(stand, sha=NOBODY),
        lambda stand: merge(stand, sha=NOBODY),
    ],
)
def test_another_head_than_expected_is_left_alone(
    stand: Stand, act: Callable[[Stand], object]
) -> None:
    error = failure(HeadMoved, lambda: act(stand))

    assert (error.expected, error.found) == (NOBODY, stand.pull().head_sha)
    assert stand.sent() == []


# Talking


def test_it_comments_edits_and_reads_again(stand: Stand) -> None:
    client = stand.client()
    mine = client.comment(SHOP, 233, "合并中")
    stand.pull().comments[0].created -= 5

    client.edit_comment(SHOP, 233, mine.id, "已合并")
    found = client.read_comment(SHOP, 233, mine.id)

    assert (mine.author, mine.edited, found.body, found.edited) == (BOT, False, "已合并", True)
    assert found.url == f"{stand.origin}/acme/shop/pulls/233#issuecomment-{mine.id}"
    assert found.created_at is not None


def test_comments_come_newest_first(stand: Stand) -> None:
    for body in ("1", "2", "3"):
        stand.change("comment", body=body)

    assert [row.body for row in stand.client().comments(SHOP, 233, limit=2)] == ["3", "2"]


def test_a_comment_of_another_pull_request_is_not_there(stand: Stand) -> None:
    number = str(stand.change("comment", 234, body="/merge")["id"])

    failure(NotFound, lambda: stand.client().read_comment(SHOP, 233, number))


def test_it_closes_and_reopens(stand: Stand) -> None:
    stand.client().close(SHOP, 233)
    assert stand.pull().state == "closed"

    stand.client().reopen(SHOP, 233)
    assert stand.pull().state == "open"


def test_what_was_merged_cannot_be_reopened(stand: Stand) -> None:
    merge(stand)

    error = failure(Refused, lambda: stand.client().reopen(SHOP, 233))

    assert "already merged" in error.sentence


# What it asks for


def test_every_request_is_one_that_gitea_describes(stand: Stand) -> None:
    """Those of the tests above, as far as they have run."""
    stand.client().pull(SHOP, 233)

    assert undescribed(stand) == []
