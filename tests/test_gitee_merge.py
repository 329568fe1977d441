"""The Gitee client against the sandbox: approvals, test verdicts and merges, and their traps."""

import json
from typing import Any

import pytest

from chatops_site.sandbox.client import Sandbox
from repos.errors import (
    BadAnswer,
    HeadMoved,
    NotSupported,
    OtherHeadMerged,
    OutcomeUnknown,
    Refused,
)
from repos.forges.gitee import Gitee
from tests.failures import failure
from tests.gitee_client import (
    BOT,
    SHOP,
    box,
    change,
    client,
    gitee,
    head,
    make_ready,
    merge,
    recorded,
    running,
    sent,
    shown,
)

__all__ = ["box", "gitee", "running"]


# Verdicts


def test_it_approves_and_says_so_afterwards(box: Sandbox, gitee: Gitee) -> None:
    sha = head(gitee)
    assert not gitee.approved(SHOP, 233, sha=sha)

    gitee.approve(SHOP, 233, sha=sha)

    assert gitee.approved(SHOP, 233, sha=sha)
    assert shown(box)["assignees"] == {BOT: True}


def test_an_approval_that_is_there_is_not_sent_again(box: Sandbox, gitee: Gitee) -> None:
    sha = head(gitee)
    gitee.approve(SHOP, 233, sha=sha)
    gitee.approve(SHOP, 233, sha=sha)

    assert len(sent(box, "POST")) == 1


def test_it_never_forces_an_approval(box: Sandbox, gitee: Gitee) -> None:
    gitee.approve(SHOP, 233, sha=head(gitee))

    (entry,) = sent(box, "POST")
    assert entry["arguments"]["force"] in (False, "False", "false")


def test_who_is_no_reviewer_is_told_so_and_nothing_is_sent(box: Sandbox, gitee: Gitee) -> None:
    sha = head(gitee)
    change(box, "unassign", login=BOT)

    error = failure(Refused, lambda: gitee.approve(SHOP, 233, sha=sha))

    assert error.sentence == (
        "acme/shop#233: the portal's account chatops-bot is not among its reviewers at Gitee, so "
        "Gitee would not count the approval. Add chatops-bot there as a reviewer."
    )
    assert sent(box, "POST") == []


def test_it_marks_the_tests_as_passed(box: Sandbox, gitee: Gitee) -> None:
    sha = head(gitee)

    gitee.pass_tests(SHOP, 233, sha=sha, name="chatops", url="http://jenkins/1")

    assert gitee.tests_passed(SHOP, 233, sha=sha, name="chatops")
    assert shown(box)["testers"] == {BOT: True}


def test_a_test_that_nobody_asked_for_is_told_apart_from_one_that_is_missing(
    box: Sandbox, gitee: Gitee
) -> None:
    sha = head(gitee)
    change(box, "unassign", login=BOT)
    missing = failure(Refused, lambda: gitee.pass_tests(SHOP, 233, sha=sha, name="t", url=""))
    change(box, "set_gate", testers_number=0)
    failure(NotSupported, lambda: gitee.pass_tests(SHOP, 233, sha=sha, name="t", url=""))

    assert "not among its testers at Gitee" in missing.sentence


def test_a_moved_head_is_not_approved(box: Sandbox, gitee: Gitee) -> None:
    seen = head(gitee)
    moved = box.push(SHOP, 233)

    error = failure(HeadMoved, lambda: gitee.approve(SHOP, 233, sha=seen))

    assert (error.expected, error.found) == (seen, moved)
    assert error.sentence == (
        f"acme/shop#233 has moved from {seen[:7]} to {moved[:7]}. "
        "Nothing was changed; look at it again."
    )
    assert not gitee.approved(SHOP, 233, sha=seen)
    assert sent(box, "POST") == []


def test_a_head_that_moves_while_it_is_approved_is_reported(box: Sandbox, gitee: Gitee) -> None:
    seen = head(gitee)
    later = recorded("gitee_pull__recorded_2021.json")
    box.fault("gitee", "status", path_regex="/pulls/233$", skip=1, status=200, body=later)

    error = failure(HeadMoved, lambda: gitee.approve(SHOP, 233, sha=seen))

    assert f"moved from {seen[:7]} to 411db0d at the very moment of the verdict" in error.sentence
    assert "which nobody looked at: check there." in error.sentence


def test_an_approval_of_an_older_head_does_not_count(box: Sandbox, gitee: Gitee) -> None:
    box.change_gitee("set_repository", repository=SHOP, resets_on_push=False)
    seen = head(gitee)
    gitee.approve(SHOP, 233, sha=seen)
    moved = box.push(SHOP, 233)

    assert not gitee.approved(SHOP, 233, sha=seen)
    assert gitee.approved(SHOP, 233, sha=moved)


