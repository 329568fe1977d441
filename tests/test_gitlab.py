"""The GitLab client against the stand-in: reading, reviews, merges and comments, and their traps."""

from typing import Any

import pytest

from repos.errors import (
    HeadMoved,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    Refused,
    TokenRefused,
)
from repos.forges.gitlab import GitLab
from repos.forges.resources import Check, CheckState, PullState, Review
from tests.failures import failure
from tests.forge_stand import BOT, MARKER, SHOP, WEB
from tests.gitlab_stand import Stand, gitlab, head, merge, running, stand

__all__ = ["gitlab", "running", "stand"]
CLOSE = "/close is what I would write"


# Reading


@pytest.mark.parametrize("root", ["", "/gitlab"])
def test_it_reads_a_pull_request_also_below_a_relative_root(stand: Stand, root: str) -> None:
    gitlab, behind = stand.client(root=root), stand.pull()
    pull = gitlab.pull(SHOP, 233)

    assert (pull.number, pull.title, pull.author) == (233, "修复支付回调", "lisi")
    assert (pull.head_sha, pull.head_ref) == (behind.head_sha, "fix/payment-callback")
    assert (pull.base_sha, pull.base_ref) == (behind.base_sha, "master")
    assert (pull.state, pull.draft, pull.mergeable) == (PullState.OPEN, False, True)
    assert pull.url == f"{stand.origin}{root}/acme/shop/-/merge_requests/233"
    assert behind.id != 233


def test_it_says_whose_the_token_is(gitlab: GitLab) -> None:
    me = gitlab.whoami()

    assert (me.login, me.name) == (BOT, "ChatOps")
    assert me.clock_skew is not None
    assert abs(me.clock_skew) < 5


@pytest.mark.parametrize(
    ("state", "numbers"),
    [(PullState.OPEN, [236, 234, 233]), (PullState.CLOSED, [235]), (PullState.MERGED, [])],
)
def test_it_lists_the_newest_first(
    stand: Stand, gitlab: GitLab, state: PullState, numbers: list[int]
) -> None:
    stand.change("close_pull", 235)

    assert [pull.number for pull in gitlab.pulls(SHOP, state=state).items] == numbers


def test_a_list_goes_over_pages_and_says_when_it_was_cut(stand: Stand, gitlab: GitLab) -> None:
    stand.change("open_pull", count=130)

    every, some = gitlab.pulls(SHOP, limit=200), gitlab.pulls(SHOP, limit=120)

    assert (len(every.items), every.total, every.more) == (134, 134, False)
    assert (len(some.items), some.total, some.more) == (120, 134, True)


def test_it_lists_the_repositories_of_the_token(gitlab: GitLab) -> None:
    assert [one.path for one in gitlab.repositories().items] == [SHOP, WEB]
    assert [one.path for one in gitlab.repositories(search="acme/W").items] == [WEB]
    assert gitlab.repositories().total == 2


@pytest.mark.parametrize("archived", [True, False])
def test_it_reads_a_repository(stand: Stand, gitlab: GitLab, archived: bool) -> None:
    stand.change("archive", archived=archived)
    found = gitlab.repository(SHOP)

    assert (found.path, found.default_branch, found.archived) == (SHOP, "master", archived)


def test_it_reads_commits_by_branch_tag_and_sha(stand: Stand, gitlab: GitLab) -> None:
    tip = stand.shop.branches["fix/payment-callback"]

    assert gitlab.commit(SHOP, "fix/payment-callback").sha == tip
    assert gitlab.commit(SHOP, tip[:8]).sha == tip
    assert gitlab.commit(SHOP, "v1.4.2").message == "Release v1.4.2"


@pytest.mark.parametrize("ref", ["", ".", "..", "no/such branch", "a%2Fb"])
def test_a_ref_that_is_none_is_not_found(gitlab: GitLab, ref: str) -> None:
    failure(NotFound, lambda: gitlab.commit(SHOP, ref))


