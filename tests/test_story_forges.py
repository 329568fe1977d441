"""The same story on every forge: the same commands, the same answers, one effect each at the stand-in."""

import re

from bot.runs.models import Run, RunState
from repos.models import Forge, Repository
from tests.portal import Chat, deployed, kind_fixture, last_run, master, plain, there_fixture

__all__ = ["kind_fixture", "there_fixture"]

# What each is asked when a pull request is merged.
MERGES = {
    "gitee": "PUT /api/v5/repos/acme/shop/pulls/233/merge",
    "github": "PUT /api/v3/repos/acme/shop/pulls/233/merge",
    "gitlab": "PUT /api/v4/projects/acme%2Fshop/merge_requests/233/merge",
    "gitea": "POST /api/v1/repos/acme/shop/pulls/233/merge",
}


def test_a_pull_request_goes_from_the_list_to_production(there: Chat, kind: str) -> None:
    listed = plain(there.say("/prs"))
    refused = plain(there.say("/merge 233"))
    approved = plain(there.say("/approve 233"))
    tested = plain(there.say("/test 233"))
    merged = plain(there.say("/merge 233"))
    told = plain(there.say("/deploy myservice to production"))

    assert listed.startswith("**4 open in shop**\n#236 WIP: new cart · wangfang · ⛔ draft")
    assert re.search(r"#235 .*⛔ conflicts · checks not green \(unit\)", listed)
    assert refused.startswith("⛔ Not merged: shop#233")
    assert "1 approval missing" in refused
    assert approved == "✅ Approved shop#233 at abc1234\nNext: `/merge 233 shop`"
    assert tested.startswith("✅ Tests passed: shop#233 at abc1234 · build 1 · 6 s")
    assert merged.startswith("✅ Merged shop#233 into master as abc1234 · squash · ")
    assert told.startswith("✅ Deployed myservice")
    assert there.effects().count(MERGES[kind]) == 1
    assert there.pull(233)["state"] == "merged"
    assert [one["SHA"] for one in deployed(there)] == [master(there)]


def test_the_test_is_marked_at_the_forge_and_found_there(there: Chat, kind: str) -> None:
    there.say("/test 233")

    state = there.sandbox.state()
    checks = {
        row["name"]: row["conclusion"] for row in state["repositories"]["acme/shop"]["checks"]
    }
    if kind == "gitee":
        assert there.pull(233)["testers"] == {"chatops-bot": True}
    else:
        assert checks["shop-test"] == "success"


def test_nobody_approves_their_own(there: Chat) -> None:
    answer = there.say("/approve 234")

    assert answer.startswith("⛔ Not approved")
    assert there.effects() == []


def test_a_push_after_the_approval_needs_another_one(there: Chat) -> None:
    there.say("/approve 233")
    there.sandbox.push("acme/shop", 233)

    answer = there.say("/merge 233")

    assert "1 approval missing" in answer
    assert there.pull(233)["state"] == "open"


def test_a_head_that_moves_inside_the_merge_is_not_merged_unseen(there: Chat, kind: str) -> None:
    there.say("/approve 233")
    there.say("/test 233")
    there.sandbox.change_gitee("set_repository", repository="acme/shop", resets_on_push=False)
    there.sandbox.change_gitee(
        "hook_on_merge", repository="acme/shop", number=233, do="push", by="lisi"
    )

    answer = there.say("/merge 233")

    if kind == "gitee":
        assert answer.startswith("⛔ ATTENTION: another commit than the checked one was merged")
    else:
        assert "has moved from" in answer
        assert there.pull(233)["state"] == "open"


def test_comment_close_and_reopen(there: Chat) -> None:
    there.say("/comment 233 看起来不错")
    closed = there.say("/close 233", by="wangfang")
    state = there.pull(233)["state"]
    reopened = there.say("/reopen 233", by="wangfang")

    assert (closed[:1], state, reopened[:1]) == ("✅", "closed", "✅")
    assert "看起来不错" in str(there.pull(233)["comments"])
    assert there.pull(233)["state"] == "open"


def test_a_dead_token_is_told_with_who_has_to_act(there: Chat, kind: str) -> None:
    Forge.objects.update(token=f"demo-{kind}-token-expired")

    answer = there.say("/pr 233")

    assert "An operator has to set a new one" in answer


def test_a_merge_whose_answer_is_lost_is_found_again_and_not_repeated(
    there: Chat, kind: str
) -> None:
    there.say("/approve 233")
    there.say("/test 233")
    there.sandbox.fault(kind, "reset_after", path_regex="/merge$", method=MERGES[kind].split()[0])

    answer = plain(there.say("/merge 233"))

    assert answer.startswith("✅ Merged shop#233 into master")
    assert last_run().state == RunState.SUCCEEDED
    assert there.effects().count(MERGES[kind]) == 1


def test_an_approval_whose_answer_is_lost_is_found_again(there: Chat, kind: str) -> None:
    there.sandbox.fault(kind, "reset_after", path_regex="/(review|reviews|approve)$", method="POST")

    answer = plain(there.say("/approve 233"))

    assert answer.startswith("✅ Approved shop#233")
    assert sum("POST" in effect for effect in there.effects()) == 1


def test_five_hundred_open_ones_are_told_in_one_message(there: Chat, kind: str) -> None:
    there.sandbox.change_gitee("open_pull", repository="acme/shop", count=500)

    before = there.calls(kind)
    answer = plain(there.say("/prs"))

    rows = re.findall(r"^#\d+ ", answer, re.M)
    assert answer.startswith("**504 open in shop**")
    assert len(rows) == 20
    assert "20 shown · more: `/prs shop page 2`" in answer
    assert there.calls(kind) - before <= CALLS[kind]


# The list's pages, whose token it is, and what the list does not tell of twenty.
CALLS = {"gitee": 2 + 20, "github": 3, "gitlab": 2 + 40, "gitea": 2 + 40}


def test_only_what_is_asked_for_is_read(there: Chat) -> None:
    Repository.objects.update(checks="none")

    there.say("/prs")

    assert not [one for one in there.sandbox.journal() if "status" in one["path"]]
    assert Run.objects.latest("pk").state == RunState.SUCCEEDED


def test_the_checks_that_a_branch_requires_are_asked_for_once(there: Chat, kind: str) -> None:
    """Where the forge names them, a pull request without a required check is not ready."""
    Repository.objects.update(checks="required")
    there.sandbox.change_gitee("protect", repository="acme/shop", checks=["e2e"])

    answer = plain(there.say("/prs"))

    asked = [one for one in there.sandbox.journal() if "/branches/" in one["path"]]
    if kind in ("github", "gitea"):
        assert "checks not green (e2e)" in answer
        assert len(asked) == {"github": 2, "gitea": 1}[kind]
    elif kind == "gitee":
        assert "the forge does not tell which checks it requires" in answer
    else:
        assert "a pipeline must succeed first" in answer
        assert not [one for one in there.sandbox.journal() if "/statuses" in one["path"]]


def test_a_filter_says_how_many_it_looked_through(there: Chat) -> None:
    there.sandbox.change_gitee("open_pull", repository="acme/shop", count=500)

    mine = plain(there.say("/prs mine", by="zhangsan"))

    assert "Nothing of yours is open in shop.\nOnly the newest 500 were looked through." in mine
