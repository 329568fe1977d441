"""The Jenkins stand-in as a whole: independent clients, who may what, what tree= selects."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import api4jenkins
import jenkins
import pytest
import requests

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.jenkins.tree import MalformedTree, parse
from tests.jenkins_stand import (
    BRANCH,
    DEPLOY,
    NIGHTLY,
    PASSWORD,
    TEST,
    TOKEN,
    Stand,
)


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


@pytest.fixture
def fast() -> Iterator[Stand]:
    """For clients that sleep by themselves: time passes sixty times as fast."""
    stand = Stand(Clock(60))
    yield stand
    stand.close()


def until(ready: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def python_jenkins(stand: Stand) -> Any:
    return jenkins.Jenkins(stand.url, *TOKEN)


# Clients that nobody here wrote


def test_python_jenkins_lists_every_job_with_its_folder(stand: Stand) -> None:
    names = {job["fullname"] for job in python_jenkins(stand).get_all_jobs()}

    assert {"team", "team/shop-test", "team/nightly", "team/mb/feature%2Fx"} <= names


def test_python_jenkins_builds_with_parameters_and_follows_to_the_end(fast: Stand) -> None:
    client = python_jenkins(fast)
    values = {"REF": "v1.4.2", "SHA": "c0ffee", "ENV": "production"}

    item = client.build_job("team/myservice-deploy", values)
    build = until(lambda: client.get_queue_item(item).get("executable"))
    number = build["number"]
    told = until(lambda: ended(client, "team/myservice-deploy", number))

    assert told["result"] == "SUCCESS"
    assert told["queueId"] == item
    assert "REF=v1.4.2" in client.get_build_console_output("team/myservice-deploy", number)


def ended(client: Any, name: str, number: int) -> Any:
    told = client.get_build_info(name, number)
    return None if told["building"] else told


def test_python_jenkins_stops_a_job(fast: Stand) -> None:
    fast.control("set_job", path="team/shop-test", duration=10_000)
    client = python_jenkins(fast)
    item = client.build_job("team/shop-test", {"PR": "233"})
    number = until(lambda: client.get_queue_item(item).get("executable"))["number"]

    assert [running["number"] for running in client.get_running_builds()] == [number]
    client.stop_build("team/shop-test", number)

    assert until(lambda: ended(client, "team/shop-test", number))["result"] == "ABORTED"


def test_python_jenkins_cancels_a_queue_item(stand: Stand) -> None:
    client = python_jenkins(stand)
    item = client.build_job("team/nightly")

    assert [queued["id"] for queued in client.get_queue_info()] == [item]
    client.cancel_queue(item)

    assert client.get_queue_info() == []
    assert client.get_queue_item(item)["cancelled"] is True


def test_python_jenkins_reads_stages_and_itself(fast: Stand) -> None:
    fast.control("set_quiet_period", seconds=0)
    fast.control("set_job", path="*", duration=0)
    client = python_jenkins(fast)
    client.build_job("team/shop-test", {"PR": "1"})

    stages = client.get_build_stages("team/shop-test", 1)["stages"]

    assert [stage["name"] for stage in stages] == ["Checkout", "Build", "Unit test"]
    assert client.get_whoami()["id"] == "bot"
    assert client.get_version().startswith("2.")


def test_python_jenkins_is_refused_with_a_wrong_token(stand: Stand) -> None:
    client = jenkins.Jenkins(stand.url, "bot", "wrong")

    with pytest.raises(jenkins.JenkinsException, match="Invalid password/token for user: bot"):
        client.get_job_info("team/shop-test")


def test_api4jenkins_finds_jobs_by_walking_folders(stand: Stand) -> None:
    client = api4jenkins.Jenkins(stand.url, auth=TOKEN)

    found = {job.full_name for job in client.iter(depth=3)}
    branch = client.get_job("team/mb/feature%2Fx")

    assert {"team/shop-test", "team/billing-deploy"} <= found
    assert branch.url.endswith("/job/mb/job/feature%252Fx/")
    assert branch.exists()


def test_api4jenkins_builds_follows_and_reads_the_log(fast: Stand) -> None:
    # This client trips over an item that has left the queue and has no build yet.
    fast.control("set_quiet_period", seconds=0)
    client = api4jenkins.Jenkins(fast.url, auth=TOKEN)

    item = client.build_job("team/billing-deploy", REF="master", SHA="abc", ENV="staging")
    build = until(item.get_build)
    until(lambda: not build.building)

    assert build.result == "FAILURE"
    assert "Finished: FAILURE" in list(build.console_text())
    assert [value.name for value in build.get_parameters()][:2] == ["REF", "SHA"]


def test_api4jenkins_kills_and_answers_an_input(fast: Stand) -> None:
    fast.control("set_quiet_period", seconds=0)
    fast.control("set_job", path="team/shop-test", duration=0, input={"id": "deploy"})
    client = api4jenkins.Jenkins(fast.url, auth=TOKEN)

    first = client.build_job("team/shop-test", PR="1").get_build()
    first.get_pending_input().submit()
    second = client.build_job("team/shop-test", PR="2").get_build()
    second.kill()

    assert (first.result, second.result) == ("SUCCESS", "ABORTED")


# Who may what


def test_a_wrong_token_is_401_as_html(stand: Stand) -> None:
    answer = stand.anonymous("GET", "/api/json", auth=("bot", "wrong"))

    assert answer.status_code == 401
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Invalid password/token for user: bot" in answer.text


def test_nobody_gets_a_login_page_that_is_403(stand: Stand) -> None:
    answer = stand.anonymous("GET", f"{TEST}/api/json")

    assert answer.status_code == 403
    assert "Authentication required" in answer.text


def test_a_job_that_may_not_be_read_does_not_exist(stand: Stand) -> None:
    auth = ("stranger", "demo-stranger-token")

    assert stand.anonymous("GET", f"{TEST}/api/json", auth=auth).status_code == 404
    assert stand.anonymous("GET", "/api/json", auth=auth).json()["jobs"] == []


def test_discover_alone_asks_to_log_in(stand: Stand) -> None:
    stand.control("set_rights", user="stranger", rights=["discover"])

    answer = stand.anonymous("GET", f"{TEST}/", auth=("stranger", "demo-stranger-token"))

    assert answer.status_code == 403
    assert "Please login to access job shop-test" in answer.text


def test_without_the_build_right_a_trigger_names_the_permission(stand: Stand) -> None:
    answer = stand.anonymous("POST", f"{NIGHTLY}/build", auth=("reader", "demo-reader-token"))

    assert answer.status_code == 403
    assert answer.headers["X-You-Are-Authenticated-As"] == "reader"
    assert answer.headers["X-Required-Permission"] == "hudson.model.Item.Build"


def test_rights_can_be_taken_away(stand: Stand) -> None:
    stand.control("set_rights", user="bot", rights=["read", "build"])
    build = stand.start(NIGHTLY)

    assert stand.post(f"{build}/stop").status_code == 403


def test_a_password_needs_a_crumb_and_a_token_does_not(stand: Stand) -> None:
    answer = stand.anonymous("POST", f"{NIGHTLY}/build", auth=PASSWORD)

    assert answer.status_code == 403
    assert "No valid crumb was included in the request" in answer.text
    assert stand.post(f"{NIGHTLY}/build").status_code == 201


def crumb_of(session: requests.Session, stand: Stand) -> dict[str, str]:
    told = session.get(f"{stand.url}/crumbIssuer/api/json", auth=PASSWORD, timeout=10).json()
    return {told["crumbRequestField"]: told["crumb"]}


def test_a_crumb_is_good_with_its_session_only(stand: Stand) -> None:
    with requests.Session() as session:
        crumb = crumb_of(session, stand)
        url = f"{stand.url}{NIGHTLY}/build"
        with_session = session.post(url, headers=crumb, auth=PASSWORD, timeout=10)
        as_field = session.post(url, data=crumb, auth=PASSWORD, timeout=10)
    without = stand.anonymous("POST", f"{NIGHTLY}/build", headers=crumb, auth=PASSWORD)

    assert (with_session.status_code, as_field.status_code) == (201, 201)
    assert without.status_code == 403


def test_a_session_cookie_alone_logs_in_and_a_restart_forgets_it(stand: Stand) -> None:
    with requests.Session() as session:
        crumb_of(session, stand)
        url = f"{stand.url}/me/api/json"
        before = session.get(url, timeout=10)
        stand.control("restart", seconds=0)
        after = session.get(url, timeout=10)

    assert before.json()["id"] == "bot"
    assert after.status_code == 403


def test_without_csrf_protection_there_is_no_crumb_and_none_is_wanted(stand: Stand) -> None:
    stand.control("set_crumbs", on=False)

    assert stand.get("/crumbIssuer/api/json").status_code == 404
    assert stand.anonymous("POST", f"{NIGHTLY}/build", auth=PASSWORD).status_code == 201
    assert stand.anonymous("POST", f"{NIGHTLY}/build").status_code == 403


@pytest.mark.parametrize("path", ["/me", "/user/bot", "/whoAmI"])
def test_it_knows_who_is_asking(stand: Stand, path: str) -> None:
    told = stand.api(path)

    assert told.get("id", told.get("name")) == "bot"
    assert stand.get(f"{path}/api/json").headers["X-Jenkins"].startswith("2.")


# Addresses and selection


def test_a_branch_is_found_by_its_doubly_quoted_name_only(stand: Stand) -> None:
    told = stand.api(BRANCH)

    assert told["name"] == "feature%2Fx"
    assert told["fullName"] == "team/mb/feature%2Fx"
    assert told["url"] == f"{stand.url}{BRANCH}/"
    assert stand.get("/job/team/job/mb/job/feature%2Fx/api/json").status_code == 404


@pytest.mark.parametrize(
    "path", ["/job/team/job/missing/api/json", f"{TEST}/1/api/json", f"{TEST}/lastBuild/", "/nope"]
)
def test_what_is_not_there_is_404_as_html(stand: Stand, path: str) -> None:
    answer = stand.get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_it_lives_below_its_context_path(stand: Stand) -> None:
    answer = requests.get(stand.url.removesuffix("/jenkins") + "/api/json", auth=TOKEN, timeout=10)

    assert answer.status_code == 404


def test_a_tree_selects_fields_and_keeps_every_class(stand: Stand) -> None:
    told = stand.api("", "jobs[name,jobs[name,color]{0,1}]")

    assert told == {
        "_class": "hudson.model.Hudson",
        "jobs": [
            {
                "_class": "com.cloudbees.hudson.plugins.folder.Folder",
                "name": "team",
                "jobs": [
                    {
                        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
                        "color": "notbuilt",
                        "name": "shop-test",
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("span", "numbers"),
    [("{0,2}", [4, 3]), ("{1}", [3]), ("{2,}", [2, 1]), ("{,3}", [4, 3, 2]), ("{9,12}", [])],
)
def test_a_range_is_half_open_and_newest_first(stand: Stand, span: str, numbers: list[int]) -> None:
    stand.control("reset", state="bare")
    for number in range(4):
        stand.queue(TEST, {"PR": str(number)})

    told = stand.api(TEST, f"builds[number]{span}")

    assert [build["number"] for build in told["builds"]] == numbers


def test_depth_says_how_far_mentions_are_told(stand: Stand) -> None:
    stand.control("reset", state="bare")
    stand.queue(TEST, {"PR": "1"})

    shallow, deep = stand.api(TEST), stand.api(TEST, depth=1)

    assert sorted(shallow["lastBuild"]) == ["_class", "number", "url"]
    assert deep["lastBuild"]["result"] == "SUCCESS"


def test_unknown_fields_are_left_out_and_a_star_means_all(stand: Stand) -> None:
    assert stand.api(TEST, "name,nonsense[x]") == {
        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
        "name": "shop-test",
    }
    assert stand.api(TEST, "*")["fullName"] == "team/shop-test"


@pytest.mark.parametrize("broken", ["jobs[name", "jobs]", "jobs{x}", "{0,1}", "na?me", "jobs[[a]]"])
def test_a_malformed_tree_is_500(stand: Stand, broken: str) -> None:
    with pytest.raises(MalformedTree):
        parse(broken)
    assert stand.get("/api/json", params={"tree": broken}).status_code == 500


def test_a_job_tells_its_typed_parameters(stand: Stand) -> None:
    parameters = [
        {"name": "NOTE", "type": "text", "default": "a\nb"},
        {"name": "DRY_RUN", "default": False},
        {"name": "ENV", "choices": ["staging", "production"], "description": "Where to"},
        {"name": "SECRET", "type": "password", "default": "hunter2"},
    ]
    stand.control("set_job", path="team/new/typed", parameters=parameters)

    told = stand.api("/job/team/job/new/job/typed", "property[*[*[*]]]")["property"][0]

    assert told["_class"] == "hudson.model.ParametersDefinitionProperty"
    text, boolean, choice, secret = told["parameterDefinitions"]
    assert text["defaultParameterValue"]["value"] == "a\nb"
    assert boolean["defaultParameterValue"]["value"] is False
    assert choice["choices"] == ["staging", "production"]
    assert "value" not in secret["defaultParameterValue"]


def test_colours_follow_the_builds(stand: Stand) -> None:
    stand.control("set_job", path="team/shop-test", duration=10)
    before = stand.api(TEST, "color")["color"]
    stand.start(TEST, {"PR": "1"})
    during = stand.api(TEST, "color")["color"]
    stand.clock.advance(10)

    assert (before, during) == ("notbuilt", "notbuilt_anime")
    assert stand.api(TEST, "color")["color"] == "blue"
    assert stand.api("/job/team/job/old", "color,buildable")["color"] == "disabled"


# Control and pages


def test_an_unknown_operation_is_told_in_a_sentence(stand: Stand) -> None:
    with pytest.raises(ValueError, match="There is no operation 'explode'; there are: delete"):
        stand.control("explode")


@pytest.mark.parametrize(
    ("op", "arguments", "told"),
    [
        ("set_job", {}, "argument 'path' is missing"),
        ("set_job", {"path": "team/nightly", "result": "GREAT"}, "'GREAT' is no result"),
        ("set_job", {"path": "team/nightly/below"}, "team/nightly is no folder"),
        ("finish", {"path": "team/none"}, "There is no job 'team/none'"),
        ("finish", {"path": "team/nightly", "number": 3}, "has no build 3"),
        ("set_rights", {"user": "bot", "rights": ["fly"]}, "Rights are among"),
        ("reset", {"state": "lunar"}, "There is no state 'lunar'"),
    ],
)
def test_a_wrong_argument_is_told_in_a_sentence(
    stand: Stand, op: str, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        stand.control(op, **arguments)


def test_a_reset_forgets_everything_but_the_numbering_of_the_queue(stand: Stand) -> None:
    first = stand.queue(NIGHTLY)
    stand.clock.advance(60)
    assert stand.api(NIGHTLY, "nextBuildNumber")["nextBuildNumber"] == 2

    stand.control("reset", state="demo")

    assert stand.api(NIGHTLY, "nextBuildNumber")["nextBuildNumber"] == 1
    assert stand.queue(NIGHTLY) > first


def test_a_deployment_that_went_well_is_live(stand: Stand) -> None:
    values = {"REF": "v1", "SHA": "a" * 40, "ENV": "production"}
    build = stand.start(DEPLOY, values)
    stand.clock.advance(5.99)
    assert stand.system.state()["deployments"] == []
    stand.clock.advance(0.02)

    told = stand.system.state()["deployments"]

    assert told == stand.world.deployments
    assert told[0]["job"] == "team/myservice-deploy"
    assert (told[0]["ref"], told[0]["sha"], told[0]["environment"]) == tuple(values.values())
    assert build.endswith(f"/{told[0]['build']}")


def test_a_failed_deployment_or_a_test_is_not_live(stand: Stand) -> None:
    stand.start("/job/team/job/billing-deploy", {"SHA": "b"})
    stand.start(TEST, {"SHA": "b"})
    stand.clock.advance(60)

    assert stand.system.state()["deployments"] == []


def test_a_person_sees_a_build_without_an_account(stand: Stand) -> None:
    build = stand.start(TEST, {"PR": "<script>alert(1)</script>"})
    stand.clock.advance(60)

    page = stand.anonymous("GET", f"{build}/", headers={"Accept": "text/html,*/*;q=0.8"})

    assert page.status_code == 200
    assert "SUCCESS" in page.text
    assert "Unit test" in page.text
    assert "Finished: SUCCESS" in page.text
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


@pytest.mark.parametrize("path", ["/", "/job/team/", f"{TEST}/", "/job/team/job/mb/"])
def test_a_person_can_walk_to_the_jobs(stand: Stand, path: str) -> None:
    page = stand.anonymous("GET", path, headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html;charset=utf-8"


def test_a_browser_gets_no_api_without_an_account(stand: Stand) -> None:
    for path in (f"{TEST}/api/json", f"{TEST}/build", "/queue/item/1/api/json"):
        assert stand.anonymous("GET", path, headers={"Accept": "text/html"}).status_code == 403