def test_it_compares_oldest_first(gitlab: GitLab) -> None:
    found = gitlab.compare(SHOP, "v1.4.1", "fix/payment-callback")
    messages = [commit.message for commit in found.commits]

    assert messages == ["Release v1.4.2", "支付回调按流水号去重", "补充回调测试"]
    assert (found.ahead, found.cut) == (3, False)
    assert gitlab.compare(SHOP, "v1.4.1", "fix/payment-callback", limit=1).cut


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"conclusion": "success"}, CheckState.SUCCESS),
        ({"conclusion": "skipped"}, CheckState.SUCCESS),
        ({"conclusion": "failure"}, CheckState.FAILURE),
        ({"conclusion": "cancelled"}, CheckState.FAILURE),
        ({"conclusion": "action_required"}, CheckState.PENDING),
        ({"conclusion": None, "status": "queued"}, CheckState.PENDING),
        ({"conclusion": None, "status": "in_progress"}, CheckState.PENDING),
    ],
)
def test_the_newest_status_of_each_name_counts(
    stand: Stand, gitlab: GitLab, told: dict[str, Any], state: CheckState
) -> None:
    stand.change("set_check", name="unit", details_url="https://ci.example/9", **told)

    checks = {one.name: one for one in gitlab.checks(SHOP, gitlab.pull(SHOP, 233))}

    assert checks["unit"] == Check("unit", state, "https://ci.example/9")
    assert checks["lint"].state is CheckState.SUCCESS


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ([("protect", {"approvals": 1})], "GitLab asks for more approvals"),
        ([("protect", {"checks": ["e2e"]})], "a pipeline must succeed first"),
        ([("review", {"login": "zhangsan", "state": "changes"})], "a reviewer has asked for"),
        (
            [
                ("protect", {"checks": ["e2e"]}),
                ("set_check", {"name": "e2e", "conclusion": None}),
            ],
            "a pipeline is still running",
        ),
        (
            [("set_repository", {"merge_methods": ["rebase"]}), ("push", {"branch": "master"})],
            "it has to be rebased first",
        ),
    ],
)
def test_what_keeps_it_from_being_merged_is_a_phrase(
    stand: Stand, gitlab: GitLab, changes: list[tuple[str, dict[str, Any]]], phrase: str
) -> None:
    for op, arguments in changes:
        stand.change(op, **arguments)

    (block,) = gitlab.pull(SHOP, 233).blocks
    assert block.startswith(phrase)
    assert "405" in failure(Refused, lambda: merge(gitlab, head(gitlab))).sentence


def test_an_open_discussion_is_told_where_it_counts(stand: Stand, gitlab: GitLab) -> None:
    stand.change("discuss")
    assert gitlab.pull(SHOP, 233).unresolved == 0

    stand.change("protect", discussions=True)

    pull = gitlab.pull(SHOP, 233)
    assert (pull.unresolved, pull.blocks) == (1, ())


# Reviews


def test_it_approves_that_head_once(stand: Stand, gitlab: GitLab) -> None:
    sha = head(gitlab)
    assert not gitlab.approved(SHOP, 233, sha=sha)

    gitlab.approve(SHOP, 233, sha=sha)
    gitlab.approve(SHOP, 233, sha=sha)

    assert gitlab.approved(SHOP, 233, sha=sha)
    (entry,) = stand.sent("POST")
    assert entry["arguments"] == {"sha": sha}


@pytest.mark.parametrize("resets", [True, False])
def test_an_approval_does_not_outlive_a_push(stand: Stand, gitlab: GitLab, resets: bool) -> None:
    stand.change("set_repository", resets_on_push=resets)
    old = head(gitlab)
    gitlab.approve(SHOP, 233, sha=old)
    stand.change("push")

    pull = gitlab.pull(SHOP, 233)
    reviews = gitlab.reviews(SHOP, pull)

    assert reviews == (() if resets else (Review(BOT, accepted=False),))
    assert not gitlab.approved(SHOP, 233, sha=old)
    assert not gitlab.approved(SHOP, 233, sha=pull.head_sha)


def test_approvals_of_others_are_theirs(stand: Stand, gitlab: GitLab) -> None:
    stand.client("zhangsan").approve(SHOP, 233, sha=head(gitlab))

    assert gitlab.reviews(SHOP, gitlab.pull(SHOP, 233)) == (Review("zhangsan", accepted=True),)
    assert not gitlab.approved(SHOP, 233, sha=head(gitlab))


def test_ones_own_pull_request_is_not_approved(stand: Stand) -> None:
    own = stand.client("lisi")

    error = failure(Refused, lambda: own.approve(SHOP, 233, sha=head(own)))

    assert "author" in error.sentence


