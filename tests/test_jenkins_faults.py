"""The Jenkins client when something else answers, when it may not, and when logs are long."""

import json
from typing import Any

import pytest
from django.utils import translation

from chatops_site.sandbox.client import Sandbox
from repos.console import last_lines
from repos.errors import (
    BadAnswer,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
    TokenRefused,
    Unavailable,
)
from repos.jenkins import LOG_CAP, LOG_WINDOW, Jenkins
from tests.failures import failure
from tests.jenkins_client import TEST, box, built, client, jenkins, running, sent, until

__all__ = ["box", "jenkins", "running"]

NOT_JENKINS = (
    "What answered at this address is not Jenkins (a proxy or a login page?). "
    "An operator should check the address in the portal."
)
NO_TOKEN = (
    "Jenkins does not accept the portal's user name and API token. An operator has to set new ones."
)


# What answers, and whom it knows


def test_an_answer_without_x_jenkins_is_not_jenkins(box: Sandbox, jenkins: Jenkins) -> None:
    box.fault("jenkins", "status", status=200, body='{"name": "shop-test"}')

    assert failure(BadAnswer, lambda: jenkins.describe(TEST)).sentence == NOT_JENKINS


def test_a_wrong_token_is_told_and_never_shown(box: Sandbox) -> None:
    wrong = client(box, "bot", "stolen-token")

    error = failure(TokenRefused, wrong.whoami)

    assert error.sentence == NO_TOKEN
    assert "stolen-token" not in str(error) + error.detail + repr(vars(wrong)["_http"])


def test_the_login_page_that_jenkins_shows_to_nobody_is_told(
    box: Sandbox, jenkins: Jenkins
) -> None:
    headers = {"X-You-Are-Authenticated-As": "anonymous", "X-Required-Permission": "Read"}
    options: dict[str, Any] = {"status": 403, "content_type": "text/html", "headers": headers}
    box.fault("jenkins", "status", body="<html>Authentication required</html>", **options)

    assert failure(TokenRefused, lambda: jenkins.describe(TEST)).sentence == NO_TOKEN


def test_an_anonymous_whoami_is_told(box: Sandbox, jenkins: Jenkins) -> None:
    body = json.dumps({"name": "anonymous", "anonymous": True})
    box.fault("jenkins", "status", status=200, body=body, headers={"X-Jenkins": "2.1"})

    assert failure(TokenRefused, jenkins.whoami).sentence == NO_TOKEN


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_to_the_login_page_is_a_refused_token(
    box: Sandbox, jenkins: Jenkins, method: str
) -> None:
    box.fault("jenkins", "redirect", method=method, location="/jenkins/login?from=%2Fjob")

    assert failure(TokenRefused, lambda: jenkins.trigger(TEST, {})).sentence == NO_TOKEN


def test_who_may_read_nothing_sees_no_job(box: Sandbox) -> None:
    stranger = client(box, "stranger", "demo-stranger-token")

    error = failure(NotFound, lambda: stranger.describe(TEST))

    assert "or the portal's account may not see it" in error.sentence


def test_a_starting_jenkins_is_told_and_changes_nothing(box: Sandbox, jenkins: Jenkins) -> None:
    page = "<html>Jenkins is getting ready to work</html>"
    box.fault("jenkins", "status", method="POST", status=503, body=page, content_type="text/html")
    changing = failure(Unavailable, lambda: jenkins.trigger(TEST, {}))
    box.change_jenkins("restart", seconds=30)
    reading = failure(Unavailable, lambda: client(box, deadline=0.3).describe(TEST))

    for error in (changing, reading):
        assert error.sentence == (
            "Jenkins is still starting. Nothing was changed; try again in a minute."
        )
        assert not error.maybe_applied


READ_FAULTS: list[tuple[str, dict[str, Any], type[RemoteError], str]] = [
    ("html200", {}, BadAnswer, "is not Jenkins"),
    ("badjson", {}, BadAnswer, "is not Jenkins"),
    ("huge", {"megabytes": 3}, BadAnswer, "The answer is larger than 2000000 bytes."),
    ("redirect", {}, BadAnswer, "which the portal does not follow"),
    ("status", {"status": 500}, Unavailable, "Jenkins answered 500."),
    ("status", {"status": 429}, RateLimited, "asks the portal to slow down"),
    (
        "status",
        {"status": 200, "body": "{}", "headers": {"X-Jenkins": "2"}},
        BadAnswer,
        "lacks what",
    ),
    ("status", {"status": 418}, Refused, "Jenkins refused team/shop-test #1 (“418”)."),
]


@pytest.mark.parametrize(("mode", "options", "kind", "words"), READ_FAULTS)
def test_a_strange_answer_to_a_question_is_told(
    box: Sandbox,
    jenkins: Jenkins,
    mode: str,
    options: dict[str, Any],
    kind: type[RemoteError],
    words: str,
) -> None:
    box.fault("jenkins", mode, times=-1, **options)

    error = failure(kind, lambda: jenkins.build(TEST, 1))

    assert words in error.sentence
    assert not error.maybe_applied


def test_a_question_that_hangs_ends_at_the_deadline(box: Sandbox) -> None:
    box.fault("jenkins", "hang", times=-1)

    error = failure(Unavailable, lambda: client(box, deadline=0.2).build(TEST, 1))

    assert error.sentence == "Jenkins did not answer in time. Try again in a moment."


