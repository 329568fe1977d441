"""The Jenkins client against the sandbox: jobs, triggers, the queue, builds, their ends."""

import json
from functools import partial

import pytest

from chatops_site.sandbox.client import Sandbox
from repos.builds import Build, Result, Triggered
from repos.errors import Forbidden, NotFound, NotSupported, OutcomeUnknown, Refused
from repos.jenkins import Jenkins
from tests.failures import failure
from tests.jenkins_client import (
    CASES,
    DEPLOY,
    NIGHTLY,
    TEST,
    box,
    built,
    client,
    jenkins,
    running,
    sent,
    until,
)

__all__ = ["box", "jenkins", "running"]


def recorded(name: str) -> str:
    """The body of a recorded answer; some are kept beside their endpoint."""
    content = json.loads((CASES / name).read_text("utf-8"))
    inner = "endpoint" in content
    return json.dumps(content["body"] if inner else content)


def answer(box: Sandbox, body: str, **more: object) -> None:
    box.fault("jenkins", "status", status=200, body=body, headers={"X-Jenkins": "2.1"}, **more)


# Who and what


def test_it_tells_who_the_token_is(jenkins: Jenkins) -> None:
    who = jenkins.whoami()

    assert (who.user, who.may_read, who.quieting_down) == ("bot", True, False)
    assert who.version.startswith("2.")
    assert who.clock_skew is not None
    assert abs(who.clock_skew) < 5


def test_it_lists_jobs_in_folders_and_branches_in_one_call(box: Sandbox, jenkins: Jenkins) -> None:
    found = {job.path: job for job in jenkins.jobs()}

    assert {TEST, DEPLOY, NIGHTLY, "team/old", "team/mb/feature%2Fx"} <= set(found)
    assert "team" not in found
    assert "team/mb" not in found
    assert (found[TEST].buildable, found["team/old"].buildable) == (True, False)
    assert len(sent(box, "GET")) == 1


def test_a_list_of_jobs_ends_at_its_limit(jenkins: Jenkins) -> None:
    assert len(jenkins.jobs(limit=3)) == 3


def test_a_job_in_the_list_knows_how_its_last_build_ended(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_job", path=NIGHTLY, result="UNSTABLE")
    built(jenkins, NIGHTLY, jenkins.trigger(NIGHTLY, {}))

    found = {job.path: job.last for job in jenkins.jobs()}

    assert (found[NIGHTLY], found[TEST]) == (Result.UNSTABLE, None)


def test_it_describes_a_job_and_its_parameters(jenkins: Jenkins) -> None:
    job = jenkins.describe(DEPLOY)

    kinds = {parameter.name: parameter.kind for parameter in job.parameters}
    assert kinds == {"REF": "string", "SHA": "string", "ENV": "choice", "CHATOPS_ID": "string"}
    (env,) = [parameter for parameter in job.parameters if parameter.kind == "choice"]
    assert (env.choices, env.default) == (("staging", "production"), "staging")
    assert job.url.endswith("/jenkins/job/team/job/myservice-deploy/")


def test_it_reaches_a_branch_whose_name_is_quoted_twice(box: Sandbox, jenkins: Jenkins) -> None:
    triggered = jenkins.trigger("team/mb/feature%2Fx", {})

    assert built(jenkins, "team/mb/feature%2Fx", triggered).result is Result.SUCCESS
    assert sent(box)[0]["path"].endswith("/job/team/job/mb/job/feature%252Fx/build")


def test_a_job_that_is_not_there_is_told(jenkins: Jenkins) -> None:
    error = failure(NotFound, lambda: jenkins.describe("team/nothing"))

    assert error.sentence == (
        "Jenkins has no team/nothing, or the portal's account may not see it."
    )


# Triggering


def test_it_triggers_with_parameters_and_without_the_quiet_period(
    box: Sandbox, jenkins: Jenkins
) -> None:
    box.change_jenkins("set_quiet_period", seconds=30, lag=0)

    triggered = jenkins.trigger(DEPLOY, {"ENV": "production", "REF": "v1&=x 版", "CHATOPS_ID": "7"})
    build = built(jenkins, DEPLOY, triggered)

    assert not triggered.joined
    assert build.queue_id == triggered.queue_id
    assert build.parameters == {
        "ENV": "production",
        "REF": "v1&=x 版",
        "SHA": "",
        "CHATOPS_ID": "7",
    }


def test_an_unknown_parameter_is_refused_before_anything_is_sent(
    box: Sandbox, jenkins: Jenkins
) -> None:
    error = failure(Refused, lambda: jenkins.trigger(DEPLOY, {"ENVIRONMENT": "production"}))

    assert error.sentence == (
        "team/myservice-deploy has no parameter ENVIRONMENT. It takes: REF, SHA, ENV, CHATOPS_ID."
    )
    assert sent(box) == []


def test_an_illegal_choice_is_refused_with_the_legal_ones(box: Sandbox, jenkins: Jenkins) -> None:
    error = failure(Refused, lambda: jenkins.trigger(DEPLOY, {"ENV": "prod"}))

    assert error.sentence == (
        "prod is no value for ENV of team/myservice-deploy. It takes: staging, production."
    )
    assert sent(box) == []


def test_a_choice_that_vanished_meanwhile_is_refused_by_jenkins_own_500(
    box: Sandbox, jenkins: Jenkins
) -> None:
    definition = {"name": "ENV", "type": "ChoiceParameterDefinition", "choices": ["moon"]}
    job = {"buildable": True, "property": [{"parameterDefinitions": [definition]}]}
    answer(box, json.dumps(job), method="GET")

    error = failure(Refused, lambda: jenkins.trigger(DEPLOY, {"ENV": "moon"}))

    assert error.sentence == (
        "Jenkins refused team/myservice-deploy (“Illegal choice for parameter ENV: moon”)."
    )
    assert not error.maybe_applied


def test_booleans_are_checked_and_written_as_jenkins_reads_them(
    box: Sandbox, jenkins: Jenkins
) -> None:
    box.change_jenkins(
        "set_job", path="team/flags", parameters=[{"name": "DRY", "default": False}], duration=0
    )

    build = built(jenkins, "team/flags", jenkins.trigger("team/flags", {"DRY": "TRUE"}))
    error = failure(Refused, lambda: jenkins.trigger("team/flags", {"DRY": "yes"}))

    assert build.parameters == {"DRY": "true"}
    assert error.sentence.endswith("It takes: true, false.")


def test_a_job_without_parameters_takes_none(jenkins: Jenkins) -> None:
    error = failure(Refused, lambda: jenkins.trigger(NIGHTLY, {"SHA": "1"}))

    assert error.sentence == "team/nightly takes no parameters, so not SHA either."


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("team/old", "team/old is disabled in Jenkins. Somebody has to enable it there."),
        ("team", "team is a folder in Jenkins, not a job."),
        ("team/mb", "team/mb is a folder in Jenkins, not a job."),
    ],
)
def test_what_cannot_be_built_is_told(
    box: Sandbox, jenkins: Jenkins, path: str, words: str
) -> None:
    assert failure(Refused, lambda: jenkins.trigger(path, {})).sentence == words
    assert sent(box) == []


