"""The Gitee client against the sandbox: reading, lists, checks, comments, commits."""

import json

import pytest

from chatops_site.sandbox.client import Sandbox
from repos.errors import (
    NotFound,
    OutcomeUnknown,
    Refused,
)
from repos.forges.gitee import Gitee
from repos.forges.resources import CheckState, PullState, Review
from tests.failures import failure
from tests.gitee_client import (
    BOT,
    SHOP,
    box,
    change,
    gitee,
    head,
    recorded,
    running,
    sent,
    shown,
)

__all__ = ["box", "gitee", "running"]


# Who and what


def test_it_tells_who_the_token_is(gitee: Gitee) -> None:
    who = gitee.whoami()

    assert (who.login, who.name) == (BOT, "ChatOps")
    assert who.clock_skew is not None
    assert abs(who.clock_skew) < 5


def test_the_token_travels_in_a_header_and_never_in_an_address(box: Sandbox, gitee: Gitee) -> None:
    gitee.whoami()

    (entry,) = box.journal("gitee")
    assert "demo-gitee-token" not in json.dumps(entry)
    assert "demo-gitee-token" not in repr(vars(gitee)["_http"])


def test_it_tells_a_repository(gitee: Gitee) -> None:
    facts = gitee.repository(SHOP)

    assert (facts.path, facts.default_branch, facts.archived) == (SHOP, "master", False)


def test_it_tells_a_pull_request(gitee: Gitee) -> None:
    pull = gitee.pull(SHOP, 233)

    assert (pull.title, pull.author, pull.state) == ("修复支付回调", "lisi", PullState.OPEN)
    assert (pull.draft, pull.mergeable, pull.base_ref) == (False, True, "master")
    assert pull.reviews == pull.tests == (Review(BOT, accepted=False),)
    assert (pull.reviews_required, pull.tests_required) == (1, 1)
    assert pull.updated_at is not None
    assert pull.updated_at.utcoffset() is not None


def test_it_tells_draft_conflict_and_merged(box: Sandbox, gitee: Gitee) -> None:
    change(box, "merge_elsewhere")

    assert gitee.pull(SHOP, 233).state is PullState.MERGED
    assert gitee.pull(SHOP, 235).mergeable is False
    assert gitee.pull(SHOP, 236).draft


def test_it_reads_what_gitee_com_answered_in_2021(box: Sandbox, gitee: Gitee) -> None:
    box.fault("gitee", "status", status=200, body=recorded("gitee_pull__recorded_2021.json"))
    pull = gitee.pull("kit101/drone-yml-test", 6)
    box.fault("gitee", "status", status=200, body=recorded("gitee_pulls__recorded_2021.json"))
    pulls = gitee.pulls("kit101/drone-yml-test", state=PullState.CLOSED)
    box.fault("gitee", "status", status=200, body=recorded("gitee_comments__recorded_2021.json"))
    (comment,) = gitee.comments("kit101/drone-yml-test", 7)
    box.fault("gitee", "status", status=200, body=recorded("gitee_user__recorded_2021.json"))

    assert (pull.number, pull.author, pull.draft, pull.tests) == (6, "kit101", False, ())
    assert pull.head_sha == "411db0d9e9072851383751c260dc1601840906e4"
    assert [(row.number, row.state) for row in pulls.items] == [
        (6, PullState.OPEN),
        (5, PullState.CLOSED),
        (4, PullState.OPEN),
    ]
    assert (comment.id, comment.body) == ("6922557", "test comment 1")
    assert gitee.whoami().login == "kit101"


# Lists


def test_it_lists_open_pull_requests_newest_first(gitee: Gitee) -> None:
    found = gitee.pulls(SHOP)

    assert [pull.number for pull in found.items] == [236, 235, 234, 233]
    assert (found.total, found.more) == (4, False)


def test_it_follows_pages_to_the_end(box: Sandbox, gitee: Gitee) -> None:
    change(box, "open_pull", count=230)

    found = gitee.pulls(SHOP, limit=1_000)

    assert (len(found.items), found.total, found.more) == (234, 234, False)
    assert len({pull.number for pull in found.items}) == 234
    assert len(sent(box, "GET")) == 3


def test_it_stops_at_the_limit_and_says_that_there_is_more(box: Sandbox, gitee: Gitee) -> None:
    change(box, "open_pull", count=30)

    found = gitee.pulls(SHOP, limit=10)

    assert (len(found.items), found.total, found.more) == (10, 34, True)
    assert len(sent(box, "GET")) == 1


def test_a_short_page_ends_the_list_where_a_proxy_drops_the_totals(
    box: Sandbox, gitee: Gitee
) -> None:
    page = recorded("gitee_pulls__recorded_2021.json")
    box.fault("gitee", "status", status=200, body=page)

    found = gitee.pulls(SHOP)

    assert (len(found.items), found.total, found.more) == (3, None, False)


def test_a_pull_request_that_slips_onto_the_next_page_is_listed_once(
    box: Sandbox, gitee: Gitee
) -> None:
    rows = json.loads(recorded("gitee_pulls__recorded_2021.json"))
    totals = {"total_page": "2", "total_count": "4"}
    for page in (rows[:2], rows[1:]):
        box.fault("gitee", "status", status=200, body=json.dumps(page), headers=totals)

    assert [pull.number for pull in gitee.pulls(SHOP).items] == [6, 5, 4]


def test_it_lists_merged_pull_requests(box: Sandbox, gitee: Gitee) -> None:
    change(box, "merge_elsewhere")

    (pull,) = gitee.pulls(SHOP, state=PullState.MERGED).items

    assert (pull.number, pull.state) == (233, PullState.MERGED)


