"""How the Gitea client merges at the Gitea stand-in, and how it is refused."""

import json
from typing import Any

import pytest

from repos.errors import BadAnswer, HeadMoved, OutcomeUnknown, Refused
from repos.forges.resources import PullState
from tests.failures import failure
from tests.forge_stand import MARKER, SHOP, approve, merge
from tests.gitea_stand import Stand, running, stand, undescribed

__all__ = ["running", "stand"]
MERGE = r"/merge$"


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1), ("rebase", 1)])
def test_it_merges_by_each_method(stand: Stand, method: str, parents: int) -> None:
    landed = merge(stand, method=method)

    commit = stand.world.repository(SHOP).commits[landed.sha]
    assert landed.sha == stand.world.repository(SHOP).branches["master"]
    assert len(commit.parents) == parents
    assert (MARKER in commit.message) == (method != "rebase")


def test_it_waits_while_conflicts_are_being_looked_for(stand: Stand) -> None:
    stand.change("set_mergeable", mergeable=True, unknown_looks=2)

    merge(stand)

    assert len(stand.sent()) == 1


def test_it_sends_again_to_a_server_that_is_busy(stand: Stand) -> None:
    busy = json.dumps({"message": "Please try again later", "url": ""})
    stand.fault("status", MERGE, method="POST", status=405, body=busy)

    merge(stand)

    assert [entry["status"] for entry in stand.sent()] == [405, 200]


def test_it_sends_nothing_more_when_the_head_moves_while_the_server_is_busy(stand: Stand) -> None:
    busy = json.dumps({"message": "Please try again later", "url": ""})
    stand.fault("status", MERGE, method="POST", status=405, body=busy, apply=True)
    stand.change("hook_on_merge", do="push")

    failure(HeadMoved, lambda: merge(stand))

    assert len(stand.sent()) == 1
    assert stand.pull().state == "open"


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("set_draft", {}, "is a draft"),
    ("set_mergeable", {"mergeable": False}, "conflicts with master"),
    ("close_pull", {}, "is closed"),
    ("merge_elsewhere", {}, "merged already"),
    ("protect", {"approvals": 1}, "Does not have enough approvals"),
    ("protect", {"checks": ["e2e"]}, "Not all required status checks successful"),
    ("set_repository", {"merge_methods": ["squash"]}, "merge is not allowed"),
    ("archive", {}, "archived"),
]


@pytest.mark.parametrize(("op", "arguments", "told"), REFUSALS)
def test_a_merge_that_is_refused_says_why(
    stand: Stand, op: str, arguments: dict[str, Any], told: str
) -> None:
    stand.change(op, **arguments)
    before = dict(stand.world.repository(SHOP).branches)

    error = failure(Refused, lambda: merge(stand))

    assert told in error.sentence
    assert stand.world.repository(SHOP).branches == before


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (409, {"Style": "rebase", "StdErr": "CONFLICT"}, "conflicts with master"),
        (409, {"message": "merge push out of date"}, "merge push out of date"),
        (405, {"message": ""}, "merged already"),
    ],
)
def test_what_only_the_merge_finds_is_told_too(
    stand: Stand, status: int, body: dict[str, str], told: str
) -> None:
    stand.fault("status", MERGE, method="POST", status=status, body=json.dumps(body))

    assert told in failure(Refused, lambda: merge(stand)).sentence


def test_approvals_count_for_protection_when_a_writer_gave_them(stand: Stand) -> None:
    stand.change("protect", approvals=1, checks=["unit"])
    approve(stand, login="zhaoliu")
    assert "enough approvals" in failure(Refused, lambda: merge(stand)).sentence

    approve(stand)
    merge(stand)

    assert stand.pull().state == "merged"


def test_a_head_that_moves_inside_the_call_is_not_merged(stand: Stand) -> None:
    stand.change("hook_on_merge", do="push")

    error = failure(HeadMoved, lambda: merge(stand))

    assert error.found == stand.pull().head_sha
    assert stand.pull().state == "open"


def test_a_merge_whose_answer_is_lost_is_found_by_reading(stand: Stand) -> None:
    stand.fault("reset_after", MERGE)

    failure(OutcomeUnknown, lambda: merge(stand))

    pull = stand.client().pull(SHOP, 233)
    assert (pull.state, pull.merge_sha) == (PullState.MERGED, stand.pull().merge_sha)
    assert len(stand.sent()) == 1


@pytest.mark.parametrize("mode", ["reset_before", "status", "redirect"])
def test_a_merge_that_may_have_happened_is_not_sent_again(stand: Stand, mode: str) -> None:
    stand.fault(mode, MERGE)

    assert failure(OutcomeUnknown, lambda: merge(stand)).maybe_applied
    assert (stand.pull().state, len(stand.sent())) == ("open", 1)


def test_a_page_instead_of_a_merge_changes_nothing(stand: Stand) -> None:
    stand.fault("html200", MERGE)

    assert "not its API" in failure(BadAnswer, lambda: merge(stand)).sentence


# What it asks for


def test_every_request_is_one_that_gitea_describes(stand: Stand) -> None:
    """Those of the tests above, as far as they have run."""
    merge(stand)

    assert undescribed(stand) == []
