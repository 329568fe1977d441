"""The Jenkins stand-in's builds: results, logs, interruption, stages, inputs."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.jenkins_stand import BILLING, NIGHTLY, TEST, Stand


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


def log_of(stand: Stand, build: str, start: int = 0) -> requests.Response:
    return stand.get(f"{build}/logText/progressiveText", params={"start": str(start)})


def stages_of(stand: Stand, build: str) -> dict[str, str]:
    told = stand.get(f"{build}/wfapi/describe").json()
    return {stage["name"]: stage["status"] for stage in told["stages"]}


# Results


def test_a_running_build_has_no_result_and_no_duration(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    told = stand.api(build)

    assert (told["building"], told["inProgress"], told["result"]) == (True, True, None)
    assert (told["duration"], told["estimatedDuration"]) == (0, -1)
    assert told["executor"] == {"_class": "hudson.model.OneOffExecutor"}
    assert told["timestamp"] == stand.clock.now() * 1000


def test_the_result_is_there_before_building_ends(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(5.7)
    early = stand.api(build, "building,result")
    stand.clock.advance(0.3)
    late = stand.api(build, "building,result,duration,executor[number]")

    assert (early["building"], early["result"]) == (True, "SUCCESS")
    assert (late["building"], late["result"], late["duration"]) == (False, "SUCCESS", 6000)
    assert late["executor"] is None


@pytest.mark.parametrize("result", ["SUCCESS", "UNSTABLE", "FAILURE", "NOT_BUILT", "ABORTED"])
def test_a_job_can_end_in_any_result(stand: Stand, result: str) -> None:
    stand.control("set_job", path="team/nightly", result=result)
    build = stand.start(NIGHTLY)
    stand.clock.advance(6)

    assert stand.api(build)["result"] == result
    assert stand.get(f"{build}/consoleText").text.endswith(f"Finished: {result}\n")


def test_a_build_can_be_finished_by_control(stand: Stand) -> None:
    stand.control("set_job", path="team/shop-test", duration=100_000)
    build = stand.start(TEST, {"PR": "1"})

    stand.control("finish", path="team/shop-test", result="UNSTABLE")

    assert stand.api(build, "building,result")["building"] is False
    assert stand.api(build)["result"] == "UNSTABLE"
    with pytest.raises(ValueError, match="'LOVELY' is no result"):
        stand.control("finish", path="team/shop-test", result="LOVELY")


def test_the_estimate_is_the_mean_of_the_last_three_good_builds(stand: Stand) -> None:
    for seconds in (100, 10, 20, 30):
        stand.control("set_job", path="team/nightly", duration=seconds)
        stand.start(NIGHTLY)
        stand.clock.advance(seconds)

    assert stand.api(f"{NIGHTLY}/lastBuild", "estimatedDuration")["estimatedDuration"] == 20_000


def test_a_build_tells_its_parameters_causes_and_names(stand: Stand) -> None:
    told = stand.api(stand.start(TEST, {"PR": "233"}))

    causes, parameters, nothing = told["actions"]
    assert causes["causes"][0]["userId"] == "bot"
    assert parameters["parameters"][0]["value"] == "233"
    assert nothing == {}
    assert told["fullDisplayName"] == "team » shop-test #1"
    assert (told["id"], told["displayName"], told["queueId"]) == ("1", "#1", 1)


def test_last_build_moves_on_when_somebody_else_triggers(stand: Stand) -> None:
    mine = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(6)
    stand.start(TEST, {"PR": "2"})

    assert stand.api(f"{TEST}/lastBuild")["number"] == 2
    assert stand.api(f"{TEST}/lastCompletedBuild")["url"] == f"{stand.url}{mine}/"
    assert stand.get(f"{TEST}/lastFailedBuild/api/json").status_code == 404


def test_permalinks_follow_the_results(stand: Stand) -> None:
    for result in ("SUCCESS", "UNSTABLE", "FAILURE"):
        stand.control("set_job", path="team/nightly", result=result)
        stand.start(NIGHTLY)
        stand.clock.advance(6)
    told = stand.api(NIGHTLY)

    names = ("Stable", "Unstable", "Successful", "Failed", "Unsuccessful")
    numbers = {name: told[f"last{name}Build"]["number"] for name in names}
    assert list(numbers.values()) == [1, 2, 2, 3, 3]
    assert told["firstBuild"]["number"] == 1


def test_a_deleted_build_is_404_and_leaves_a_gap(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    stand.control("delete_build", path="team/shop-test", number=1)
    gone = stand.get(f"{build}/api/json")
    stand.start(TEST, {"PR": "2"})

    assert gone.status_code == 404
    assert [each["number"] for each in stand.api(TEST)["builds"]] == [2]


def test_neighbours_are_linked(stand: Stand) -> None:
    first, second = stand.start(TEST, {"PR": "1"}), stand.start(TEST, {"PR": "2"})

    assert stand.api(first)["nextBuild"]["number"] == 2
    assert stand.api(second)["previousBuild"]["number"] == 1
    assert stand.api(second)["nextBuild"] is None


# Logs


def test_a_log_read_in_pieces_is_the_whole_log(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "支付", "SHA": "abcdef0123"})
    start, pieces, more = 0, [], True
    while more:
        answer = log_of(stand, build, start)
        pieces.append(answer.content)
        start = int(answer.headers["X-Text-Size"])
        more = "X-More-Data" in answer.headers
        stand.clock.advance(0.1)

    whole = stand.get(f"{build}/consoleText").content
    assert b"".join(pieces) == whole.replace(b"\n", b"\r\n")
    assert whole.decode().endswith("Finished: SUCCESS\n")
    assert "PR=支付" in whole.decode()


def test_a_character_may_be_cut_at_the_end_of_a_piece(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    cut = 0
    for _ in range(70):
        answer = log_of(stand, build)
        cut += answer.content.decode(errors="replace").endswith("�")
        stand.clock.advance(0.1)

    assert cut > 0
    assert "�" not in log_of(stand, build).content.decode(errors="replace")


def test_raw_offsets_are_larger_than_the_text(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(6)
    answer = log_of(stand, build)

    assert int(answer.headers["X-Text-Size"]) > len(answer.content)
    assert b"\x1b" not in answer.content
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_more_data_is_told_only_while_the_build_runs(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    running = log_of(stand, build)
    stand.clock.advance(6)
    ended = log_of(stand, build, int(running.headers["X-Text-Size"]))

    assert running.headers["X-More-Data"] == "true"
    assert "X-More-Data" not in ended.headers
    assert ended.text.endswith("Finished: SUCCESS\r\n")


def test_a_start_beyond_the_end_reads_from_the_beginning(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})

    assert log_of(stand, build, 10**9).content == log_of(stand, build).content
    at_end = log_of(stand, build, int(log_of(stand, build).headers["X-Text-Size"]))
    assert at_end.content == b""


def test_the_log_of_a_job_can_be_given(stand: Stand) -> None:
    stand.control("set_job", path="team/nightly", log="one\n第二行\n\x1b[31mred")
    build = stand.start(NIGHTLY)
    stand.clock.advance(6)

    assert "one\n第二行\n\x1b[31mred\n" in stand.get(f"{build}/consoleText").text


def test_a_very_long_log_can_be_read_from_its_end(stand: Stand) -> None:
    stand.control("set_job", path="team/nightly", log={"megabytes": 50})
    build = stand.start(NIGHTLY)
    stand.clock.advance(6)
    with stand.session.get(
        f"{stand.url}{build}/logText/progressiveText?start=49999000", timeout=10
    ) as answer:
        size = int(answer.headers["X-Text-Size"])

    assert size > 50_000_000
    assert len(answer.content) < 4_000
    assert answer.text.endswith("Finished: SUCCESS\r\n")


def test_a_secret_is_not_in_the_log(stand: Stand) -> None:
    parameters = [{"name": "KEY", "type": "password"}]
    stand.control("set_job", path="team/typed", parameters=parameters)
    build = stand.start("/job/team/job/typed", {"KEY": "hunter2"})

    assert "KEY=****" in log_of(stand, build).text


# Interruption


def test_stop_redirects_and_takes_its_time(stand: Stand) -> None:
    stand.control("set_job", path="team/shop-test", duration=600)
    build = stand.start(TEST, {"PR": "1"})
    answer = stand.post(f"{build}/stop")
    at_once = stand.api(build)
    stand.clock.advance(2)
    later = stand.api(build)

    assert (answer.status_code, answer.headers["Location"]) == (302, ".")
    assert (at_once["building"], at_once["result"]) == (True, None)
    assert (later["building"], later["result"]) == (False, "ABORTED")
    log = log_of(stand, build).text
    assert "Aborted by ChatOps bot\r\n" in log
    assert log.endswith("Finished: ABORTED\r\n")


def test_a_log_that_was_shown_never_changes_by_a_stop(stand: Stand) -> None:
    stand.control("set_job", path="team/shop-test", duration=60)
    build = stand.start(TEST, {"PR": "1"})
    for _ in range(40):
        stand.clock.advance(0.5)
        shown = log_of(stand, build).content
        if shown.decode(errors="replace").endswith("�"):
            break
    stand.post(f"{build}/stop")
    stand.clock.advance(10)

    whole = log_of(stand, build).content
    assert whole.startswith(shown)
    assert "�" not in whole.decode(errors="replace")


def test_a_step_may_ignore_stop_and_term_but_not_kill(stand: Stand) -> None:
    plan: dict[str, Any] = {"duration": 600, "ignore_stop": True, "ignore_term": True}
    stand.control("set_job", path="team/shop-test", **plan)
    build = stand.start(TEST, {"PR": "1"})
    for way in ("stop", "term"):
        assert stand.post(f"{build}/{way}").status_code == 302
        stand.clock.advance(60)
        assert stand.api(build)["building"] is True

    assert stand.post(f"{build}/kill").status_code == 302

    assert stand.api(build)["result"] == "ABORTED"
    assert "Hard kill!" in stand.get(f"{build}/consoleText").text


def test_term_ends_what_stop_could_not(stand: Stand) -> None:
    stand.control("set_job", path="team/shop-test", duration=600, ignore_stop=True)
    build = stand.start(TEST, {"PR": "1"})
    stand.post(f"{build}/stop")
    stand.clock.advance(20)
    stand.post(f"{build}/term")
    stand.clock.advance(2)

    assert stand.api(build)["result"] == "ABORTED"


def test_a_stop_of_a_finished_build_is_302_too_and_changes_nothing(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(6)
    answer = stand.post(f"{build}/stop", headers={"Referer": f"{stand.url}/"})

    assert (answer.status_code, answer.headers["Location"]) == (302, f"{stand.url}/")
    assert stand.api(build)["result"] == "SUCCESS"
    assert "Aborted by" not in log_of(stand, build).text


def test_interruption_must_be_a_post_of_a_build_that_is_there(stand: Stand) -> None:
    build = stand.start(NIGHTLY)

    assert stand.get(f"{build}/stop").status_code == 405
    assert stand.post(f"{NIGHTLY}/77/stop").status_code == 404
    assert stand.post(f"{build}/kill").status_code == 404


# Stages


def test_stages_move_on_and_end_well(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(2)
    during = stages_of(stand, build)
    stand.clock.advance(4)
    told = stand.get(f"{build}/wfapi/describe").json()

    assert during == {"Checkout": "SUCCESS", "Build": "IN_PROGRESS"}
    assert [stage["status"] for stage in told["stages"]] == ["SUCCESS"] * 3
    assert (told["status"], told["durationMillis"], told["name"]) == ("SUCCESS", 6000, "#1")
    assert told["_links"]["self"]["href"] == f"/jenkins{build}/wfapi/describe"
    assert told["queueDurationMillis"] == 5400


def test_stages_after_a_failed_one_are_not_executed(stand: Stand) -> None:
    stand.control("set_job", path="team/billing-deploy", fail_stage="Build")
    build = stand.start(BILLING, {"SHA": "1"})
    stand.clock.advance(6)

    assert stages_of(stand, build) == {
        "Checkout": "SUCCESS",
        "Build": "FAILED",
        "Deploy": "NOT_EXECUTED",
        "Smoke test": "NOT_EXECUTED",
    }
    assert stand.api(build)["result"] == "FAILURE"


def test_the_demo_billing_deployment_fails_in_its_smoke_test(stand: Stand) -> None:
    build = stand.start(BILLING, {"SHA": "1"})
    stand.clock.advance(6)

    assert stages_of(stand, build)["Smoke test"] == "FAILED"
    assert "ERROR: script returned exit code 1" in log_of(stand, build).text


@pytest.mark.parametrize(
    ("result", "statuses"),
    [
        ("ABORTED", ["SUCCESS", "ABORTED", "NOT_EXECUTED"]),
        ("FAILURE", ["SUCCESS", "FAILED", "NOT_EXECUTED"]),
        ("SUCCESS", ["SUCCESS", "SUCCESS", "SUCCESS"]),
    ],
)
def test_a_halted_build_shows_where_it_was_halted(
    stand: Stand, result: str, statuses: list[str]
) -> None:
    build = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(2)
    stand.control("finish", path="team/shop-test", result=result)

    assert list(stages_of(stand, build).values()) == statuses


def test_runs_and_single_stages_are_told(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(6)
    runs = stand.get(f"{TEST}/wfapi/runs").json()
    href = runs[0]["stages"][1]["_links"]["self"]["href"]
    stage = stand.get(href.removeprefix("/jenkins")).json()
    log = stand.get(href.removeprefix("/jenkins").replace("describe", "log")).json()

    assert stand.get(f"{TEST}/wfapi").json()["runCount"] == 1
    assert stage["name"] == "Build"
    assert log["nodeStatus"] == "SUCCESS"
    assert stand.get(f"{build}/execution/node/999/wfapi/describe").status_code == 404


def test_without_the_plugin_or_a_pipeline_there_are_no_stages(stand: Stand) -> None:
    pipeline, freestyle = stand.start(TEST, {"PR": "1"}), stand.start(NIGHTLY)
    stand.control("set_plugin", on=False)

    assert stand.get(f"{pipeline}/wfapi/describe").status_code == 404
    assert stand.get(f"{TEST}/wfapi/runs").status_code == 404
    stand.control("set_plugin", on=True)
    assert stand.get(f"{freestyle}/wfapi/describe").status_code == 404


# Inputs


def held(stand: Stand, **step: Any) -> str:
    """A build that waits at its input before the stage "Unit test"."""
    given = {"id": "deploy", "message": "Go on?", **step}
    stand.control("set_job", path="team/shop-test", input=given)
    build = stand.start(TEST, {"PR": "1"})
    stand.clock.advance(60)
    return build


def test_a_pipeline_waits_for_its_input(stand: Stand) -> None:
    build = held(stand)
    told = stand.get(f"{build}/wfapi/describe").json()
    (action,) = stand.get(f"{build}/wfapi/pendingInputActions").json()

    assert told["status"] == "PAUSED_PENDING_INPUT"
    assert told["stages"][2]["status"] == "PAUSED_PENDING_INPUT"
    assert told["_links"]["pendingInputActions"]["href"].startswith("/jenkins/job/")
    assert (action["id"], action["message"], action["inputs"]) == ("Deploy", "Go on?", [])
    assert action["proceedUrl"] == f"/jenkins{build}/input/Deploy/proceedEmpty"
    assert stand.api(build)["building"] is True


def test_an_answered_input_lets_the_build_go_on(stand: Stand) -> None:
    build = held(stand)
    answer = stand.post(f"{build}/input/Deploy/proceedEmpty")
    moved_on = stages_of(stand, build)["Unit test"]
    stand.clock.advance(6)
    told = stand.get(f"{build}/wfapi/describe").json()

    assert (answer.status_code, moved_on) == (200, "IN_PROGRESS")
    assert told["status"] == "SUCCESS"
    assert 56_000 < told["pauseDurationMillis"] < 57_000
    assert stand.get(f"{build}/wfapi/pendingInputActions").json() == []
    assert "Approved by ChatOps bot" in log_of(stand, build).text


def test_an_aborted_input_aborts_the_build(stand: Stand) -> None:
    build = held(stand)
    assert stand.post(f"{build}/input/Deploy/abort").status_code == 200
    stand.clock.advance(1)

    assert stand.api(build)["result"] == "ABORTED"
    assert stages_of(stand, build)["Unit test"] == "ABORTED"


@pytest.mark.parametrize("way", ["proceedEmpty", "abort"])
def test_who_answers_second_is_told_so_with_400(stand: Stand, way: str) -> None:
    build = held(stand)
    stand.post(f"{build}/input/Deploy/proceedEmpty")
    again = stand.post(f"{build}/input/Deploy/{way}")

    assert again.status_code == 400
    assert "This input has been already given" in again.text


def test_only_the_submitter_may_answer(stand: Stand) -> None:
    build = held(stand, submitter="wangfang")
    mine = stand.post(f"{build}/input/Deploy/proceedEmpty")
    hers = stand.anonymous(
        "POST",
        f"{build}/input/Deploy/proceedEmpty",
        auth=("wangfang", "demo-wangfang-token"),
    )

    assert (mine.status_code, hers.status_code) == (400, 200)
    assert "You need to be wangfang to submit this" in mine.text


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("input/Deploy/submit", {"json": '{"parameter":[{"name":"WHERE","value":"a"}]}'}, 200),
        ("wfapi/inputSubmit?inputId=Deploy", {"json": '{"parameter":[]}'}, 200),
        ("wfapi/inputSubmit?inputId=deploy", {"json": '{"parameter":[]}'}, 500),
        ("input/Deploy/proceed", {"json": '{"parameter":{"name":"NO","value":"a"}}'}, 500),
        ("input/Deploy/proceed", {"json": '{"parameter":{"name":"WHERE","value":"c"}}'}, 500),
        ("input/Deploy/proceed", {}, 400),
        ("input/deploy/proceedEmpty", {}, 404),
        ("input/Deploy/dance", {}, 404),
    ],
)
def test_an_input_with_parameters_is_answered_by_a_form(
    stand: Stand, path: str, data: dict[str, str], status: int
) -> None:
    build = held(stand, parameters=[{"name": "WHERE", "choices": ["a", "b"]}])

    assert stand.post(f"{build}/{path}", data=data).status_code == status


def test_a_held_build_can_be_stopped(stand: Stand) -> None:
    build = held(stand)
    stand.post(f"{build}/stop")
    stand.clock.advance(2)

    assert stand.api(build)["result"] == "ABORTED"
    assert stand.get(f"{build}/input/Deploy/proceedEmpty").status_code == 405