# Checks


def test_it_tells_the_newest_check_of_each_name(box: Sandbox, gitee: Gitee) -> None:
    change(box, "set_check", name="unit", conclusion="failure", details_url="http://ci/57")
    change(box, "set_check", name="slow", conclusion=None)
    change(box, "set_check", name="docs", conclusion="skipped")

    found = {check.name: check for check in gitee.checks(SHOP, gitee.pull(SHOP, 233))}

    assert {name: check.state for name, check in found.items()} == {
        "lint": CheckState.SUCCESS,
        "unit": CheckState.FAILURE,
        "slow": CheckState.PENDING,
        "docs": CheckState.SUCCESS,
    }
    assert found["unit"].url == "http://ci/57"


def test_an_old_server_without_check_runs_has_no_checks(box: Sandbox, gitee: Gitee) -> None:
    pull = gitee.pull(SHOP, 233)
    box.fault("gitee", "status", status=404, body=recorded("gitee_error__recorded_not_found.json"))

    assert gitee.checks(SHOP, pull) == ()


# Comments, closing, commits


def test_it_comments_and_lists_comments_newest_first(box: Sandbox, gitee: Gitee) -> None:
    change(box, "comment", body="first")
    made = gitee.comment(SHOP, 233, "已部署 ✅ & <b>")

    found = gitee.comments(SHOP, 233)

    assert [comment.body for comment in found] == ["已部署 ✅ & <b>", "first"]
    assert found[0] == made
    assert (made.author, made.url.endswith(made.id)) == (BOT, True)


def test_the_newest_comments_are_found_among_many(box: Sandbox, gitee: Gitee) -> None:
    for number in range(12):
        change(box, "comment", body=f"comment {number}")

    assert [row.body for row in gitee.comments(SHOP, 233, limit=2)] == ["comment 11", "comment 10"]


def test_the_newest_comments_are_found_where_the_order_cannot_be_chosen(
    box: Sandbox, gitee: Gitee
) -> None:
    (row,) = json.loads(recorded("gitee_comments__recorded_2021.json"))
    rows = [row | {"id": number} for number in (1, 2, 3)]
    totals = {"total_page": "2", "total_count": "3"}
    box.fault("gitee", "status", status=200, body=json.dumps(rows[:2]), headers=totals)
    box.fault("gitee", "status", status=200, body=json.dumps(rows))

    assert [comment.id for comment in gitee.comments(SHOP, 233, limit=2)] == ["3", "2"]


def test_a_comment_whose_answer_is_lost_is_unknown_and_there(box: Sandbox, gitee: Gitee) -> None:
    box.fault("gitee", "reset_after", method="POST")

    failure(OutcomeUnknown, lambda: gitee.comment(SHOP, 233, "once"))

    assert [row["body"] for row in shown(box)["comments"]] == ["once"]


def test_it_closes_and_reopens(box: Sandbox, gitee: Gitee) -> None:
    gitee.close(SHOP, 233)
    assert shown(box)["state"] == "closed"

    gitee.reopen(SHOP, 233)
    assert shown(box)["state"] == "open"


def test_a_merged_pull_request_cannot_be_reopened(box: Sandbox, gitee: Gitee) -> None:
    change(box, "merge_elsewhere")

    error = failure(Refused, lambda: gitee.reopen(SHOP, 233))

    assert error.sentence.startswith("Gitee refused it for acme/shop#233 (“")


def test_it_resolves_branches_tags_and_shas(gitee: Gitee) -> None:
    sha = gitee.commit(SHOP, "v1.4.2").sha

    assert gitee.commit(SHOP, "master").sha == sha
    assert gitee.commit(SHOP, sha).message == "Release v1.4.2"
    assert gitee.commit(SHOP, sha[:9]).sha == sha
    assert gitee.commit(SHOP, "fix/payment-callback").sha == head(gitee)


@pytest.mark.parametrize("ref", ["master", "v1.4.2"])
def test_it_resolves_names_where_commits_takes_only_shas(
    box: Sandbox, gitee: Gitee, ref: str
) -> None:
    box.fault("gitee", "status", path_regex=f"/commits/{ref}$", status=404)

    assert gitee.commit(SHOP, ref).message == "Release v1.4.2"


@pytest.mark.parametrize("ref", ["v9.9.9", "", "..", "a/../b", "%2e%2e"])
def test_an_unknown_ref_is_not_found(gitee: Gitee, ref: str) -> None:
    error = failure(NotFound, lambda: gitee.commit(SHOP, ref))

    assert "in acme/shop, or the portal's account may not see it." in error.sentence


def test_a_branch_that_is_named_like_a_commit_is_refused(box: Sandbox, gitee: Gitee) -> None:
    box.change_gitee("push", repository=SHOP, branch="deadbeef", number=233)

    error = failure(Refused, lambda: gitee.commit(SHOP, "deadbeef"))

    assert "also the name of a branch or tag" in error.sentence


def test_it_compares(gitee: Gitee) -> None:
    found = gitee.compare(SHOP, "master", "fix/payment-callback")

    assert (found.ahead, found.cut) == (2, False)
    assert [row.message for row in found.commits] == ["支付回调按流水号去重", "补充回调测试"]
    cut = gitee.compare(SHOP, "master", "fix/payment-callback", limit=1)
    assert (cut.ahead, cut.cut, cut.commits) == (2, True, found.commits[1:])
