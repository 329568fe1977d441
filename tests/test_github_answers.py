"""The GitHub client against answers as GitHub gives them, on loopback."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from repos.errors import (
    BadAnswer,
    Forbidden,
    HeadMoved,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
    TokenRefused,
    Unavailable,
)
from repos.forges.github import GitHub
from repos.forges.resources import Check, CheckState, PullState, Review
from tests.failures import failure
from tests.loopback import Peer, Reply, Serve, answer_with, reset, serving

SHOP, HEAD, OTHER, BASE, LANDED = "acme/shop", "a" * 40, "b" * 40, "c" * 40, "d" * 40
MOVED_BASE = {"message": "Base branch was modified. Review and try the merge again."}
LOST = {"message": "Head branch was modified. Review and try the merge again."}
PULL: dict[str, Any] = {
    "number": 233,
    "title": "修复支付回调",
    "user": {"login": "lisi"},
    "state": "open",
    "draft": False,
    "mergeable": True,
    "mergeable_state": "clean",
    "head": {"sha": HEAD, "ref": "fix"},
    "base": {"sha": BASE, "ref": "master"},
    "html_url": "https://github.com/acme/shop/pull/233",
    "updated_at": "2026-11-28T08:00:00Z",
    "merged_at": None,
    "labels": [{"name": "bug"}],
}
MERGED = PULL | {"state": "closed", "merged_at": "2026-11-28T08:00:00Z", "merge_commit_sha": LANDED}
MOVED = PULL | {"head": {"sha": OTHER, "ref": "fix"}}
NODE: dict[str, Any] = {
    "number": 233,
    "title": "t",
    "isDraft": False,
    "mergeable": "MERGEABLE",
    "mergeStateStatus": "BLOCKED",
    "url": "https://github.com/acme/shop/pull/233",
    "updatedAt": "2026-11-28T08:00:00Z",
    "headRefOid": HEAD,
    "headRefName": "fix",
    "baseRefOid": BASE,
    "baseRefName": "master",
    "author": {"login": "lisi"},
    "labels": {"nodes": []},
    "latestOpinionatedReviews": {
        "pageInfo": {"hasNextPage": False},
        "nodes": [{"state": "APPROVED", "author": {"login": "bob"}, "commit": {"oid": HEAD}}],
    },
    "reviewThreads": {"nodes": [{"isResolved": False}, {"isResolved": True}]},
    "commits": {"nodes": [{"commit": {"statusCheckRollup": None}}]},
}


def says(value: Any, status: str = "200 OK", **headers: str) -> bytes:
    return answer_with(json.dumps(value).encode(), status=status, **headers)


NO_GRAPH = says({"message": "Not Found"}, "404 Not Found")


@pytest.fixture
def serve() -> Iterator[Serve]:
    yield from serving()


def client(peer: Peer) -> GitHub:
    return GitHub(base_url=f"{peer.url}/api/v3", token="t", deadline=5)


def merge(github: GitHub) -> Any:
    return github.merge(SHOP, 233, sha=HEAD, method="squash", marker="ChatOps run 1842")


def lines(peer: Peer) -> list[str]:
    return [call.line.removesuffix(" HTTP/1.1") for call in peer.calls]


def page_of(*nodes: dict[str, Any]) -> bytes:
    info = {"hasNextPage": False, "endCursor": None}
    found = {"totalCount": len(nodes), "pageInfo": info, "nodes": nodes}
    return says({"data": {"repository": {"pullRequests": found}}})


def test_it_tells_a_pull_request(serve: Serve) -> None:
    pull = client(serve(says(PULL | {"mergeable_state": "blocked"}))).pull(SHOP, 233)

    assert (pull.number, pull.author, pull.state) == (233, "lisi", PullState.OPEN)
    assert (pull.head_sha, pull.labels, pull.mergeable) == (HEAD, ("bug",), True)
    assert pull.blocks == ("GitHub's branch protection is not satisfied",)


def test_the_open_ones_come_with_checks_and_reviews_in_one_call(serve: Serve) -> None:
    peer = serve(page_of(NODE))

    found = client(peer).pulls(SHOP)

    (pull,) = found.items
    assert (found.total, found.more, pull.unresolved) == (1, False, 1)
    assert (pull.reviews, pull.checks) == ((Review("bob", accepted=True),), ())
    assert lines(peer) == ["POST /api/graphql"]


def test_where_graphql_is_refused_the_list_is_asked_for(serve: Serve) -> None:
    found = client(serve(NO_GRAPH, says([PULL]))).pulls(SHOP)

    assert [(pull.number, pull.checks) for pull in found.items] == [(233, None)]


def test_a_limit_of_graphql_is_told(serve: Serve) -> None:
    peer = serve(says({"data": None, "errors": [{"type": "RATE_LIMITED"}]}))

    failure(RateLimited, lambda: client(peer).pulls(SHOP))


def test_what_graphql_does_not_find_is_asked_for_by_rest(serve: Serve) -> None:
    missing = says({"data": {"repository": None}, "errors": [{"type": "NOT_FOUND"}]})
    peer = serve(missing, says({"message": "Not Found"}, "404 Not Found"))

    failure(NotFound, lambda: client(peer).pulls(SHOP))


def test_checks_are_runs_and_statuses(serve: Serve) -> None:
    runs = [
        {"id": 2, "name": "unit", "status": "completed", "conclusion": "success"},
        {"id": 1, "name": "unit", "status": "completed", "conclusion": "failure"},
    ]
    statuses = [{"context": "ci", "state": "pending", "target_url": None}]
    peer = serve(says(PULL), says({"check_runs": runs}), says({"statuses": statuses}))
    github = client(peer)

    found = github.checks(SHOP, github.pull(SHOP, 233))

    assert found == (Check("ci", CheckState.PENDING), Check("unit", CheckState.SUCCESS))


def test_it_merges_the_head_it_was_told(serve: Serve) -> None:
    peer = serve(says(PULL), says({"sha": LANDED, "merged": True}), says(MERGED))

    assert merge(client(peer)).sha == LANDED
    assert json.loads(peer.calls[1].body) == {
        "sha": HEAD,
        "merge_method": "squash",
        "commit_message": "ChatOps run 1842",
    }


def test_it_merges_again_when_only_the_base_moved(serve: Serve) -> None:
    no = says(MOVED_BASE, "405 Method Not Allowed")
    peer = serve(says(PULL), no, says(PULL), says({"sha": LANDED}), says(MERGED))

    assert merge(client(peer)).sha == LANDED


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ([says(MOVED)], HeadMoved),
        ([says(MERGED)], Refused),
        ([says(PULL | {"draft": True})], Refused),
        ([says(PULL | {"mergeable_state": "dirty"})], Refused),
        ([says(PULL), says(LOST, "409 Conflict"), says(MOVED)], HeadMoved),
        ([says(PULL), says({"message": "no"}, "405 Method Not Allowed")], Refused),
        ([says(PULL), says({"message": "no"}, "403 Forbidden")], Forbidden),
        ([says(PULL), says({}, "502 Bad Gateway")], OutcomeUnknown),
        ([says(PULL), reset], OutcomeUnknown),
    ],
)
def test_a_merge_that_did_not_happen_says_why(
    serve: Serve, replies: list[Reply], kind: type[RemoteError]
) -> None:
    failure(kind, lambda: merge(client(serve(*replies))))


def test_it_approves_that_commit(serve: Serve) -> None:
    me, given = says({"login": "chatops-bot"}), says({"state": "APPROVED"})
    peer = serve(says(PULL), me, says([]), given)

    client(peer).approve(SHOP, 233, sha=HEAD)

    assert json.loads(peer.calls[-1].body) == {"event": "APPROVE", "commit_id": HEAD}


def test_it_does_not_approve_its_own(serve: Serve) -> None:
    peer = serve(says(PULL), says({"login": "LiSi"}))

    error = failure(Refused, lambda: client(peer).approve(SHOP, 233, sha=HEAD))

    assert "may not approve" in error.sentence


def test_the_newest_comments_are_on_the_last_page(serve: Serve) -> None:
    link = '<https://x/?page=2>; rel="next", <https://x/?page=2>; rel="last"'
    rows = [{"id": number, "user": {"login": "bob"}, "body": "b"} for number in (1, 2, 3)]
    peer = serve(says(rows[:2], Link=link), says(rows[2:]))

    assert [row.id for row in client(peer).comments(SHOP, 233, limit=2)] == ["3", "2"]


def test_a_comment_of_another_pull_request_is_not_found(serve: Serve) -> None:
    peer = serve(says({"id": 1, "issue_url": "https://x/repos/acme/shop/issues/1233"}))

    failure(NotFound, lambda: client(peer).read_comment(SHOP, 233, "1"))


def test_an_unknown_ref_is_not_found(serve: Serve) -> None:
    peer = serve(says({"message": "No commit found for SHA: x"}, "422 Unprocessable Entity"))

    failure(NotFound, lambda: client(peer).commit(SHOP, "x"))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (says({}, "401 Unauthorized"), TokenRefused),
        (says({"message": "no"}, "403 Forbidden"), Forbidden),
        (says({}, "403 Forbidden", X_RateLimit_Remaining="0"), RateLimited),
        (says({}, "403 Forbidden", Retry_After="60"), RateLimited),
        (says({}, "429 Too Many Requests"), RateLimited),
        (says({}, "500 Internal Server Error"), Unavailable),
        (says({}), BadAnswer),
        (answer_with(b"<html>", Content_Type="text/html"), BadAnswer),
    ],
)
def test_a_strange_answer_is_told(serve: Serve, reply: bytes, kind: type[RemoteError]) -> None:
    peer = serve(reply)

    failure(kind, lambda: client(peer).pull(SHOP, 233))


def test_a_spent_limit_names_the_time(serve: Serve) -> None:
    limits = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1800000000"}
    peer = serve(says({}, "403 Forbidden", **limits))

    error = failure(RateLimited, lambda: client(peer).pull(SHOP, 233))

    assert error.until.timestamp() == 1_800_000_000
