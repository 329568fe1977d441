"""Many at once: two people, two workers, repeated deliveries, and humans who act at the forge meanwhile."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import stage_oracle as oracle
from tests.stage import STAFF, Packet, Process, Stage, Theatre, opened, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.full]


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    yield from opened()


@pytest.fixture(scope="module")
def stage(theatre: Theatre) -> Iterator[Stage]:
    """One running portal for all that kills nothing."""
    with theatre.stage(LEASE_SECONDS="30") as stage:
        stage.start_web()
        stage.start_worker()
        yield stage


def at_once(count: int, act: Callable[[int], int]) -> list[int]:
    """All begin in the same moment; what each gave back."""
    barrier = threading.Barrier(count)

    def begin(place: int) -> int:
        barrier.wait()
        return act(place)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


# One pull request, many people.


def test_twenty_merges_at_once_are_one(stage: Stage) -> None:
    number = stage.open_pull()
    people = list(STAFF)
    packets = [stage.packet(f"/merge {number}", person=people[n % 3]) for n in range(20)]
    assert at_once(20, lambda n: stage.deliver(packets[n], seconds=30)) == [200] * 20
    stage.rest()
    assert len(stage.calls("PUT", f"/pulls/{number}/merge")) == 1
    finals = stage.finals(f"shop#{number}")
    assert len([text for text in finals if text.startswith("✅ Merged")]) == 1
    assert len([text for text in finals if "already merged" in text]) == 19
    oracle.check(stage)


def test_a_head_that_moves_after_the_check_is_not_merged(stage: Stage) -> None:
    number = stage.open_pull()
    path = f"/pulls/{number}$"
    stage.sandbox.fault("gitee", "delay", method="GET", path_regex=path, skip=1, seconds=1.5)
    stage.say(f"/merge {number}")
    wait_for(lambda: len(stage.calls("GET", f"/pulls/{number}")) == 2, what="the second look")
    stage.sandbox.push("acme/shop", number)
    stage.rest()
    (final,) = stage.finals(f"shop#{number}")
    assert "has moved from" in final
    assert stage.calls("PUT", f"/pulls/{number}/merge") == []
    assert stage.runs()[-1][2:] == ("refused", "head_moved")


def test_a_push_inside_the_merge_itself_is_said_loudly(stage: Stage) -> None:
    number = stage.open_pull(assignees_number=0, testers_number=0)
    stage.sandbox.change_gitee("hook_on_merge", repository="acme/shop", number=number, do="push")
    stage.say(f"/merge {number}")
    stage.rest()
    (final,) = stage.finals(f"shop#{number}")
    assert "ATTENTION" in final
    assert stage.pull(number)["head_sha"][:7] in final
    assert stage.runs()[-1][2:] == ("failed", "merged_other_sha")


def test_a_push_inside_a_merge_without_answer_is_said_as_loudly(stage: Stage) -> None:
    """The answer is lost, so that only the search afterwards can find out."""
    number = stage.open_pull(assignees_number=0, testers_number=0)
    stage.sandbox.change_gitee("hook_on_merge", repository="acme/shop", number=number, do="push")
    stage.sandbox.fault("gitee", "reset_after", method="PUT", path_regex=f"/pulls/{number}/merge")
    stage.say(f"/merge {number}")
    stage.rest()
    (final,) = stage.finals(f"shop#{number}")
    assert "ATTENTION" in final
    assert stage.runs()[-1][2:] == ("failed", "merged_other_sha")


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_merge_by_somebody_else_is_never_called_ours(stage: Stage, method: str) -> None:
    """They press the button between our check and our request, whose answer is then lost."""
    number = stage.open_pull()
    place = {"repository": "acme/shop", "number": number}
    stage.sandbox.change_gitee("hook_on_merge", **place, do="merge_elsewhere", method=method)
    stage.sandbox.fault("gitee", "reset_after", method="PUT", path_regex=f"/pulls/{number}/merge")
    stage.say(f"/merge {number} shop {method}")
    stage.rest()
    (final,) = stage.finals(f"shop#{number}")
    assert final[0] == {"rebase": "❓"}.get(method, "⛔")
    # A rebase leaves no trace of who did it: then that is said.
    expected = {"rebase": "outcome_unknown"}.get(method, "done_by_other")
    assert stage.runs()[-1][3] == expected
    assert stage.pull(number)["merged_by"] == "lisi"


def test_a_merge_by_somebody_else_right_before_ours_is_told(stage: Stage) -> None:
    number = stage.open_pull()
    path = f"/pulls/{number}$"
    stage.sandbox.fault("gitee", "delay", method="GET", path_regex=path, skip=1, seconds=1.5)
    stage.say(f"/merge {number}")
    wait_for(lambda: len(stage.calls("GET", f"/pulls/{number}")) == 2, what="the second look")
    stage.sandbox.change_gitee("merge_elsewhere", repository="acme/shop", number=number)
    stage.rest()
    (final,) = stage.finals(f"/merge {number}") or stage.finals(f"shop#{number}")
    assert "merged already" in final or "already merged" in final
    assert stage.runs()[-1][3] == "done_by_other"
    assert stage.calls("PUT", f"/pulls/{number}/merge") == []


# One service, many deployments.


def test_deployments_of_one_service_run_one_after_another_in_order(theatre: Theatre) -> None:
    with theatre.stage(LEASE_SECONDS="30") as stage:
        stage.set_jobs(concurrent=True, duration=0.4)
        stage.start_web()
        stage.start_worker()
        stage.start_worker()
        for person in ("zhangsan", "lisi", "wangfang", "zhangsan"):
            stage.say(f"/deploy {stage.service}", person=person)
        stage.rest()
        asked = [str(run[0]) for run in stage.runs()]
        assert [b["parameters"]["CHATOPS_ID"] for b in stage.builds(stage.deploy_job)] == asked
        oracle.check(stage)


def test_two_workers_tell_of_progress_once(theatre: Theatre) -> None:
    with theatre.stage(LEASE_SECONDS="30") as stage:
        stage.set_jobs(duration=4.0)
        stage.start_web()
        for _worker in range(2):
            stage.start_worker()
        stage.say(f"/deploy {stage.service}")
        stage.say(f"/deploy {stage.service}", person="lisi")
        wait_for(lambda: len(stage.builds(stage.deploy_job)) == 1)
        stage.rest()
        under_way = Counter(text for text in stage.replies_said() if text.startswith("⏳"))
        assert [text for text, count in under_way.items() if count > 1] == []
        oracle.check(stage)


# One message, many deliveries.


def test_a_delivery_repeated_a_hundred_times_at_once_is_one_command(stage: Stage) -> None:
    number, before = stage.open_pull(), len(stage.runs())
    packet = stage.packet(f"/merge {number}")
    answers = at_once(100, lambda _n: stage.deliver(packet, seconds=60))
    assert Counter(answers) == {200: 100}
    stage.rest()
    assert len(stage.runs()) == before + 1
    assert len(stage.merges(number)) == 1
    assert len(stage.finals(f"shop#{number}")) == 1


def test_another_body_under_a_used_signature_is_refused_and_recorded(stage: Stage) -> None:
    number, other = stage.open_pull(), stage.open_pull()
    genuine = stage.packet(f"/pr {number}")
    forged = stage.packet(f"/merge {other}", person="wangfang")
    assert stage.deliver(genuine) == 200
    before = len(stage.runs())
    swapped = Packet(forged.id, forged.text, forged.body, genuine.headers)
    assert at_once(5, lambda _n: stage.deliver(swapped)) == [401] * 5
    stage.rest()
    assert len(stage.runs()) == before
    assert stage.merges(other) == []
    sql = "SELECT count(*) FROM audit_entry WHERE event = 'signature.reused'"
    assert stage.database.rows(sql) == [(5,)]


# A worker that sleeps through its lease.


def test_a_worker_that_slept_through_its_lease_sends_nothing(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        number = stage.open_pull()
        stage.sandbox.fault(
            "gitee", "delay", method="GET", path_regex=f"/pulls/{number}$", seconds=0.5
        )
        stage.start_web()
        sleeper = stage.start_worker()
        stage.say(f"/merge {number}")
        wait_for(lambda: stage.calls("GET", f"/pulls/{number}"), what="its first look")
        sleeper.signal(signal.SIGSTOP)
        stage.start_worker()
        wait_for(lambda: stage.finals(f"shop#{number}"), what="the other worker's reply")
        sleeper.signal(signal.SIGCONT)
        wait_for(lambda: "was taken over by another worker" in sleeper.output(), what="the fence")
        stage.rest()
        assert len(stage.calls("PUT", f"/pulls/{number}/merge")) == 1
        oracle.check(stage)


# Stopping under load.


def test_sigterm_under_load_loses_nothing(theatre: Theatre) -> None:
    with theatre.stage(LEASE_SECONDS="30") as stage:
        stage.set_jobs(duration=1.0)
        processes = [stage.start_web(), stage.start_worker()]
        stop = threading.Event()
        load = threading.Thread(target=_ask_without_end, args=(stage, stop))
        load.start()
        try:
            for process in processes:
                _stop_gently(process)
            stage.start_web()
            stage.start_worker()
            time.sleep(0.3)
        finally:
            stop.set()
            load.join()
        stage.rest()
        assert {status for _packet, status in stage.answers} <= {0, 200, 503}
        oracle.check(stage)


def _ask_without_end(stage: Stage, stop: threading.Event) -> None:
    pull = stage.open_pull()
    while not stop.is_set():
        stage.deliver(stage.packet(f"/pr {pull}"))
        if len(stage.answers) % 20 == 1:
            stage.deliver(stage.packet(f"/deploy {stage.service}"))


def _stop_gently(process: Process) -> None:
    time.sleep(0.3)
    process.terminate()
    assert process.ends() == 0
