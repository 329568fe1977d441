"""The Jenkins stand-in's triggers: every answer of the trigger table, and who joins whom."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.jenkins_stand import BRANCH, DEPLOY, NIGHTLY, OLD, TEST, Stand

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


def item_of(answer: requests.Response) -> int:
    return int(answer.headers["Location"].rstrip("/").rsplit("/", 1)[1])


def parameters_of(stand: Stand, item: int) -> dict[str, Any]:
    told = stand.api(f"/queue/item/{item}", "actions[parameters[name,value]]")
    pairs = next(each["parameters"] for each in told["actions"] if "parameters" in each)
    return {pair["name"]: pair.get("value") for pair in pairs}


def as_form(*pairs: tuple[str, str], **more: Any) -> dict[str, str]:
    entries = [{"name": name, "value": value} for name, value in pairs]
    return {"json": json.dumps({"parameter": entries, **more})}


def test_a_job_without_parameters_is_queued_with_201_and_a_location(stand: Stand) -> None:
    answer = stand.post(f"{NIGHTLY}/build")

    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{stand.url}/queue/item/1/"
    assert answer.content == b""


def test_a_branch_is_built_by_its_raw_address(stand: Stand) -> None:
    item = stand.queue(BRANCH)

    task = stand.api(f"/queue/item/{item}")["task"]
    assert task["url"] == f"{stand.url}/job/team/job/mb/job/feature%252Fx/"


@pytest.mark.parametrize("where", ["data", "params"])
def test_parameters_come_from_the_body_or_the_query(stand: Stand, where: str) -> None:
    answer = stand.post(f"{TEST}/buildWithParameters", **{where: {"PR": "233", "SHA": "支付"}})

    assert answer.status_code == 201
    assert parameters_of(stand, item_of(answer)) == {"PR": "233", "SHA": "支付", "CHATOPS_ID": ""}


def test_defaults_are_filled_in_and_unknown_names_are_dropped(stand: Stand) -> None:
    item = stand.queue(DEPLOY, {"REF": "v1", "NONSENSE": "1"})

    assert parameters_of(stand, item) == {
        "REF": "v1",
        "SHA": "",
        "ENV": "staging",
        "CHATOPS_ID": "",
    }


def test_a_json_body_is_nothing_to_jenkins(stand: Stand) -> None:
    answer = stand.post(f"{TEST}/buildWithParameters", json={"PR": "233"})

    assert parameters_of(stand, item_of(answer))["PR"] == ""


def test_an_identical_item_in_the_queue_answers_303_with_the_old_one(stand: Stand) -> None:
    first = stand.post(f"{TEST}/buildWithParameters", data={"PR": "1"})
    second = stand.post(f"{TEST}/buildWithParameters", params={"PR": "1"})

    assert (first.status_code, second.status_code) == (201, 303)
    assert second.headers["Location"] == first.headers["Location"]


def test_the_set_of_values_counts_and_not_their_order(stand: Stand) -> None:
    first = stand.post(f"{TEST}/buildWithParameters", data="PR=1&SHA=2", headers=FORM)
    same = stand.post(f"{TEST}/buildWithParameters", data="SHA=2&PR=1", headers=FORM)
    other = stand.post(f"{TEST}/buildWithParameters", data="PR=2&SHA=1", headers=FORM)

    assert [each.status_code for each in (first, same, other)] == [201, 303, 201]


def test_a_job_without_parameters_joins_with_201_and_the_old_id(stand: Stand) -> None:
    first, second = stand.post(f"{NIGHTLY}/build"), stand.post(f"{NIGHTLY}/build")

    assert (first.status_code, second.status_code) == (201, 201)
    assert item_of(first) == item_of(second)


def test_who_joined_an_item_is_among_its_causes(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    stand.anonymous("POST", f"{NIGHTLY}/build", auth=("wangfang", "demo-wangfang-token"))
    stand.queue(NIGHTLY)

    causes = stand.api(f"/queue/item/{item}", "actions[causes[shortDescription]]")["actions"]

    told = [cause["shortDescription"] for each in causes for cause in each.get("causes", [])]
    assert told == ["Started by user ChatOps bot", "Started by user 王芳"]


def test_the_earlier_due_time_of_joined_items_counts(stand: Stand) -> None:
    item = stand.queue(NIGHTLY)
    stand.post(f"{NIGHTLY}/build", params={"delay": "0sec"})

    assert stand.api(f"/queue/item/{item}")["_class"] == "hudson.model.Queue$LeftItem"


def test_once_the_item_left_a_new_one_is_made(stand: Stand) -> None:
    first = stand.queue(TEST, {"PR": "1"})
    stand.clock.advance(5)
    again = stand.post(f"{TEST}/buildWithParameters", data={"PR": "1"})

    assert again.status_code == 201
    assert item_of(again) != first


def test_a_parameterised_job_needs_the_form_on_build(stand: Stand) -> None:
    answer = stand.post(f"{TEST}/build")

    assert answer.status_code == 400
    assert "This page expects a form submission".lower() in answer.text.lower()
    assert answer.headers["X-Error"].startswith("Nothing is submitted")


@pytest.mark.parametrize("text", ["{", "[]", "7"])
def test_a_broken_form_is_400(stand: Stand, text: str) -> None:
    assert stand.post(f"{TEST}/build", data={"json": text}).status_code == 400


def test_the_form_queues_and_knows_no_defaults(stand: Stand) -> None:
    answer = stand.post(f"{TEST}/build", data=as_form(("PR", "233")))

    assert answer.status_code == 201
    assert parameters_of(stand, item_of(answer)) == {"PR": "233"}


def test_the_form_may_wish_its_own_status(stand: Stand) -> None:
    answer = stand.post(f"{TEST}/build", data=as_form(("PR", "1"), statusCode=303))

    assert answer.status_code == 303


def test_the_form_refuses_an_unknown_parameter(stand: Stand) -> None:
    answer = stand.post(f"{TEST}/build", data=as_form(("NONSENSE", "1")))

    assert answer.status_code == 500
    assert "No such parameter definition: NONSENSE" in answer.text


def test_the_form_with_an_identical_item_answers_302_and_no_item(stand: Stand) -> None:
    stand.post(f"{TEST}/build", data=as_form(("PR", "1")))
    again = stand.post(f"{TEST}/build", data=as_form(("PR", "1")))

    assert (again.status_code, again.headers["Location"]) == (302, ".")


@pytest.mark.parametrize(("path", "verb"), [(NIGHTLY, "build"), (TEST, "buildWithParameters")])
def test_a_veto_answers_302_and_queues_nothing(stand: Stand, path: str, verb: str) -> None:
    stand.control("set_job", path="*", veto=True)
    answer = stand.post(f"{path}/{verb}")

    assert (answer.status_code, answer.headers["Location"]) == (302, ".")
    assert stand.api("/queue")["items"] == []


def test_who_follows_the_redirects_believes_in_success(stand: Stand) -> None:
    stand.control("set_job", path="*", veto=True)
    answer = stand.session.post(f"{stand.url}{TEST}/buildWithParameters", timeout=10)

    assert answer.status_code == 200
    assert "Location" not in answer.headers


def test_parameters_for_a_job_without_any_are_400(stand: Stand) -> None:
    answer = stand.post(f"{NIGHTLY}/buildWithParameters", data={"PR": "1"})

    assert answer.status_code == 400
    assert "team/nightly is not parameterized" in answer.text


def test_a_disabled_job_is_409(stand: Stand) -> None:
    answer = stand.post(f"{OLD}/build")

    assert answer.status_code == 409
    assert "team/old is not buildable" in answer.text


@pytest.mark.parametrize("path", [f"{NIGHTLY}/build", f"{TEST}/buildWithParameters"])
def test_a_get_is_405_and_allows_post(stand: Stand, path: str) -> None:
    answer = stand.get(path)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_get_of_build_with_parameters_defined_is_a_form_and_200(stand: Stand) -> None:
    answer = stand.get(f"{TEST}/build")

    assert answer.status_code == 200
    assert "This build requires parameters" in answer.text


@pytest.mark.parametrize("path", [TEST, "/job/team", "/job/team/job/none"])
def test_without_read_a_trigger_is_404(stand: Stand, path: str) -> None:
    auth = ("stranger", "demo-stranger-token")

    assert stand.anonymous("POST", f"{path}/build", auth=auth).status_code == 404


def test_an_illegal_choice_is_500_and_names_it(stand: Stand) -> None:
    answer = stand.post(f"{DEPLOY}/buildWithParameters", data={"ENV": "moon"})

    assert answer.status_code == 500
    assert "Illegal choice for parameter ENV: moon" in answer.text


def test_a_parameter_given_twice_is_500(stand: Stand) -> None:
    answer = stand.post(f"{TEST}/buildWithParameters", data={"PR": "1"}, params={"PR": "1"})

    assert answer.status_code == 500
    assert "Illegal number of parameter values for PR" in answer.text


def test_a_delay_that_is_none_is_500(stand: Stand) -> None:
    assert stand.post(f"{NIGHTLY}/build", params={"delay": "soon"}).status_code == 500


def test_values_keep_their_types_and_secrets_stay_hidden(stand: Stand) -> None:
    parameters = [
        {"name": "DRY_RUN", "default": True},
        {"name": "KEY", "type": "password", "default": ""},
    ]
    stand.control("set_job", path="team/typed", parameters=parameters)

    item = stand.queue("/job/team/job/typed", {"DRY_RUN": "false", "KEY": "hunter2"})

    assert parameters_of(stand, item) == {"DRY_RUN": False, "KEY": None}
    assert "hunter2" not in stand.get(f"/queue/item/{item}/api/json").text
    assert stand.api(f"/queue/item/{item}")["params"] == "\nDRY_RUN=false\nKEY=****"


def test_a_cause_is_kept_with_the_token_of_the_job_only(stand: Stand) -> None:
    stand.control("set_job", path="team/nightly", token="let-me-in")
    fields = {"token": "let-me-in", "cause": "pull request 233"}
    item = item_of(stand.post(f"{NIGHTLY}/build", data=fields))
    other = item_of(stand.post(f"{TEST}/buildWithParameters", data={"cause": "dropped"}))

    told = stand.api(f"/queue/item/{item}")["actions"][1]["causes"][0]["shortDescription"]
    plain = stand.api(f"/queue/item/{other}")["actions"][1]["causes"][0]["shortDescription"]
    assert told == "Started by remote host 127.0.0.1 with note: pull request 233"
    assert plain == "Started by user ChatOps bot"


def test_a_proxy_may_make_the_location_wrong(stand: Stand) -> None:
    stand.control("set_location_host", host="internal:8080")

    answer = stand.post(f"{NIGHTLY}/build")

    assert answer.headers["Location"] == "http://internal:8080/queue/item/1/"
    assert stand.api("/queue/item/1")["task"]["url"] == f"{stand.url}{NIGHTLY}/"
