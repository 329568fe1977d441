"""The Jenkins stand-in's queue: the states of an item, cancelling, forgetting, restarts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from chatops_site.sandbox.jenkins.spans import time_span
from tests.jenkins_stand import BILLING, DEPLOY, NIGHTLY, TEST, TOKEN, Stand


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


# States


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (4.96, "4.9 sec"),
        (3.0, "3 sec"),
        (12.7, "12 sec"),
        (0.357, "0.35 sec"),
        (0.042, "42 ms"),
        (65, "1 min 5 sec"),
        (3720, "1 hr 2 min"),
    ],
)
def test_time_spans_read_like_jenkins_own(seconds: float, told: str) -> None:
    assert time_span(seconds) == told


def test_the_quiet_period_counts_down(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    stand.clock.advance(0.2)
    told = stand.api(f"/queue/item/{item}")

    assert told["_class"] == "hudson.model.Queue$WaitingItem"
    assert told["why"] == "In the quiet period. Expires in 4.8 sec"
    assert told["timestamp"] - told["inQueueSince"] == 5000
    assert told["url"] == f"queue/item/{item}/"


def test_a_left_item_has_no_executable_for_a_moment(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    stand.clock.advance(5.1)
    early = stand.api(f"/queue/item/{item}")
    stand.clock.advance(0.4)
    later = stand.api(f"/queue/item/{item}")

    assert early["_class"] == later["_class"] == "hudson.model.Queue$LeftItem"
    assert (early["executable"], early["why"], early["cancelled"]) == (None, None, False)
    assert later["executable"]["number"] == 1
    assert later["executable"]["url"] == f"{stand.url}{NIGHTLY}/1/"


def test_a_second_build_waits_for_the_first_where_they_may_not_overlap(stand: Stand) -> None:
    stand.start(DEPLOY, {"SHA": "1"})
    item = stand.queue(DEPLOY, {"SHA": "2"})
    stand.clock.advance(5)
    told = stand.api(f"/queue/item/{item}")

    assert told["_class"] == "hudson.model.Queue$BlockedItem"
    assert told["blocked"] is True
    assert told["why"] == "Build #1 is already in progress (ETA: N/A)"
    stand.clock.advance(1.5)
    assert stand.api(f"/queue/item/{item}")["executable"]["number"] == 2


def test_the_eta_comes_from_earlier_builds(stand: Stand) -> None:
    stand.control("set_job", path="team/myservice-deploy", duration=60)
    stand.start(DEPLOY, {"SHA": "1"})
    stand.clock.advance(60)
    stand.start(DEPLOY, {"SHA": "2"})
    item = stand.queue(DEPLOY, {"SHA": "3"})
    stand.clock.advance(10)

    why = stand.api(f"/queue/item/{item}")["why"]
    assert why == "Build #2 is already in progress (ETA: 50 sec)"


@pytest.mark.parametrize(
    ("op", "arguments", "why"),
    [
        ("set_executors", {"n": 0}, "Waiting for next available executor"),
        ("set_executors", {"offline": True}, "‘Built-In Node’ is offline"),
        ("quiet_down", {"on": True}, "Jenkins is about to shut down"),
        (
            "set_job",
            {"path": "team/nightly", "label": "windows"},
            "There are no nodes with the label ‘windows’",
        ),
    ],
)
def test_a_buildable_item_says_what_it_waits_for(
    stand: Stand, op: str, arguments: dict[str, Any], why: str
) -> None:
    stand.control(op, **arguments)
    item = stand.queue(NIGHTLY)
    stand.clock.advance(60)
    told = stand.api(f"/queue/item/{item}")

    assert told["_class"] == "hudson.model.Queue$BuildableItem"
    assert (told["why"], told["buildable"]) == (why, True)
    assert told["buildableStartMilliseconds"] == told["inQueueSince"] + 5000


def test_a_label_is_named_with_curly_quotes(stand: Stand) -> None:
    stand.control("set_job", path="team/nightly", label="linux")
    stand.control("set_executors", n=0)
    item = stand.queue(NIGHTLY)
    stand.clock.advance(5)
    busy = stand.api(f"/queue/item/{item}")["why"]
    stand.control("set_executors", n=1, offline=True)

    assert busy == "Waiting for next available executor on ‘linux’"
    assert stand.api(f"/queue/item/{item}")["why"] == "All nodes of label ‘linux’ are offline"


def test_executors_that_come_back_take_the_oldest_item_first(stand: Stand) -> None:
    stand.control("set_executors", n=0)
    items = [stand.queue(TEST, {"PR": str(number)}) for number in range(3)]
    stand.clock.advance(30)
    stand.control("set_executors", n=2)
    stand.clock.advance(1)

    told = [stand.api(f"/queue/item/{item}").get("executable") for item in items]
    assert [build and build["number"] for build in told] == [1, 2, None]


def test_after_a_quiet_down_builds_start_again(stand: Stand) -> None:
    stand.control("quiet_down", on=True)
    item = stand.queue(NIGHTLY)
    stand.clock.advance(60)
    assert stand.api("", "quietingDown")["quietingDown"] is True

    stand.control("quiet_down", on=False)
    stand.clock.advance(1)

    assert stand.api(f"/queue/item/{item}")["executable"]["number"] == 1


def test_the_queue_lists_what_has_not_left_yet(stand: Stand) -> None:
    first = stand.queue(NIGHTLY)
    second = stand.queue(TEST, {"PR": "1"})
    listed = stand.api("/queue", "items[id,why]")["items"]
    job = stand.api(NIGHTLY, "inQueue,queueItem[id]")
    stand.clock.advance(6)

    assert [item["id"] for item in listed] == [second, first]
    assert (job["inQueue"], job["queueItem"]["id"]) == (True, first)
    assert stand.api("/queue")["items"] == []


def test_a_left_item_is_forgotten_after_five_minutes(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    stand.clock.advance(5)
    stand.api(f"/queue/item/{item}")
    stand.clock.advance(299)
    assert stand.api(f"/queue/item/{item}")["executable"]["number"] == 1
    stand.clock.advance(2)

    assert stand.get(f"/queue/item/{item}/api/json").status_code == 404
    builds = stand.api(NIGHTLY, "builds[number,queueId]{0,50}")["builds"]
    assert [build["number"] for build in builds if build["queueId"] == item] == [1]


def test_a_forgotten_queue_is_404_and_ids_go_on(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    assert stand.control("forget_queue") == {"forgotten": [item]}

    assert stand.get(f"/queue/item/{item}/api/json").status_code == 404
    assert stand.queue(NIGHTLY) == item + 1


@pytest.mark.parametrize("item", ["99", "x", "-1"])
def test_an_unknown_item_is_404(stand: Stand, item: str) -> None:
    assert stand.get(f"/queue/item/{item}/api/json").status_code == 404


def test_an_item_of_an_unreadable_job_is_404(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    auth = ("stranger", "demo-stranger-token")

    answer = stand.anonymous("GET", f"/queue/item/{item}/api/json", auth=auth)

    assert answer.status_code == 404


# Cancelling


def cancel(stand: Stand, item: int | str, auth: tuple[str, str] = TOKEN) -> requests.Response:
    return stand.anonymous("POST", "/queue/cancelItem", params={"id": str(item)}, auth=auth)


def test_a_cancelled_item_is_left_without_executable(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)

    assert cancel(stand, item).status_code == 204
    told = stand.api(f"/queue/item/{item}")
    assert told["_class"] == "hudson.model.Queue$LeftItem"
    assert (told["cancelled"], told["executable"]) == (True, None)
    stand.clock.advance(60)
    assert stand.api(NIGHTLY, "builds[number]")["builds"] == []


def test_what_left_or_never_was_cannot_be_cancelled(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    stand.clock.advance(6)

    answers = [cancel(stand, each) for each in (item, 99, "x")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert f"Provided id ({item}) not found" in answers[0].text


def test_cancelling_without_the_right_is_422(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)

    assert cancel(stand, item, ("reader", "demo-reader-token")).status_code == 422


def test_cancelling_may_fail_and_must_be_a_post(stand: Stand) -> None:
    stand.control("set_job", path="team/nightly", uncancellable=True)
    item = stand.queue(NIGHTLY)

    assert cancel(stand, item).status_code == 500
    assert stand.get("/queue/cancelItem", params={"id": str(item)}).status_code == 405


# Restarts


def test_a_restart_is_503_for_a_while_and_forgets_the_queue(stand: Stand) -> None:
    item = stand.queue(BILLING, {"SHA": "1"})
    before = stand.get("/api/json").headers["X-Jenkins-Session"]
    stand.control("restart", seconds=30)
    down = stand.get("/api/json")
    stand.clock.advance(30)
    after = stand.get("/api/json")

    assert down.status_code == 503
    assert "Jenkins is getting ready to work" in down.text
    assert after.status_code == 200
    assert after.headers["X-Jenkins-Session"] != before
    assert stand.get(f"/queue/item/{item}/api/json").status_code == 404


def test_a_clean_restart_keeps_what_still_waits(stand: Stand) -> None:
    left = stand.queue(TEST, {"PR": "1"})
    stand.clock.advance(6)
    waiting = stand.queue(NIGHTLY)
    stand.control("restart", seconds=30, keep_waiting=True)
    stand.clock.advance(31)

    assert stand.get(f"/queue/item/{left}/api/json").status_code == 404
    assert stand.api(f"/queue/item/{waiting}")["executable"]["number"] == 1


def test_a_pipeline_survives_a_restart_and_a_freestyle_build_does_not(stand: Stand) -> None:
    stand.control("set_job", path="*", duration=60)
    pipeline, freestyle = stand.start(TEST, {"PR": "1"}), stand.start(NIGHTLY)
    stand.control("restart", seconds=1)
    stand.clock.advance(1)

    assert stand.api(pipeline)["building"] is True
    assert stand.api(freestyle)["result"] == "ABORTED"


def test_many_people_at_once_get_a_build_each(stand: Stand) -> None:
    stand.control("reset", state="bare")

    def trigger(number: int) -> int:
        answer = stand.anonymous(
            "POST", f"{TEST}/buildWithParameters", data={"PR": str(number)}, auth=TOKEN
        )
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(trigger, range(40)))

    builds = stand.api(TEST, "allBuilds[number,queueId,result]")["allBuilds"]
    assert statuses == [201] * 40
    assert sorted(build["number"] for build in builds) == list(range(1, 41))
    assert len({build["queueId"] for build in builds}) == 40
    assert "allBuilds" not in stand.api(TEST)
