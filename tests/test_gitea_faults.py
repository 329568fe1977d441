"""What the Gitea client makes of refusals, of broken answers and of none."""

from collections.abc import Callable
from typing import Any

import pytest

from repos.errors import (
    BadAnswer,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
    TokenRefused,
    Unavailable,
)
from repos.forges.gitea import Gitea
from tests.failures import failure
from tests.forge_stand import SHOP, approve, merge
from tests.gitea_stand import Stand, pass_tests, running, stand, undescribed

__all__ = ["running", "stand"]


# Who may, and what is not there


Ask = Callable[[Gitea], object]
READS: list[Ask] = [
    lambda client: client.repository(SHOP),
    lambda client: client.pulls(SHOP),
    lambda client: client.pull(SHOP, 233),
    lambda client: client.comments(SHOP, 233),
]


@pytest.mark.parametrize("ask", READS)
@pytest.mark.parametrize(
    ("login", "kind"), [("outsider", NotFound), ("nobody", TokenRefused), ("expired", TokenRefused)]
)
def test_tokens_that_see_nothing(
    stand: Stand, ask: Ask, login: str, kind: type[RemoteError]
) -> None:
    failure(kind, lambda: ask(stand.client(login)))


@pytest.mark.parametrize(
    "act",
    [
        lambda stand: merge(stand, login="zhaoliu"),
        lambda stand: pass_tests(stand, login="zhaoliu"),
        lambda stand: stand.client("zhaoliu").close(SHOP, 233),
    ],
)
def test_a_reader_may_change_nothing(stand: Stand, act: Callable[[Stand], object]) -> None:
    failure(Forbidden, lambda: act(stand))

    assert stand.pull().state == "open"


@pytest.mark.parametrize("ask", READS)
def test_a_renamed_repository_is_not_followed(stand: Stand, ask: Ask) -> None:
    stand.change("rename", to="acme/store")

    assert "has moved" in failure(NotFound, lambda: ask(stand.client())).sentence
    failure(Refused, lambda: stand.client().comment(SHOP, 233, "Hello"))


def test_a_pull_request_that_is_not_there_is_told(stand: Stand) -> None:
    error = failure(NotFound, lambda: stand.client().pull(SHOP, 4))

    assert error.sentence.startswith("Gitea has no acme/shop#4")


ANSWERS: list[tuple[str, dict[str, Any], type[RemoteError]]] = [
    ("html200", {}, BadAnswer),
    ("badjson", {}, BadAnswer),
    ("huge", {"megabytes": 3}, BadAnswer),
    ("status", {"status": 200, "body": "[1]"}, BadAnswer),
    ("status", {"status": 200, "body": "{}"}, BadAnswer),
    ("redirect", {}, BadAnswer),
    ("close_mid", {}, Unavailable),
    ("status", {"status": 500}, Unavailable),
    ("status", {"status": 423}, Refused),
    ("status", {"status": 403, "body": ""}, Forbidden),
    ("status", {"status": 429}, RateLimited),
]


@pytest.mark.parametrize("ask", READS[:3])
@pytest.mark.parametrize(("mode", "options", "kind"), ANSWERS)
def test_a_read_that_gets_no_proper_answer_says_so(
    stand: Stand, ask: Ask, mode: str, options: dict[str, Any], kind: type[RemoteError]
) -> None:
    stand.fault(mode, times=-1, **options)

    failure(kind, lambda: ask(stand.client()))


def test_a_limit_in_front_of_gitea_is_told_with_its_time(stand: Stand) -> None:
    stand.fault("e429", times=-1, retry_after=600)

    assert failure(RateLimited, lambda: stand.client().whoami()).until is not None


WRITES: list[tuple[str, Callable[[Stand], object]]] = [
    (r"/reviews$", approve),
    (r"/statuses/", pass_tests),
    (r"/issues/233/comments$", lambda stand: stand.client().comment(SHOP, 233, "Hi")),
    (r"/issues/comments/", lambda stand: stand.client().edit_comment(SHOP, 233, "7", "Hi")),
]


@pytest.mark.parametrize(("path", "act"), WRITES)
@pytest.mark.parametrize("mode", ["html200", "reset_after", "status"])
def test_a_change_that_is_not_confirmed_may_have_happened(
    stand: Stand, path: str, act: Callable[[Stand], object], mode: str
) -> None:
    for method in ("POST", "PATCH"):
        stand.fault(mode, path, method=method)

    assert failure(OutcomeUnknown, lambda: act(stand)).maybe_applied


# What it asks for


def test_every_request_is_one_that_gitea_describes(stand: Stand) -> None:
    """Those of the tests above, as far as they have run."""
    stand.client().pull(SHOP, 233)

    assert undescribed(stand) == []
