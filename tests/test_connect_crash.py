"""Outgoing connections with real processes: killed, doubled, silent or stopped, they lose and double nothing.

Feishu and Slack deliver again what was not acknowledged. DingTalk does not: what dies with the process
before it is written down, or goes into a dead connection, is lost, and was never acknowledged.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import stage_oracle as oracle
from tests.dialled_stage import DialledStage, is_under_way
from tests.stage import Theatre, opened, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.full]

ALL = ("dingtalk", "feishu", "slack")
DELIVERED_AGAIN = ("feishu", "slack")
on_all = pytest.mark.parametrize("platform", ALL)
where_delivered_again = pytest.mark.parametrize("platform", DELIVERED_AGAIN)
# So often at once that it is as good as certain that two processes get some each.
OFTEN = 20


@pytest.fixture(scope="module", name="theatre")
def theatre_fixture() -> Iterator[Theatre]:
    yield from opened()


@pytest.fixture(name="scene")
def scene_fixture(theatre: Theatre, platform: str) -> Iterator[DialledStage]:
    with DialledStage(theatre, platform) as scene:
        yield scene


@pytest.fixture(name="at_dingtalk")
def at_dingtalk_fixture(theatre: Theatre) -> Iterator[DialledStage]:
    with DialledStage(theatre, "dingtalk") as scene:
        yield scene


def check_merged_once(scene: DialledStage, number: int) -> None:
    """One run, one effect at the forge, one answer in the chat, and the record tells it so."""
    scene.rest()
    assert [run[1:3] for run in scene.stage.runs()] == [("merge", "succeeded")]
    assert len(scene.stage.merges(number)) == len(scene.effects()) == 1, scene.effects()
    answers = scene.answers(f"shop#{number}")
    assert [text.startswith("✅ Merged") for text in answers] == [True], (answers, scene.told())
    check_record(scene)


def check_record(scene: DialledStage) -> None:
    oracle.effects_are_single(scene.stage)
    oracle.the_record_tells_it_in_order(scene.stage)
    oracle.the_record_has_no_gap(scene.stage)
    assert scene.tracebacks() == []


def say_to_one_that_dies(scene: DialledStage, text: str, point: str) -> dict[str, Any]:
    """Its process is killed at that point, with another one there; what the platform knows in the end."""
    dying = scene.start(fail=point)
    scene.start_shut_out()
    with scene.nobody_writes():
        said = scene.saying(text)
        assert is_under_way(said)
        scene.let_in()
    assert dying.ends() == -9
    return said.result(30)


@where_delivered_again
@pytest.mark.parametrize("point", ["c1", "c2"])
def test_a_message_whose_process_is_killed_comes_again_to_another_and_is_run_once(
    scene: DialledStage, point: str
) -> None:
    scene.begin_worker()
    number = scene.stage.open_pull()
    said = say_to_one_that_dies(scene, f"/merge {number}", point)

    check_merged_once(scene, number)
    assert said["status"] == 200
    assert scene.deliveries(said["message_id"]) == 1


def test_what_dingtalk_s_process_did_not_write_down_is_lost_and_was_not_acknowledged(
    at_dingtalk: DialledStage,
) -> None:
    scene = at_dingtalk
    scene.begin_worker()
    lost, later = scene.stage.open_pull(), scene.stage.open_pull()
    said = say_to_one_that_dies(scene, f"/merge {lost}", "c1")
    assert scene.acknowledgements() == []
    scene.say(f"/merge {later}")

    # One run, one effect, one answer: those of the message that came after it.
    check_merged_once(scene, later)
    assert said["status"] == 0
    assert scene.answers(f"shop#{lost}") == []
    assert scene.deliveries(said["message_id"]) == 0


def test_what_dingtalk_s_process_wrote_down_is_run_though_it_was_not_acknowledged(
    at_dingtalk: DialledStage,
) -> None:
    scene = at_dingtalk
    scene.begin_worker()
    number = scene.stage.open_pull()
    said = say_to_one_that_dies(scene, f"/merge {number}", "c2")

    check_merged_once(scene, number)
    assert said["status"] == 0
    assert scene.acknowledgements() == []


@on_all
def test_a_message_that_reaches_two_processes_is_run_once(scene: DialledStage) -> None:
    scene.begin_worker()
    number = scene.stage.open_pull()
    processes = scene.start_two()
    said = scene.say(f"/merge {number}", times=OFTEN)

    check_merged_once(scene, number)
    assert set(said["statuses"]) == {200}
    assert scene.deliveries(said["message_id"]) == 1
    for process in processes:
        process.terminate()
    assert [process.ends() for process in processes] == [0, 0]
    # Both had it.
    assert len(scene.taken()) == 2
    assert min(scene.taken()) > 0


@on_all
def test_a_connection_that_falls_silent_is_opened_anew_and_what_comes_again_is_run_once(
    scene: DialledStage,
) -> None:
    scene.begin_worker()
    number = scene.stage.open_pull()
    text = f"/merge {number}"
    process = scene.start_quick()
    scene.change("silence")
    said = scene.saying(text)
    wait_for(lambda: process.output().count(": connected") == 2, what="a second connection")
    scene.waits_for_connections(1)
    known = in_the_end(scene, said.result(30), text)

    check_merged_once(scene, number)
    assert known["status"] == 200
    assert "for too long." in process.output()


def in_the_end(scene: DialledStage, known: dict[str, Any], text: str) -> dict[str, Any]:
    """What the platform knows once the message has come that was said into the silence."""
    if scene.platform == "feishu":
        # It has tried until the new connection was there.
        return known
    assert known["status"] == 0
    assert scene.stage.runs() == []
    # Slack brings it again a minute later; at DingTalk only whoever said it can say it again.
    return scene.deliver_again(known) if scene.platform == "slack" else scene.say(text)


@on_all
def test_told_to_stop_it_writes_down_and_acknowledges_what_it_is_taking(
    scene: DialledStage,
) -> None:
    process = scene.start()
    with scene.nobody_writes():
        said = scene.saying("/merge 233")
        assert is_under_way(said)
        process.terminate()
        assert is_under_way(said)
        assert process.alive

    assert said.result(30)["status"] == 200
    assert process.ends() == 0
    assert scene.deliveries(said.result()["message_id"]) == 1
    assert [run[1:3] for run in scene.stage.runs()] == [("merge", "queued")]


@pytest.mark.parametrize("platform", ["slack"])
def test_of_two_who_press_in_the_same_moment_one_is_run_and_the_other_is_told(
    scene: DialledStage,
) -> None:
    scene.begin_worker()
    number = scene.stage.open_pull()
    scene.start_two()
    scene.say(f"/pr {number}")
    scene.rest()
    shown = scene.bot_said()[-1]
    with scene.nobody_writes():
        presses = [scene.pressing(shown, "Merge", by) for by in ("zhangsan", "wangfang")]
        assert all(map(is_under_way, presses))

    assert [press.result(30)["status"] for press in presses] == [200, 200]
    scene.rest()
    runs = [run[1:3] for run in scene.stage.runs()]
    assert runs == [("pr", "succeeded"), ("merge", "succeeded")]
    assert len(scene.stage.merges(number)) == len(scene.effects()) == 1
    told = [text for text in scene.told() if "Merge was pressed already, by " in text]
    assert len(told) == 1
    check_record(scene)
