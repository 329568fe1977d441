"""The GitLab client when it may not, and when something else answers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from repos.errors import (
    Forbidden,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    TokenRefused,
    Unavailable,
)
from repos.forges.gitlab import GitLab
from tests.failures import failure
from tests.forge_stand import SHOP
from tests.gitlab_stand import Stand, gitlab, head, merge, running, stand

__all__ = ["gitlab", "running", "stand"]


def test_a_renamed_repository_has_moved(stand: Stand, gitlab: GitLab) -> None:
    stand.change("rename", to="acme/store")

    assert "renamed" in failure(NotFound, lambda: gitlab.repository(SHOP)).sentence
    assert "renamed" in failure(NotFound, lambda: gitlab.pull(SHOP, 233)).sentence
    failure(Refused, lambda: gitlab.comment(SHOP, 233, "Hello"))
    assert gitlab.pull("acme/store", 233).number == 233


def test_an_archived_repository_takes_nothing(stand: Stand, gitlab: GitLab) -> None:
    sha = head(gitlab)
    stand.change("archive")

    failure(Forbidden, lambda: gitlab.comment(SHOP, 233, "Hello"))
    failure(Forbidden, lambda: gitlab.approve(SHOP, 233, sha=sha))
    failure(Forbidden, lambda: merge(gitlab, sha))


@pytest.mark.parametrize("token", ["wrong", "demo-gitlab-token-expired"])
def test_a_token_that_does_not_count_is_refused(stand: Stand, token: str) -> None:
    failure(TokenRefused, lambda: stand.client(token=token).pull(SHOP, 233))


def test_what_the_token_may_not_see_is_not_there(stand: Stand) -> None:
    failure(NotFound, lambda: stand.client("outsider").pull(SHOP, 233))


def test_a_limit_in_plain_text_tells_its_end(stand: Stand, gitlab: GitLab) -> None:
    end = datetime(2031, 5, 1, tzinfo=UTC)
    headers = {"RateLimit-Reset": str(int(end.timestamp()))}
    plain: dict[str, Any] = {"status": 429, "body": "Retry later\n", "content_type": "text/plain"}
    stand.fault("status", times=2, headers=headers, **plain)
    stand.fault("status", **plain)

    assert failure(RateLimited, lambda: gitlab.pull(SHOP, 233)).until == end
    assert failure(RateLimited, lambda: gitlab.comment(SHOP, 233, "Hello")).until == end
    assert failure(RateLimited, lambda: gitlab.pull(SHOP, 233)).until is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"message":"400 Bad request"}', "400 Bad request"),
        ('{"error":"state does not have a valid value"}', "state does not have a valid value"),
        ('{"message":{"base":["is too long"]}}', "base is too long"),
    ],
)
def test_each_shape_of_an_error_is_quoted(
    stand: Stand, gitlab: GitLab, body: str, reason: str
) -> None:
    stand.fault("status", "/notes$", status=400, body=body)

    assert reason in failure(Refused, lambda: gitlab.comment(SHOP, 233, "Hello")).sentence


def test_a_server_that_fails_leaves_a_change_unknown(stand: Stand, gitlab: GitLab) -> None:
    stand.fault("status", "/notes$", status=502, times=-1)

    failure(OutcomeUnknown, lambda: gitlab.comment(SHOP, 233, "Hello"))
    failure(Unavailable, lambda: gitlab.comments(SHOP, 233))