def test_a_401_for_an_approval_of_a_dead_token_is_the_tokens(stand: Stand) -> None:
    own = stand.client("lisi")
    sha = head(own)
    own.own_login()
    stand.fault("status", "/approve$", status=401, body='{"message":"401 Unauthorized"}')
    stand.fault("status", "/user$", status=401, body='{"message":"401 Unauthorized"}')

    failure(TokenRefused, lambda: own.approve(SHOP, 233, sha=sha))


def test_a_second_look_that_fails_does_not_hide_the_refusal(stand: Stand) -> None:
    own = stand.client("lisi")
    sha = head(own)
    own.own_login()
    stand.fault("status", "/user$", status=500, times=-1)

    failure(Refused, lambda: own.approve(SHOP, 233, sha=sha))


def test_a_moved_head_is_not_approved(stand: Stand, gitlab: GitLab) -> None:
    old = head(gitlab)
    stand.change("push")

    error = failure(HeadMoved, lambda: gitlab.approve(SHOP, 233, sha=old))

    assert (error.expected, error.found) == (old, stand.pull().head_sha)
    assert stand.sent("POST") == []


def test_tests_pass_as_a_status_of_that_name(stand: Stand, gitlab: GitLab) -> None:
    sha, url = head(gitlab), "https://portal.example/runs/1"
    assert not gitlab.tests_passed(SHOP, 233, sha=sha, name="chatops")

    gitlab.pass_tests(SHOP, 233, sha=sha, name="chatops", url=url)

    assert gitlab.tests_passed(SHOP, 233, sha=sha, name="chatops")
    found = gitlab.checks(SHOP, gitlab.pull(SHOP, 233))
    assert Check("chatops", CheckState.SUCCESS, url) in found
    stand.change("push")
    assert not gitlab.tests_passed(SHOP, 233, sha=sha, name="chatops")


# Merging


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1)])
def test_it_merges_with_the_marker(stand: Stand, gitlab: GitLab, method: str, parents: int) -> None:
    landed = merge(gitlab, head(gitlab), method=method)

    commit = stand.shop.commits[landed.sha]
    assert stand.shop.branches["master"] == landed.sha
    assert (len(commit.parents), commit.message.endswith(MARKER)) == (parents, True)
    assert gitlab.pull(SHOP, 233).merge_sha == landed.sha


def test_a_project_decides_about_rebasing(stand: Stand, gitlab: GitLab) -> None:
    sha = head(gitlab)
    failure(NotSupported, lambda: merge(gitlab, sha, method="rebase"))
    assert stand.sent("PUT") == []

    stand.change("set_repository", merge_methods=["rebase"])

    assert merge(gitlab, sha, method="rebase").sha == sha
    assert stand.shop.branches["master"] == sha


@pytest.mark.parametrize(
    ("number", "word"), [(235, "conflicts"), (236, "draft")], ids=["conflict", "draft"]
)
def test_what_cannot_be_merged_is_not_sent(
    stand: Stand, gitlab: GitLab, number: int, word: str
) -> None:
    error = failure(Refused, lambda: merge(gitlab, head(gitlab, number), number))

    assert word in error.sentence
    assert stand.sent("PUT") == []


def test_a_head_that_moved_inside_the_call_is_not_merged(stand: Stand, gitlab: GitLab) -> None:
    stand.change("hook_on_merge")

    failure(HeadMoved, lambda: merge(gitlab, head(gitlab)))

    assert stand.pull().state == "open"


def test_a_405_of_a_moved_head_is_told_as_a_moved_head(stand: Stand, gitlab: GitLab) -> None:
    """GitLab looks at the sha last."""
    stand.change("hook_on_merge")
    stand.change("hook_on_merge", do="set_draft")

    failure(HeadMoved, lambda: merge(gitlab, head(gitlab)))


def test_a_405_stays_a_refusal_when_the_second_look_fails(stand: Stand, gitlab: GitLab) -> None:
    stand.change("protect", approvals=1)
    stand.fault("status", "/merge_requests/233$", method="GET", status=500, skip=2, times=-1)

    assert "405" in failure(Refused, lambda: merge(gitlab, head(gitlab))).sentence


def test_a_200_with_an_error_is_a_refusal(stand: Stand, gitlab: GitLab) -> None:
    stand.change("merge_error", text="Something went wrong during merge")

    error = failure(Refused, lambda: merge(gitlab, head(gitlab)))

    assert "Something went wrong during merge" in error.sentence