def test_a_trigger_that_hangs_is_unknown(box: Sandbox) -> None:
    box.fault("jenkins", "hang", method="POST")

    error = failure(OutcomeUnknown, lambda: client(box, deadline=0.3).trigger(TEST, {}))

    assert error.maybe_applied
    assert len(sent(box)) == 1


def test_where_nobody_listens_nothing_was_sent() -> None:
    nobody = Jenkins(base_url="http://127.0.0.1:9/jenkins", username="bot", token="t", deadline=2)

    error = failure(Unavailable, lambda: nobody.stop(TEST, 1))

    assert error.sentence == "Jenkins cannot be reached, nothing was sent. Try again in a moment."


def test_people_read_it_in_their_language(jenkins: Jenkins) -> None:
    with translation.override("zh-hans"):
        error = failure(Refused, lambda: jenkins.trigger(TEST, {"BRANCH": "x"}))

    assert error.sentence == ("team/shop-test 没有参数 BRANCH，可用的参数：PR, SHA, CHATOPS_ID。")


# Logs


def finish(box: Sandbox, jenkins: Jenkins, **plan: Any) -> None:
    box.change_jenkins("set_job", path=TEST, **plan)
    built(jenkins, TEST, jenkins.trigger(TEST, {}))


def test_it_shows_the_last_lines_without_hidden_notes(box: Sandbox, jenkins: Jenkins) -> None:
    finish(box, jenkins, log=["构建 …", "\x1b[31mred\x1b[0m and plain", "50%\r100% done"])

    lines = jenkins.log_tail(TEST, 1)

    assert lines[-5:-1] == (
        "构建 …",
        "red and plain",
        "100% done",
        "[Pipeline] End of Pipeline",
    )
    assert lines[-1] == "Finished: SUCCESS"
    assert not any("\x1b" in line or "ha:" in line for line in lines)


def test_a_short_log_is_one_call_and_the_wanted_lines(box: Sandbox, jenkins: Jenkins) -> None:
    finish(box, jenkins)
    before = box.journal("jenkins")[-1]["n"]

    assert jenkins.log_tail(TEST, 1, lines=1) == ("Finished: SUCCESS",)
    assert len(box.journal("jenkins", since=before)) == 1


def test_of_a_very_long_log_only_the_end_is_read(box: Sandbox, jenkins: Jenkins) -> None:
    finish(box, jenkins, log={"megabytes": 50})
    before = box.journal("jenkins")[-1]["n"]

    lines = jenkins.log_tail(TEST, 1)

    calls = box.journal("jenkins", since=before)
    assert [call["method"] for call in calls] == ["GET", "HEAD", "GET"]
    assert int(calls[-1]["arguments"]["start"]) > 49_000_000
    assert len(lines) == 20
    assert lines[-1] == "Finished: SUCCESS"


def test_a_server_that_sends_nothing_beyond_the_end_is_asked_again(
    box: Sandbox, jenkins: Jenkins
) -> None:
    finish(box, jenkins, log=["one", "two"])
    size = {"X-Text-Size": "100"}
    text = "text/plain; charset=utf-8"
    box.fault("jenkins", "status", status=200, body="", headers=size, content_type=text)

    assert jenkins.log_tail(TEST, 1, lines=1) == ("Finished: SUCCESS",)


def test_a_page_instead_of_a_log_is_not_shown_as_one(box: Sandbox, jenkins: Jenkins) -> None:
    finish(box, jenkins)
    box.fault("jenkins", "html200")

    assert failure(BadAnswer, lambda: jenkins.log_tail(TEST, 1)).sentence == NOT_JENKINS


def test_a_growing_log_ends_before_a_character_that_is_half_written(
    box: Sandbox, jenkins: Jenkins
) -> None:
    box.change_jenkins("set_job", path=TEST, duration=2)
    triggered = jenkins.trigger(TEST, {})
    until(lambda: jenkins.build_of(TEST, triggered.queue_id))

    for _look in range(10):
        assert not any("�" in line for line in jenkins.log_tail(TEST, 1))


@pytest.mark.parametrize(
    ("raw", "from_start", "lines"),
    [
        (b"", True, ()),
        (b"\n", True, ("",)),
        (b"one\r\ntwo\r\n", True, ("one", "two")),
        (b"cut\none\ntwo", False, ("one", "two")),
        ("构建".encode()[1:], False, ("建",)),
        ("cut\n构建".encode()[:-1], False, ("构",)),
        (b"4a==\x1b[0mcut\n\x1b[8mha:////4AAA=\x1b[0mStarted", False, ("Started",)),
        (b"\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b(Bok\x00\x7f", True, ("link ok",)),
        (b"\xff\xfeodd", True, ("��odd",)),
        (b"x" * 5_000, True, ("x" * 1_000,)),
    ],
)
def test_lines_are_cut_and_cleaned(raw: bytes, from_start: bool, lines: tuple[str, ...]) -> None:
    assert last_lines(raw, lines=20, from_start=from_start) == lines


def test_the_window_fits_under_the_cap() -> None:
    assert LOG_WINDOW < LOG_CAP