def test_a_page_instead_of_an_approval_is_noticed(box: Sandbox, gitee: Gitee) -> None:
    sha = head(gitee)
    box.fault("gitee", "html200", method="POST")

    error = failure(BadAnswer, lambda: gitee.approve(SHOP, 233, sha=sha))

    assert "not its API" in error.sentence
    assert not shown(box)["assignees"][BOT]


def test_a_redirect_after_an_approval_that_counted_is_a_success(box: Sandbox, gitee: Gitee) -> None:
    sha = head(gitee)
    box.fault("gitee", "redirect", method="POST", apply=True)

    gitee.approve(SHOP, 233, sha=sha)

    assert shown(box)["assignees"] == {BOT: True}


# Merging


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1), ("rebase", 1)])
def test_it_merges_by_each_method(box: Sandbox, gitee: Gitee, method: str, parents: int) -> None:
    make_ready(box)
    sha = head(gitee)

    merged = merge(gitee, sha, method=method)

    assert merged.sha == shown(box)["merge_sha"] == gitee.commit(SHOP, "master").sha
    assert len(gitee.commit(SHOP, merged.sha).parents) == parents
    assert (shown(box)["state"], shown(box)["merged_by"]) == ("merged", BOT)


def test_a_merge_is_three_calls_and_leaves_its_marker(box: Sandbox, gitee: Gitee) -> None:
    make_ready(box)
    sha = head(gitee)
    before = box.journal("gitee")[-1]["n"]

    merged = merge(gitee, sha)

    calls = [entry["method"] for entry in box.journal("gitee", since=before)]
    assert calls == ["GET", "PUT", "GET"]
    assert "ChatOps run 1842" in gitee.commit(SHOP, merged.sha).message


def test_a_head_that_moved_before_is_not_merged(box: Sandbox, gitee: Gitee) -> None:
    make_ready(box)
    seen = head(gitee)
    box.push(SHOP, 233)

    error = failure(HeadMoved, lambda: merge(gitee, seen))

    assert "Nothing was changed" in error.sentence
    assert sent(box) == []
    assert shown(box)["state"] == "open"


def test_a_head_that_moved_inside_the_merge_is_reported_loudly(box: Sandbox, gitee: Gitee) -> None:
    box.change_gitee("set_repository", repository=SHOP, resets_on_push=False)
    make_ready(box)
    seen = head(gitee)
    change(box, "hook_on_merge", do="push")

    error = failure(OtherHeadMerged, lambda: merge(gitee, seen))

    landed = shown(box)
    assert (error.found, error.merge_sha) == (landed["head_sha"], landed["merge_sha"])
    assert error.sentence == (
        f"acme/shop#233 was merged with ANOTHER commit than the checked one: {error.found[:7]} "
        f"instead of {seen[:7]}. Somebody pushed in the same moment, and Gitee cannot be told "
        f"which commit to take. Review {error.found[:7]} now and revert the merge if it is wrong."
    )


def test_a_head_that_shows_another_commit_only_after_the_merge_is_fine(
    box: Sandbox, gitee: Gitee
) -> None:
    make_ready(box)
    before = gitee.pull(SHOP, 233)
    later = json.loads(recorded("gitee_pull__recorded_2021.json")) | {"merged_at": "2026-01-01"}
    box.fault("gitee", "status", method="GET", skip=1, status=200, body=json.dumps(later))

    merged = merge(gitee, before.head_sha)

    assert before.head_sha in gitee.commit(SHOP, merged.sha).parents


GATES = [
    ({"assignees_number": 2}, "Gitee asks for more reviews before it merges", "未通过设置的审查"),
    ({"testers_number": 2}, "Gitee asks for a passed test before it merges", "未通过设置的测试"),
]


@pytest.mark.parametrize("status", [400, 405])
@pytest.mark.parametrize(("gate", "words", "original"), GATES)
def test_gitee_s_own_gates_are_explained_and_quoted(
    box: Sandbox, gitee: Gitee, status: int, gate: dict[str, int], words: str, original: str
) -> None:
    make_ready(box)
    sha = head(gitee)
    change(box, "set_gate", **gate)
    box.change_gitee("set_refusal_status", status=status)

    error = failure(Refused, lambda: merge(gitee, sha))

    assert error.sentence == (
        f"acme/shop#233 was not merged: {words} (“此 Pull Request {original}”)."
    )
    assert shown(box)["state"] == "open"
    assert not error.maybe_applied