def test_a_merge_that_runs_on_is_waited_for(stand: Stand, gitlab: GitLab) -> None:
    stand.change("slow_merge", looks=3)

    assert merge(gitlab, head(gitlab)).sha == stand.shop.branches["master"]


def test_a_merge_that_does_not_show_is_unknown(stand: Stand, gitlab: GitLab) -> None:
    stand.change("slow_merge", looks=50)

    failure(OutcomeUnknown, lambda: merge(gitlab, head(gitlab)))


@pytest.mark.parametrize("looks", [2, 50])
def test_it_looks_again_while_mergeability_is_worked_out(
    stand: Stand, gitlab: GitLab, looks: int
) -> None:
    sha = head(gitlab)
    stand.change("set_mergeable", unknown_looks=looks)
    assert gitlab.pull(SHOP, 233).mergeable is None

    assert merge(gitlab, sha).sha


def test_a_conflict_that_is_found_late_is_told_as_one(stand: Stand, gitlab: GitLab) -> None:
    sha = head(gitlab)
    stand.change("set_mergeable", unknown_looks=2, mergeable=False)

    assert "conflicts" in failure(Refused, lambda: merge(gitlab, sha)).sentence


def test_a_merge_whose_answer_is_lost_is_found_by_reading(stand: Stand, gitlab: GitLab) -> None:
    sha = head(gitlab)
    stand.fault("reset_after", "/merge$", method="PUT")

    failure(OutcomeUnknown, lambda: merge(gitlab, sha))

    pull = gitlab.pull(SHOP, 233)
    assert (pull.state, pull.head_sha) == (PullState.MERGED, sha)
    assert MARKER in gitlab.commit(SHOP, pull.merge_sha).message
    assert "merged already" in failure(Refused, lambda: merge(gitlab, sha)).sentence
    assert len(stand.sent("PUT")) == 1


def test_who_may_not_merge_is_told_so(stand: Stand) -> None:
    reader = stand.client("zhaoliu")

    assert "merge" in failure(Refused, lambda: merge(reader, head(reader))).sentence


def test_it_closes_and_reopens(stand: Stand, gitlab: GitLab) -> None:
    gitlab.close(SHOP, 233)
    assert stand.pull().state == "closed"

    gitlab.reopen(SHOP, 233)
    assert stand.pull().state == "open"


# Comments


def test_a_comment_is_written_read_and_edited(gitlab: GitLab) -> None:
    written = gitlab.comment(SHOP, 233, "Built.")
    before = gitlab.read_comment(SHOP, 233, written.id)
    gitlab.edit_comment(SHOP, 233, written.id, "Built and tested.")
    after = gitlab.read_comment(SHOP, 233, written.id)

    assert (before.author, before.body, before.edited) == (BOT, "Built.", False)
    assert (after.body, after.edited) == ("Built and tested.", True)
    assert [one.id for one in gitlab.comments(SHOP, 233)] == [written.id]


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (CLOSE, f"\\{CLOSE}"),
        (f"Hello\n{CLOSE}", f"Hello\n\\{CLOSE}"),
        ("```\n/close\n```", "```\n/close\n```"),
        ("a /close b", "a /close b"),
    ],
)
def test_no_line_of_a_comment_is_carried_out(
    stand: Stand, gitlab: GitLab, body: str, stored: str
) -> None:
    written = gitlab.comment(SHOP, 233, body)
    assert written.body == stored

    gitlab.edit_comment(SHOP, 233, written.id, f"{body}\n")

    assert stand.pull().state == "open"


def test_comments_come_newest_first_without_system_notes(stand: Stand, gitlab: GitLab) -> None:
    for body in ("one", "two", "three"):
        stand.change("comment", body=body)

    assert [one.body for one in gitlab.comments(SHOP, 233, limit=2)] == ["three", "two"]
    system = str(stand.pull().operations[0].id)
    failure(NotFound, lambda: gitlab.read_comment(SHOP, 233, system))


def test_a_comment_of_another_pull_request_is_not_found(gitlab: GitLab) -> None:
    written = gitlab.comment(SHOP, 234, "Here.")

    failure(NotFound, lambda: gitlab.read_comment(SHOP, 233, written.id))