def test_a_trigger_that_joins_a_queued_item_says_so(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_executors", n=0)

    first = jenkins.trigger(TEST, {"PR": "233"})
    same = jenkins.trigger(TEST, {"PR": "233"})
    other = jenkins.trigger(TEST, {"PR": "234"})

    assert (first.joined, same.joined, other.joined) == (False, True, False)
    assert first.queue_id == same.queue_id != other.queue_id


def test_a_201_with_the_id_of_a_waiting_item_is_a_join_too(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_executors", n=0)
    first = jenkins.trigger(NIGHTLY, {})

    assert client(box).trigger(NIGHTLY, {}) == Triggered(first.queue_id, joined=True)


def test_a_302_is_no_success(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_job", path=TEST, veto=True)

    error = failure(Refused, lambda: jenkins.trigger(TEST, {}))

    assert error.sentence == (
        "Jenkins did not queue team/shop-test. It may be shutting down, a plugin may have "
        "refused, or the same build is queued already."
    )
    assert not error.maybe_applied


def test_only_the_id_is_taken_from_a_location_at_a_wrong_host(
    box: Sandbox, jenkins: Jenkins
) -> None:
    box.change_jenkins("set_location_host", host="http://internal:8080")

    triggered = jenkins.trigger(TEST, {"CHATOPS_ID": "7"})

    assert built(jenkins, TEST, triggered).number == 1


def test_who_may_not_build_is_told_the_missing_permission(box: Sandbox) -> None:
    reader = client(box, "reader", "demo-reader-token")

    error = failure(Forbidden, lambda: reader.trigger(TEST, {}))

    assert error.sentence == (
        "The portal's account reader at Jenkins lacks the permission hudson.model.Item.Build "
        "for team/shop-test."
    )


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("reset_after", {}),
        ("status", {"status": 502, "apply": True}),
        ("status", {"status": 500}),
        ("html200", {}),
        ("html200", {"apply": True}),
    ],
)
def test_a_trigger_without_a_clear_answer_is_unknown_and_is_found_by_its_parameter(
    box: Sandbox, jenkins: Jenkins, mode: str, options: dict[str, object]
) -> None:
    box.fault("jenkins", mode, method="POST", **options)

    error = failure(OutcomeUnknown, lambda: jenkins.trigger(TEST, {"CHATOPS_ID": "run-7"}))
    found = jenkins.find(TEST, "CHATOPS_ID", "run-7")

    assert "It may have been carried out" in error.sentence
    assert len(sent(box)) == 1
    assert (found is not None) is (mode == "reset_after" or "apply" in options)


# The queue


def test_it_tells_why_an_item_waits(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_executors", n=0)
    triggered = jenkins.trigger(TEST, {})

    item = jenkins.queue_item(triggered.queue_id)

    assert item is not None
    assert "executor" in item.why
    assert (item.cancelled, item.build_number) == (False, None)


def test_an_item_leads_to_its_build_after_the_moment_without_one(
    box: Sandbox, jenkins: Jenkins
) -> None:
    box.change_jenkins("set_quiet_period", seconds=0, lag=0.15)
    triggered = jenkins.trigger(TEST, {})

    def number() -> int | None:
        item = jenkins.queue_item(triggered.queue_id)
        assert item is not None
        assert not item.cancelled
        return item.build_number

    assert until(number) == 1


def test_a_forgotten_item_is_none_and_its_build_is_still_found(
    box: Sandbox, jenkins: Jenkins
) -> None:
    triggered = jenkins.trigger(TEST, {})
    built(jenkins, TEST, triggered)
    box.change_jenkins("forget_queue")

    assert jenkins.queue_item(triggered.queue_id) is None
    found = jenkins.build_of(TEST, triggered.queue_id)
    assert found is not None
    assert found.number == 1
    assert jenkins.build_of(TEST, 999) is None


def test_it_cancels_a_waiting_item(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_executors", n=0)
    triggered = jenkins.trigger(TEST, {})

    assert jenkins.cancel_item(triggered.queue_id)

    item = jenkins.queue_item(triggered.queue_id)
    assert item is not None
    assert item.cancelled


@pytest.mark.parametrize("status", [302, 404])
def test_older_answers_to_a_cancellation_that_worked_are_understood(
    box: Sandbox, jenkins: Jenkins, status: int
) -> None:
    box.change_jenkins("set_executors", n=0)
    triggered = jenkins.trigger(TEST, {})
    box.fault("jenkins", "status", method="POST", status=status, apply=True)

    assert jenkins.cancel_item(triggered.queue_id)


def test_what_has_left_the_queue_is_not_cancelled(jenkins: Jenkins) -> None:
    triggered = jenkins.trigger(TEST, {})
    built(jenkins, TEST, triggered)

    assert not jenkins.cancel_item(triggered.queue_id)
    assert not jenkins.cancel_item(999)


def test_an_item_that_may_not_be_cancelled_is_told(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_executors", n=0)
    box.change_jenkins("set_job", path=TEST, uncancellable=True)
    triggered = jenkins.trigger(TEST, {})

    error = failure(OutcomeUnknown, lambda: jenkins.cancel_item(triggered.queue_id))

    assert error.sentence.startswith("Jenkins answered 500 to a request that changes something.")


# Finding what was triggered


def test_it_finds_a_queued_item_and_then_its_build(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_executors", n=0)
    triggered = jenkins.trigger(TEST, {"CHATOPS_ID": "run-7"})
    assert jenkins.find(TEST, "CHATOPS_ID", "run-7") == Triggered(triggered.queue_id)

    box.change_jenkins("set_executors", n=2)
    built(jenkins, TEST, triggered)
    found = jenkins.find(TEST, "CHATOPS_ID", "run-7")

    assert isinstance(found, Build)
    assert found.queue_id == triggered.queue_id


def test_the_same_parameter_at_another_job_is_not_mistaken(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins("set_executors", n=0)
    jenkins.trigger("team/web-test", {"CHATOPS_ID": "run-7"})

    assert jenkins.find(TEST, "CHATOPS_ID", "run-7") is None
    assert jenkins.find(TEST, "CHATOPS_ID", "run-70") is None


def test_what_moves_from_the_queue_to_a_build_between_two_looks_is_found(
    box: Sandbox, jenkins: Jenkins
) -> None:
    box.change_jenkins("set_quiet_period", seconds=0, lag=0.3)
    jenkins.trigger(TEST, {"CHATOPS_ID": "run-7"})

    assert isinstance(jenkins.find(TEST, "CHATOPS_ID", "run-7"), Build)


# Builds


def test_a_result_that_is_set_before_the_end_is_not_the_end(box: Sandbox, jenkins: Jenkins) -> None:
    row = {"number": 4, "building": True, "result": "UNSTABLE", "estimatedDuration": -1}
    answer(box, json.dumps(row))

    build = jenkins.build(TEST, 4)

    assert (build.building, build.result, build.estimated) == (True, Result.UNSTABLE, None)


@pytest.mark.parametrize("result", list(Result))
def test_it_tells_how_a_build_ended(box: Sandbox, jenkins: Jenkins, result: Result) -> None:
    box.change_jenkins("set_job", path=TEST, duration=60)
    triggered = jenkins.trigger(TEST, {})
    number = until(lambda: getattr(jenkins.build_of(TEST, triggered.queue_id), "number", None))
    box.change_jenkins("finish", path=TEST, number=number, result=result.value)

    build = jenkins.build(TEST, number)

    assert (build.building, build.result) == (False, result)
    assert build.started_at is not None
    assert build.url == f"{jenkins.url_of(TEST)}1/"


def test_a_deleted_build_is_not_found(box: Sandbox, jenkins: Jenkins) -> None:
    built(jenkins, TEST, jenkins.trigger(TEST, {}))
    box.change_jenkins("delete_build", path=TEST, number=1)

    error = failure(NotFound, lambda: jenkins.build(TEST, 1))

    assert "team/shop-test #1" in error.sentence


def test_it_reads_what_old_versions_answered(box: Sandbox, jenkins: Jenkins) -> None:
    answer(box, recorded("jenkins_build__recorded_2011.json"))
    build = jenkins.build("build_war", 87)
    answer(box, recorded("jenkins_queue_item__recorded_left.json"))
    item = jenkins.queue_item(25)
    answer(box, recorded("jenkins_stages__recorded_2014.json"))
    stages = jenkins.stages("Test Workflow", 16)
    answer(box, recorded("jenkins_pending_inputs__recorded_2014.json"))
    (question,) = jenkins.pending_inputs("Test Workflow", 11)

    assert (build.result, build.duration, build.queue_id) == (Result.SUCCESS, 8.826, None)
    assert build.parameters == {"SERVICE_NAME": "eaas", "PROJECT_NAME": "demo"}
    assert item is not None
    assert item.build_number == 198
    assert [(stage.name, stage.status) for stage in stages][:2] == [
        ("Build", "SUCCESS"),
        ("Test", "SUCCESS"),
    ]
    assert question.message == "Is the build okay?"
    assert question.url == f"{box.jenkins}/job/Test%20Workflow/11/input/"


def test_it_tells_the_stages_and_which_failed(jenkins: Jenkins) -> None:
    built(jenkins, "team/billing-deploy", jenkins.trigger("team/billing-deploy", {}))

    stages = [(stage.name, stage.status) for stage in jenkins.stages("team/billing-deploy", 1)]

    assert stages[-1] == ("Smoke test", "FAILED")
    assert stages[0] == ("Checkout", "SUCCESS")


def test_without_the_stage_plugin_there_are_no_stages(box: Sandbox, jenkins: Jenkins) -> None:
    built(jenkins, TEST, jenkins.trigger(TEST, {}))
    box.change_jenkins("set_plugin", on=False)

    assert jenkins.stages(TEST, 1) == ()
    assert jenkins.pending_inputs(TEST, 1) == ()


def test_it_tells_what_a_pipeline_asks(box: Sandbox, jenkins: Jenkins) -> None:
    box.change_jenkins(
        "set_job", path=TEST, duration=0.1, input={"id": "Go", "message": "Roll out?"}
    )
    jenkins.trigger(TEST, {})

    (question,) = until(lambda: jenkins.pending_inputs(TEST, 1) if _has_build(jenkins) else None)

    assert (question.id, question.message) == ("Go", "Roll out?")
    assert question.url == f"{jenkins.url_of(TEST)}1/input/"


def _has_build(jenkins: Jenkins) -> bool:
    return any(job.path == TEST for job in jenkins.jobs())


def test_stop_term_and_kill_are_asked_for_and_verified_at_the_build(
    box: Sandbox, jenkins: Jenkins
) -> None:
    box.change_jenkins("set_job", path=TEST, duration=60, stop_delay=0)
    for mark, end in {"a": jenkins.stop, "b": jenkins.term, "c": jenkins.kill}.items():
        triggered = jenkins.trigger(TEST, {"CHATOPS_ID": mark})
        number = until(partial(jenkins.build_of, TEST, triggered.queue_id)).number
        end(TEST, number)

        assert built(jenkins, TEST, triggered).result is Result.ABORTED


def test_stopping_what_is_finished_is_no_error(jenkins: Jenkins) -> None:
    built(jenkins, TEST, jenkins.trigger(TEST, {}))

    jenkins.stop(TEST, 1)

    assert jenkins.build(TEST, 1).result is Result.SUCCESS


def test_only_pipelines_can_be_killed(jenkins: Jenkins) -> None:
    built(jenkins, NIGHTLY, jenkins.trigger(NIGHTLY, {}))

    error = failure(NotSupported, lambda: jenkins.kill(NIGHTLY, 1))
    failure(NotFound, lambda: jenkins.kill(NIGHTLY, 7))

    assert error.sentence == "team/nightly #1 can only be stopped, it is no pipeline."