def test_a_conflict_and_a_draft_are_refused_before_anything_is_sent(
    box: Sandbox, gitee: Gitee
) -> None:
    conflict = failure(Refused, lambda: merge(gitee, head(gitee, 235), 235))
    draft = failure(Refused, lambda: merge(gitee, head(gitee, 236), 236))

    assert "conflicts with master" in conflict.sentence
    assert "is a draft" in draft.sentence
    assert sent(box) == []


def test_a_conflict_that_appears_inside_the_merge_is_explained(box: Sandbox, gitee: Gitee) -> None:
    make_ready(box)
    sha = head(gitee)
    change(box, "hook_on_merge", do="set_mergeable", mergeable=False)

    error = failure(Refused, lambda: merge(gitee, sha))

    assert "it conflicts with the base branch (“此 Pull Request 存在冲突" in error.sentence


def test_a_merged_or_closed_pull_request_is_not_merged_again(box: Sandbox, gitee: Gitee) -> None:
    sha = head(gitee)
    change(box, "close_pull")
    closed = failure(Refused, lambda: merge(gitee, sha))
    change(box, "reopen_pull")
    change(box, "merge_elsewhere")
    merged = failure(Refused, lambda: merge(gitee, sha))

    assert closed.sentence == "acme/shop#233 is closed. Reopen it first."
    assert merged.sentence == "acme/shop#233 is merged already."
    assert sent(box) == []


def test_a_method_that_an_old_server_lacks_is_explained(box: Sandbox, gitee: Gitee) -> None:
    make_ready(box)
    sha = head(gitee)
    box.change_gitee("set_repository", repository=SHOP, merge_methods=["merge", "squash"])

    error = failure(Refused, lambda: merge(gitee, sha, method="rebase"))

    assert "does not offer that merge method" in error.sentence


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("reset_after", {}),
        ("close_mid", {}),
        ("status", {"status": 502, "apply": True}),
        ("status", {"status": 500}),
        ("reset_before", {}),
    ],
)
def test_without_a_clear_answer_the_outcome_is_unknown_and_nothing_is_repeated(
    box: Sandbox, gitee: Gitee, mode: str, options: dict[str, Any]
) -> None:
    make_ready(box)
    sha = head(gitee)
    box.fault("gitee", mode, method="PUT", **options)

    error = failure(OutcomeUnknown, lambda: merge(gitee, sha))

    assert error.maybe_applied
    assert "It may have been carried out: look there before you repeat it." in error.sentence
    assert len(sent(box)) == 1
    applied = mode in ("reset_after", "close_mid") or "apply" in options
    assert (shown(box)["state"] == "merged") is applied


def test_a_hanging_merge_ends_at_the_deadline_with_an_unknown_outcome(box: Sandbox) -> None:
    make_ready(box)
    gitee = client(box, deadline=0.3)
    sha = head(gitee)
    box.fault("gitee", "hang", method="PUT")

    failure(OutcomeUnknown, lambda: merge(gitee, sha))


def test_a_yes_whose_pull_request_cannot_be_read_again_is_unknown(
    box: Sandbox, gitee: Gitee
) -> None:
    make_ready(box)
    sha = head(gitee)
    box.fault("gitee", "status", method="GET", skip=1, times=9, status=500)

    error = failure(OutcomeUnknown, lambda: merge(gitee, sha))

    assert error.sentence == (
        "Gitee took the request for acme/shop#233, but its state could not be read afterwards: "
        "Gitee answered 500. Try again in a moment."
    )


@pytest.mark.parametrize("mode", ["html200", "redirect"])
def test_a_page_or_a_redirect_instead_of_a_merge_changed_nothing(
    box: Sandbox, gitee: Gitee, mode: str
) -> None:
    make_ready(box)
    sha = head(gitee)
    box.fault("gitee", mode, method="PUT")

    error = failure(BadAnswer, lambda: merge(gitee, sha))

    assert "An operator should check its address" in error.sentence
    assert not error.maybe_applied
    assert shown(box)["state"] == "open"


def test_an_empty_yes_as_old_servers_give_it_is_looked_up(box: Sandbox, gitee: Gitee) -> None:
    make_ready(box)
    sha = head(gitee)
    box.fault("gitee", "status", method="PUT", status=200, body="", apply=True)

    assert merge(gitee, sha).sha == shown(box)["merge_sha"]


def test_a_yes_that_does_not_show_is_not_called_a_success(box: Sandbox, gitee: Gitee) -> None:
    make_ready(box)
    sha = head(gitee)
    box.fault("gitee", "status", method="PUT", status=200, body='{"merged": true}')

    error = failure(OutcomeUnknown, lambda: merge(gitee, sha))

    assert "does not show it yet" in error.sentence
