"""Commands in comments with real processes: the forge's webhook, a portal that dies, one merge and one reply."""

from collections.abc import Iterator

import pytest

from tests.stage import Stage, Theatre, opened, wait_for

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module", name="theatre")
def theatre_fixture() -> Iterator[Theatre]:
    yield from opened()


@pytest.fixture(name="stage")
def stage_fixture(theatre: Theatre) -> Iterator[Stage]:
    with theatre.stage() as stage:
        theatre.sandbox.set_hooks(forge="gitee", portal=stage.origin)
        yield stage
        theatre.sandbox.set_hooks(forge="")


def write(stage: Stage, number: int, body: str) -> None:
    target = {"repository": "acme/shop", "number": number}
    stage.sandbox.change_gitee("comment", **target, by="zhangsan", body=body)


def replies(stage: Stage, number: int) -> list[str]:
    comments = stage.pull(number)["comments"]
    return [one["body"] for one in comments if one["login"] == "chatops-bot"]


def wait_for_merge(stage: Stage, number: int) -> None:
    wait_for(lambda: stage.pull(number)["state"] == "merged", seconds=30, what="the merge")
    wait_for(lambda: replies(stage, number), what="the reply")
    stage.rest()


def test_a_comment_merges_through_real_processes(stage: Stage) -> None:
    number = stage.open_pull()
    stage.start_web()
    stage.start_worker()

    write(stage, number, "好的\n\n/merge\n")

    wait_for_merge(stage, number)
    (reply,) = replies(stage, number)
    assert reply.startswith("✅")
    assert len(stage.merges(number)) == 1
    assert [row[1:3] for row in stage.runs()] == [("merge", "succeeded")]
    assert stage.tracebacks() == []


@pytest.mark.full
def test_a_portal_that_dies_once_the_webhook_is_on_disk_loses_nothing(stage: Stage) -> None:
    number = stage.open_pull()
    stage.start_web(fail="hook written")
    write(stage, number, "/merge")
    wait_for(lambda: stage.database.rows("SELECT id FROM bot_forgehook"), what="the webhook")

    stage.start_worker()

    wait_for_merge(stage, number)
    assert len(stage.merges(number)) == len(replies(stage, number)) == 1


@pytest.mark.full
def test_a_worker_that_dies_before_it_ticks_the_webhook_off_acts_once(stage: Stage) -> None:
    number = stage.open_pull()
    stage.start_web()
    first = stage.start_worker(fail="hook acted", LEASE_SECONDS="2")
    write(stage, number, "/merge")
    first.ends()

    stage.start_worker(LEASE_SECONDS="2")

    wait_for_merge(stage, number)
    done = "SELECT id FROM bot_forgehook WHERE state = 'done'"
    wait_for(lambda: stage.database.rows(done), what="the webhook's end")
    assert len(stage.merges(number)) == len(stage.runs()) == len(replies(stage, number)) == 1
