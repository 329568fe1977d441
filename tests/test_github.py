"""The GitHub client against the GitHub stand-in, from reading to merging."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chatops_site.sandbox.github import make_hook
from chatops_site.sandbox.hooks import SECRET, Terms
from chatops_site.sandbox.records import Happening
from repos.errors import (
    Forbidden,
    HeadMoved,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
    TokenRefused,
)
from repos.forges.events import Happened, Hook, HookRejected
from repos.forges.github import GitHub
from repos.forges.resources import Check, CheckState, PullState, Review
from tests import forge_stand
from tests.failures import failure
from tests.forge_stand import BOT, MARKER, NOBODY, SHOP, approve, merge

Stand = forge_stand.Stand[GitHub]
running, stand = forge_stand.fixtures(Stand, GitHub)


# Reading


def test_it_tells_whose_the_token_is(stand: Stand) -> None:
    who = stand.client().whoami()

    assert (who.login, who.name) == (BOT, "ChatOps")


def test_it_reads_a_pull_request(stand: Stand) -> None:
    pull = stand.client().pull(SHOP, 233)

    assert (pull.author, pull.state, pull.draft, pull.mergeable) == (
        "lisi",
        PullState.OPEN,
        False,
        True,
    )
    assert (pull.head_sha, pull.base_ref) == (stand.pull().head_sha, "master")
    assert pull.url == f"{stand.origin}/acme/shop/pull/233"


def test_the_list_of_open_ones_tells_checks_reviews_and_conflicts(stand: Stand) -> None:
    approve(stand)

    found = stand.client().pulls(SHOP)

    assert [pull.number for pull in found.items] == [236, 235, 234, 233]
    assert (found.total, found.more) == (4, False)
    pulls = {pull.number: pull for pull in found.items}
    assert (pulls[235].mergeable, pulls[236].draft) == (False, True)
    assert pulls[235].checks == (
        Check("unit", CheckState.FAILURE),
        Check("lint", CheckState.SUCCESS),
    )
    assert pulls[233].reviews == (Review(BOT, accepted=True),)


def test_a_long_list_is_read_page_after_page(stand: Stand) -> None:
    stand.change("open_pull", count=60)

    found = stand.client().pulls(SHOP, limit=100)

    assert (len(found.items), found.total, found.more) == (64, 64, False)
    assert len(stand.client().pulls(SHOP, limit=30).items) == 30


@pytest.mark.parametrize("state", [PullState.MERGED, PullState.CLOSED])
def test_merged_and_closed_ones_are_told_apart(stand: Stand, state: PullState) -> None:
    merge(stand, 233)
    stand.change("close_pull", 234)

    numbers = [pull.number for pull in stand.client().pulls(SHOP, state=state).items]

    assert numbers == [233 if state is PullState.MERGED else 234]


def test_open_conversations_count_where_they_hold_up_a_merge(stand: Stand) -> None:
    stand.change("discuss")
    assert stand.client().pulls(SHOP).items[-1].unresolved == 0

    stand.change("protect", discussions=True)
    pull = stand.client().pulls(SHOP).items[-1]

    assert (pull.unresolved, pull.blocks) == (1, ("GitHub's branch protection is not satisfied",))


def test_checks_are_runs_and_statuses_the_newest_of_each(stand: Stand) -> None:
    stand.change("set_check", name="unit", conclusion="failure")
    stand.change("set_check", name="ci", kind="status", conclusion=None)
    client = stand.client()

    found = client.checks(SHOP, client.pull(SHOP, 233))

    assert {row.name: row.state for row in found} == {
        "ci": CheckState.PENDING,
        "unit": CheckState.FAILURE,
        "lint": CheckState.SUCCESS,
    }


def test_it_names_the_checks_that_a_branch_requires(stand: Stand) -> None:
    assert stand.client().required_checks(SHOP, "master") == ()

    stand.change("protect", checks=["unit", "e2e"])

    assert stand.client().required_checks(SHOP, "master") == ("unit", "e2e")
    assert stand.client().required_checks(SHOP, "nowhere") is None


def test_of_reviews_the_last_word_counts_and_only_on_the_head(stand: Stand) -> None:
    stand.change("review", login="wangfang", state="changes")
    stand.change("review", login="zhangsan")
    stand.change("push")
    stand.change("review", login="wangfang", state="approved")
    stand.change("review", login="wangfang", state="commented")
    client = stand.client()

    found = client.reviews(SHOP, client.pull(SHOP, 233))

    assert set(found) == {Review("wangfang", accepted=True), Review("zhangsan", accepted=False)}


def test_it_lists_the_repositories_and_searches_them(stand: Stand) -> None:
    client = stand.client()

    assert [row.path for row in client.repositories().items] == [SHOP, "acme/web"]
    assert [row.path for row in client.repositories(search="SHOP").items] == [SHOP]
    assert client.repository(SHOP).default_branch == "master"
    assert stand.client("outsider").repositories().items == ()


def test_it_reads_commits_by_branch_tag_and_sha(stand: Stand) -> None:
    client, head = stand.client(), stand.pull().head_sha

    assert client.commit(SHOP, "fix/payment-callback").sha == head
    assert client.commit(SHOP, head).author == "lisi"
    assert client.commit(SHOP, "v1.4.2").message == "Release v1.4.2"
    failure(NotFound, lambda: client.commit(SHOP, "nowhere"))


def test_it_compares_oldest_first_and_cuts_the_oldest(stand: Stand) -> None:
    for number in range(104):
        stand.change("push", message=f"Change {number}")

    found = stand.client().compare(SHOP, "master", "fix/payment-callback", limit=3)

    assert (found.ahead, found.cut) == (106, True)
    assert [row.message for row in found.commits] == ["Change 101", "Change 102", "Change 103"]


# Comments, approval, tests


def test_it_comments_reads_and_edits(stand: Stand) -> None:
    client = stand.client()
    for number in range(101):
        stand.change("comment", body=f"note {number}")

    mine = client.comment(SHOP, 233, "合并中")
    client.edit_comment(SHOP, 233, mine.id, "已合并")

    assert client.read_comment(SHOP, 233, mine.id).body == "已合并"
    bodies = [row.body for row in client.comments(SHOP, 233, limit=3)]
    assert bodies == ["已合并", "note 100", "note 99"]
    failure(NotFound, lambda: client.read_comment(SHOP, 234, mine.id))


def test_it_approves_once(stand: Stand) -> None:
    approve(stand)
    approve(stand)

    client, pull = stand.client(), stand.pull()
    assert [(row.login, row.sha) for row in pull.reviews] == [(BOT, pull.head_sha)]
    assert client.approved(SHOP, 233, sha=pull.head_sha)
    stand.change("push")
    assert not client.approved(SHOP, 233, sha=stand.pull().head_sha)


def test_it_does_not_approve_its_own_or_another_head(stand: Stand) -> None:
    error = failure(Refused, lambda: approve(stand, login="lisi"))
    assert "may not approve" in error.sentence

    failure(HeadMoved, lambda: stand.client().approve(SHOP, 233, sha=NOBODY))
    assert stand.pull().reviews == []


def test_it_passes_the_tests_of_a_head(stand: Stand) -> None:
    client, sha, url = stand.client(), stand.pull().head_sha, "https://ci.example/1"
    assert not client.tests_passed(SHOP, 233, sha=sha, name="chatops")

    client.pass_tests(SHOP, 233, sha=sha, name="chatops", url=url)

    assert client.tests_passed(SHOP, 233, sha=sha, name="chatops")
    assert Check("chatops", CheckState.SUCCESS, url) in client.checks(SHOP, client.pull(SHOP, 233))
    failure(HeadMoved, lambda: client.pass_tests(SHOP, 233, sha=NOBODY, name="chatops", url=url))


def test_it_closes_and_reopens(stand: Stand) -> None:
    stand.client().close(SHOP, 233)
    assert stand.pull().state == "closed"

    stand.client().reopen(SHOP, 233)
    assert stand.pull().state == "open"


# Merging


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1), ("rebase", 1)])
def test_it_merges_by_each_method(stand: Stand, method: str, parents: int) -> None:
    landed = merge(stand, method=method)

    commit = stand.world.repository(SHOP).commits[landed.sha]
    assert landed.sha == stand.pull().merge_sha
    assert len(commit.parents) == parents
    assert (MARKER in commit.message) == (method != "rebase")


def test_it_waits_until_mergeability_is_known(stand: Stand) -> None:
    stand.change("set_mergeable", mergeable=False, unknown_looks=1)

    assert "conflicts" in failure(Refused, lambda: merge(stand)).sentence


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("set_draft", {}, "draft"),
    ("set_mergeable", {"mergeable": False}, "conflicts"),
    ("close_pull", {}, "closed"),
    ("merge_elsewhere", {}, "merged already"),
    ("protect", {"approvals": 1}, "At least 1 approving review"),
    ("protect", {"checks": ["e2e"]}, "e2e"),
    ("set_repository", {"merge_methods": ["squash"]}, "Merge commits are not allowed"),
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


def test_a_head_that_moves_before_or_inside_the_call_is_not_merged(stand: Stand) -> None:
    failure(HeadMoved, lambda: merge(stand, sha=NOBODY))
    assert stand.sent() == []

    stand.change("hook_on_merge", do="push")
    error = failure(HeadMoved, lambda: merge(stand))

    assert error.found == stand.pull().head_sha
    assert stand.pull().state == "open"


def test_it_sends_again_when_only_the_base_moved(stand: Stand) -> None:
    body = '{"message": "Base branch was modified. Review and try the merge again."}'
    stand.faults.add("github", mode="status", method="PUT", status=405, body=body)

    merge(stand)

    assert [entry["status"] for entry in stand.sent()] == [405, 200]


def test_a_base_that_never_rests_ends_in_a_refusal(stand: Stand) -> None:
    body = '{"message": "Base branch was modified. Review and try the merge again."}'
    stand.faults.add("github", mode="status", method="PUT", status=405, body=body, times=-1)

    error = failure(Refused, lambda: merge(stand))

    assert "Base branch was modified" in error.sentence
    assert len(stand.sent()) == 3


@pytest.mark.parametrize("mode", ["reset_after", "close_mid"])
def test_a_merge_whose_answer_is_lost_is_found_by_reading(stand: Stand, mode: str) -> None:
    stand.faults.add("github", mode=mode, method="PUT")

    failure(OutcomeUnknown, lambda: merge(stand))

    pull = stand.client().pull(SHOP, 233)
    assert (pull.state, pull.merge_sha) == (PullState.MERGED, stand.pull().merge_sha)
    assert len(stand.sent()) == 1


# Who may, and what is not there


ASKED: list[Callable[[GitHub], object]] = [
    lambda client: client.pulls(SHOP),
    lambda client: client.pull(SHOP, 233),
    lambda client: client.repository(SHOP),
]


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize(("login", "kind"), [("outsider", NotFound), ("nobody", TokenRefused)])
def test_tokens_that_see_nothing(
    stand: Stand, ask: Callable[[GitHub], object], login: str, kind: type[RemoteError]
) -> None:
    failure(kind, lambda: ask(stand.client(login)))


@pytest.mark.parametrize("ask", ASKED)
def test_a_renamed_repository_says_that_it_has_moved(
    stand: Stand, ask: Callable[[GitHub], object]
) -> None:
    stand.change("rename", to="acme/store")

    assert "has moved" in failure(NotFound, lambda: ask(stand.client())).sentence


def test_a_reader_may_not_merge(stand: Stand) -> None:
    sha = stand.pull().head_sha
    client = stand.client("zhaoliu")

    failure(
        Forbidden,
        lambda: client.merge(SHOP, 233, sha=sha, method="merge", marker=MARKER),
    )


def test_an_expired_token_is_refused(stand: Stand) -> None:
    failure(TokenRefused, lambda: stand.client("expired").whoami())


LIMITS: list[tuple[int, dict[str, str], bool]] = [
    (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000000"}, True),
    (403, {"Retry-After": "60"}, True),
    (429, {}, False),
]


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize(("status", "headers", "timed"), LIMITS)
def test_limits_are_told_with_their_time(
    stand: Stand,
    ask: Callable[[GitHub], object],
    status: int,
    headers: dict[str, str],
    timed: bool,
) -> None:
    stand.faults.add("github", mode="status", status=status, headers=headers, times=-1)

    error = failure(RateLimited, lambda: ask(stand.client()))

    assert (error.until is not None) == timed


# Webhooks

HAPPENINGS: list[tuple[str, dict[str, Any], Happened]] = [
    ("open_pull", {}, Happened.OPENED),
    ("push", {}, Happened.PUSHED),
    ("close_pull", {}, Happened.CLOSED),
    ("merge_elsewhere", {}, Happened.MERGED),
    ("comment", {"body": "/merge"}, Happened.COMMENTED),
    ("review", {"login": BOT}, Happened.NOTHING),
]


@pytest.mark.parametrize(("op", "arguments", "happened"), HAPPENINGS)
def test_what_the_stand_in_sends_is_believed(
    stand: Stand, op: str, arguments: dict[str, Any], happened: Happened
) -> None:
    told = list[Happening]()
    stand.world.listeners.append(told.append)
    stand.change(op, **arguments)
    stand.world.listeners.remove(told.append)

    hook = packed(stand, told[-1], Terms())
    event = GitHub.receive(hook, secret=SECRET, now=datetime.now(UTC))

    assert event.happened is happened
    assert event.path == ("" if happened is Happened.NOTHING else SHOP)


def test_what_is_signed_with_another_secret_is_not(stand: Stand) -> None:
    opened = Happening("opened", stand.world.repository(SHOP), stand.pull(), "lisi")
    hook = packed(stand, opened, Terms(spoilt=True))

    with pytest.raises(HookRejected):
        GitHub.receive(hook, secret=SECRET, now=datetime.now(UTC))


def packed(stand: Stand, happening: Happening, terms: Terms) -> Hook:
    packet = make_hook(stand.world, happening, terms, stand.origin)
    assert packet is not None
    return Hook({name.lower(): value for name, value in packet.headers.items()}, packet.body)
