""" "Test connection": what the admin says of real stand-ins, of wrong tokens and of systems that are down."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from audit.models import Entry
from chatops_site.sandbox.client import Sandbox
from repos.models import Forge, JenkinsServer, Job
from tests.admin_house import House, boss, log_in, saved

pytestmark = pytest.mark.django_db
DOWN = "http://127.0.0.1:9"


@pytest.fixture(scope="module", name="sandbox")
def sandbox_fixture() -> Iterator[Sandbox]:
    with Sandbox.start(state="bare") as running:
        yield running


@pytest.fixture(name="house")
def house_fixture(client: Client, sandbox: Sandbox) -> House:
    boss(client)
    house = House(forge=sandbox.gitee, jenkins=sandbox.jenkins, chat=sandbox.chat)
    Forge.objects.update(token="demo-gitee-token")
    JenkinsServer.objects.update(token="demo-jenkins-token")
    house.bot.secrets = {"app_secret": "demo-app-secret"}
    house.bot.save()
    Job.objects.update(parameters=parameters())
    return house


def parameters(**more: str) -> dict[str, str]:
    return {"REF": "{ref}", "SHA": "{sha}", "ENV": "staging", "CHATOPS_ID": "{run}"} | more


def test(client: Client, address: str, **form: Any) -> str:
    answer = client.post(f"{address}test/", form)
    assert answer.status_code == 200
    return answer.content.decode().partition('id="findings"')[2].partition("</section>")[0]


test.__test__ = False  # type: ignore[attr-defined]


def forge_at(house: House) -> str:
    return f"/admin/repos/forge/{house.forge.pk}/"


def job_at(house: House) -> str:
    return f"/admin/repos/job/{house.job.pk}/"


def test_a_forge_tells_whose_token_it_is(client: Client, house: House) -> None:
    told = test(client, forge_at(house), name="gitee")

    assert "✅" in told
    assert "Gitee answers. The token belongs to" in told
    assert "Its clock agrees with ours." in told
    assert "⛔" not in told


def test_a_wrong_token_is_a_sentence(client: Client, house: House) -> None:
    Forge.objects.update(token="wrong")

    told = test(client, forge_at(house))

    assert "⛔" in told
    assert "token" in told


def test_a_forge_that_is_down_is_a_sentence(client: Client, house: House) -> None:
    Forge.objects.update(base_url=DOWN)

    assert "cannot be reached, nothing was sent." in test(client, forge_at(house))


def test_without_a_token_nobody_is_asked(client: Client, house: House, sandbox: Sandbox) -> None:
    Forge.objects.update(token="")
    before = len(sandbox.journal())

    assert "No token is set" in test(client, forge_at(house))
    assert len(sandbox.journal()) == before


def test_it_saves_nothing_and_says_so(client: Client, house: House) -> None:
    form = {"name": "other", "kind": "gitee", "base_url": house.forge.base_url}

    answer = client.post(f"{forge_at(house)}test/", form | {"secret_token": "typed-secret-1"})

    html = answer.content.decode()
    assert "What you changed on this page is not saved yet" in html
    assert 'value="other"' in html
    assert "typed-secret-1" not in html
    assert Forge.objects.get().name == "gitee"
    assert not Entry.objects.filter(event="config.changed").exists()


def test_a_test_is_a_post_with_a_token_by_someone_who_may_change(house: House) -> None:
    strict = Client(enforce_csrf_checks=True)
    boss_again = Client()
    log_in(strict, "operator")
    log_in(boss_again, "auditor")

    assert strict.post(f"{forge_at(house)}test/").status_code == 403
    assert strict.get(f"{forge_at(house)}test/").status_code == 405
    assert boss_again.post(f"{forge_at(house)}test/").status_code == 403
    assert Client().post(f"{forge_at(house)}test/").status_code == 302
    assert strict.get("/admin/repos/forge/99/test/").status_code == 405


def test_jenkins_tells_its_version_and_who_it_is(client: Client, house: House) -> None:
    told = test(client, f"/admin/repos/jenkinsserver/{house.server.pk}/")

    assert "answers. The token belongs to bot." in told
    assert "It may read jobs." in told


def test_a_bot_is_asked_at_its_platform(client: Client, house: House) -> None:
    told = test(client, f"/admin/bot/bot/{house.bot.pk}/")
    assert "DingTalk knows the app key dingdemokey" in told

    house.bot.secrets = {"app_secret": "wrong-secret"}
    house.bot.save()
    assert "⛔" in test(client, f"/admin/bot/bot/{house.bot.pk}/")


def test_a_job_s_parameters_are_compared(client: Client, house: House) -> None:
    told = test(client, job_at(house))
    assert "Its parameters: REF (string), SHA (string), ENV (choice), CHATOPS_ID (string)." in told
    assert "⛔" not in told

    Job.objects.update(parameters={"REF": "{ref}", "ENV": "prod", "NOPE": "{sha}"})
    told = test(client, job_at(house))
    assert escape("ENV cannot be “prod”; the job allows: staging, production.") in told
    assert "The job has no parameter NOPE; Jenkins would drop it silently." in told
    assert "The job declares CHATOPS_ID, but it is not passed here" in told


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("team/nightly", "The job does not declare the parameter CHATOPS_ID."),
        ("team/old", "Jenkins cannot build it now: it is disabled."),
        ("team", "team is a folder in Jenkins, not a job."),
        ("team/nosuch", "team/nosuch"),
    ],
)
def test_a_job_that_cannot_work_is_told(
    path: str, sentence: str, client: Client, house: House
) -> None:
    Job.objects.update(path=path)

    told = test(client, job_at(house))

    assert "⛔" in told
    assert sentence in told


def save_job(client: Client, house: House, **more: Any) -> str:
    form = {"name": "myservice-staging", "jenkins": house.server.pk, "purpose": "deploy"}
    form |= {"path": "team/myservice-deploy", "service": house.service.pk}
    form |= {"environment": house.staging.pk, "parameters": "REF = {ref}"}
    saved(client, f"{job_at(house)}change/", **form | more)
    return client.get("/admin/repos/job/").content.decode()


def test_a_saved_deploy_job_is_checked_at_once(client: Client, house: House) -> None:
    html = save_job(client, house)

    assert "Saved, but look at myservice-staging: The job declares CHATOPS_ID" in html


def test_a_jenkins_that_is_down_keeps_nobody_from_saving(client: Client, house: House) -> None:
    JenkinsServer.objects.update(base_url=DOWN)

    html = save_job(client, house, path="team/other")

    assert "Saved, but look at myservice-staging: Jenkins cannot be reached" in html
    assert Job.objects.get().path == "team/other"
