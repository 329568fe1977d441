"""The Gitee client when it may not, when something else answers, and when nothing does."""

from typing import Any

import pytest
from django.utils import translation

from chatops_site.sandbox.client import Sandbox
from repos.errors import (
    BadAnswer,
    Forbidden,
    NotFound,
    RateLimited,
    Refused,
    RemoteError,
    TokenRefused,
    Unavailable,
)
from repos.forges.gitee import Gitee
from tests.failures import failure
from tests.gitee_client import (
    SHOP,
    box,
    client,
    gitee,
    head,
    make_ready,
    merge,
    running,
    sent,
)

__all__ = ["box", "gitee", "running"]


# What goes wrong


@pytest.mark.parametrize("token", ["demo-gitee-token-expired", "nobody-s-token"])
def test_a_token_that_is_not_accepted_is_told(box: Sandbox, token: str) -> None:
    error = failure(TokenRefused, client(box, token).whoami)

    assert error.sentence == ("Gitee refuses the portal's token. An operator has to set a new one.")
    assert token not in str(error) + error.detail


def test_a_repository_that_is_hidden_is_like_one_that_is_not_there(box: Sandbox) -> None:
    outsider = client(box, "demo-gitee-token-outsider")

    hidden = failure(NotFound, lambda: outsider.pull(SHOP, 233))
    missing = failure(NotFound, lambda: client(box).pull(SHOP, 999))

    assert hidden.sentence == (
        "Gitee has no acme/shop#233, or the portal's account may not see it."
    )
    assert "acme/shop#999" in missing.sentence


def test_an_account_that_may_only_read_is_told_what_it_may_not(box: Sandbox) -> None:
    make_ready(box)
    reader = client(box, "demo-gitee-token-zhaoliu")
    sha = head(reader)

    error = failure(Forbidden, lambda: merge(reader, sha))

    assert error.sentence == (
        "The portal's account at Gitee may not do this with acme/shop#233 "
        "(“403 Forbidden: 没有该仓库的推送权限”)."
    )


def test_slow_down_names_the_time(box: Sandbox, gitee: Gitee) -> None:
    box.fault("gitee", "e429", retry_after=120)
    error = failure(RateLimited, lambda: gitee.pull(SHOP, 233))
    box.fault("gitee", "status", status=403, body='{"message": "请求过于频繁"}')
    chinese = failure(RateLimited, lambda: gitee.pull(SHOP, 233))

    assert error.until is not None
    assert error.retryable
    assert chinese.sentence.startswith("Gitee asks the portal to slow down.")


def test_a_merge_that_is_told_to_slow_down_changed_nothing(box: Sandbox, gitee: Gitee) -> None:
    make_ready(box)
    sha = head(gitee)
    box.fault("gitee", "e429", method="PUT")

    error = failure(RateLimited, lambda: merge(gitee, sha))

    assert not error.maybe_applied
    assert len(sent(box)) == 1


READ_FAULTS: list[tuple[str, dict[str, Any], type[RemoteError], str]] = [
    ("html200", {}, BadAnswer, "Gitee gave no answer that can be used. The answer"),
    ("badjson", {}, BadAnswer, "calls itself JSON but cannot be read as such."),
    ("huge", {"megabytes": 3}, BadAnswer, "The answer is larger than 2000000 bytes."),
    ("redirect", {}, BadAnswer, "which the portal does not follow"),
    ("status", {"status": 500}, Unavailable, "Gitee answered 500."),
    ("status", {"status": 200, "body": "{}"}, BadAnswer, "lacks what the portal needs"),
    ("status", {"status": 200, "body": "[]"}, BadAnswer, "lacks what the portal needs"),
    ("status", {"status": 418}, Refused, "Gitee refused it for acme/shop#233 (“Internal"),
]


@pytest.mark.parametrize(("mode", "options", "kind", "words"), READ_FAULTS)
def test_a_strange_answer_to_a_question_is_told(
    box: Sandbox,
    gitee: Gitee,
    mode: str,
    options: dict[str, Any],
    kind: type[RemoteError],
    words: str,
) -> None:
    box.fault("gitee", mode, times=-1, **options)

    error = failure(kind, lambda: gitee.pull(SHOP, 233))

    assert words in error.sentence
    assert not error.maybe_applied


@pytest.mark.parametrize("mode", ["reset_before", "close_mid"])
def test_a_question_is_asked_again_after_a_passing_fault(
    box: Sandbox, gitee: Gitee, mode: str
) -> None:
    box.fault("gitee", mode)

    assert gitee.pull(SHOP, 233).number == 233


def test_a_question_that_hangs_ends_at_the_deadline(box: Sandbox) -> None:
    box.fault("gitee", "hang", times=-1)

    error = failure(Unavailable, lambda: client(box, deadline=0.2).pull(SHOP, 233))

    assert error.sentence == "Gitee did not answer in time. Try again in a moment."


def test_where_nobody_listens_nothing_was_sent() -> None:
    nobody = Gitee(base_url="http://127.0.0.1:9/api/v5", token="t", deadline=2)

    error = failure(Unavailable, lambda: nobody.comment(SHOP, 233, "hello"))

    assert error.sentence == "Gitee cannot be reached, nothing was sent. Try again in a moment."


def test_an_address_that_is_not_allowed_is_told() -> None:
    inside = Gitee(base_url="http://10.0.0.1/api/v5", token="t")

    error = failure(Refused, lambda: inside.comment(SHOP, 233, "hello"))

    assert "an operator can allow it with OUTGOING_ALLOW" in error.sentence


def test_a_token_with_a_line_break_is_never_sent() -> None:
    broken = Gitee(base_url="http://127.0.0.1:9/api/v5", token="secret\nX: y")

    error = failure(Refused, lambda: broken.comment(SHOP, 233, "hello"))

    assert "Was something pasted along with it?" in error.sentence
    assert "secret" not in error.sentence


def test_people_read_it_in_their_language(box: Sandbox, gitee: Gitee) -> None:
    with translation.override("zh-hans"):
        error = failure(NotFound, lambda: gitee.pull(SHOP, 999))

    assert error.sentence == "Gitee 上没有 acme/shop#999，或者门户的账号看不到它。"
