"""Import: what a forge's token and a Jenkins user see becomes repositories and jobs, by command and in the admin."""

import html
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import Entry
from chatops_site.sandbox.client import Sandbox
from repos.importing import propose_name
from repos.models import Forge, JenkinsServer, Job, Repository
from tests.admin_house import boss, log_in, page
from tests.portal import Chat

FORGE = "/admin/repos/forge/{}/import/"
SERVER = "/admin/repos/jenkinsserver/{}/import/"


def run(command: str, *arguments: str, **options: Any) -> str:
    told = StringIO()
    call_command(command, *arguments, stdout=told, **options)
    return told.getvalue()


@pytest.fixture(name="fresh")
def fresh_fixture(chat: Chat) -> Chat:
    """The demo portal, that knows the shop only."""
    Repository.objects.exclude(name="shop").delete()
    Job.objects.exclude(name="shop-test").delete()
    return chat


# By command


def test_without_a_path_it_lists_what_is_there(fresh: Chat) -> None:
    told = run("import_repositories", "gitee")

    assert told.splitlines() == ["acme/shop  → shop  (is shop)", "acme/web  → web"]
    assert Repository.objects.count() == 1


def test_a_path_is_taken_over_and_recorded(fresh: Chat) -> None:
    assert run("import_repositories", "gitee", "acme/web") == "+ web  acme/web\n"

    made = Repository.objects.get(name="web")
    assert (made.path, made.forge.name) == ("acme/web", "gitee")
    entry = Entry.objects.get(event="config.changed")
    assert (entry.target_kind, entry.target, entry.actor_kind) == ("repository", "web", "system")


def test_all_takes_what_is_new_and_twice_changes_nothing(fresh: Chat) -> None:
    run("import_repositories", "gitee", all=True)
    again = run("import_repositories", "gitee", all=True)

    assert sorted(Repository.objects.values_list("name", flat=True)) == ["shop", "web"]
    assert "+" not in again


def test_a_search_narrows_it(fresh: Chat) -> None:
    assert run("import_repositories", "gitee", search="WE").splitlines() == ["acme/web  → web"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["acme/nowhere"], "acme/nowhere: Gitee has no acme/nowhere"),
        (["acme/shop"], "acme/shop: is in the portal already"),
        (["ACME/Shop"], "ACME/Shop: is in the portal already"),
    ],
)
def test_what_cannot_be_taken_over_is_told_and_ends_with_an_error(
    fresh: Chat, paths: list[str], said: str
) -> None:
    told = StringIO()
    with pytest.raises(CommandError, match="1 of 1 were not taken over"):
        call_command("import_repositories", "gitee", *paths, stdout=told)

    assert said in told.getvalue()
    assert Repository.objects.count() == 1


def test_an_unknown_forge_is_named_with_those_there_are(fresh: Chat) -> None:
    with pytest.raises(CommandError, match="There is no 'hub'; there are: gitee"):
        run("import_repositories", "hub")


def test_a_refused_token_is_told_in_its_sentence(fresh: Chat) -> None:
    Forge.objects.update(token="demo-gitee-token-expired")
    with pytest.raises(CommandError, match="refuses the portal's token"):
        run("import_repositories", "gitee")


def test_what_the_token_does_not_see_is_not_listed(fresh: Chat) -> None:
    Forge.objects.update(token="demo-gitee-token-outsider")
    assert run("import_repositories", "gitee") == ""


def test_jobs_are_found_in_folders_with_what_they_seem_to_be_for(fresh: Chat) -> None:
    told = run("import_jobs", "main").splitlines()

    assert "team/shop-test  → shop-test  (is shop-test · test)" in told
    assert "team/billing-deploy  → billing-deploy  (deploy · billing)" in told
    assert "team/web-test  → web-test  (test · web)" in told


def test_a_job_comes_with_its_purpose_service_and_parameters(fresh: Chat) -> None:
    run("import_jobs", "main", "team/billing-deploy")

    job = Job.objects.get(name="billing-deploy")
    assert (job.purpose, str(job.service), job.environment) == ("deploy", "billing", None)
    assert job.parameters == {
        "REF": "{ref}",
        "SHA": "{sha}",
        "ENV": "{environment}",
        "CHATOPS_ID": "{run}",
    }


@pytest.mark.parametrize(
    ("path", "taken", "name"),
    [
        ("acme/shop", set(), "shop"),
        ("acme/shop", {"shop"}, "acme-shop"),
        ("acme/Shop", {"shop", "acme-shop"}, "acme-Shop-2"),
        ("组/仓库", set(), "x"),
        ("a/-b c!", set(), "b-c"),
        ("mb/feature%2Fx", set(), "feature-x"),
        ("a/" + "n" * 90, set(), "n" * 60),
    ],
)
def test_a_name_is_proposed_that_is_free_and_can_be_typed(
    path: str, taken: set[str], name: str
) -> None:
    assert propose_name(path, taken) == name


# In the admin


@pytest.fixture(name="admin")
def admin_fixture(fresh: Chat) -> Client:
    client = Client()
    boss(client)
    return client


def forge_at() -> str:
    return FORGE.format(Forge.objects.get().pk)


def test_the_forges_page_leads_to_its_import(admin: Client) -> None:
    address = f"/admin/repos/forge/{Forge.objects.get().pk}/change/"
    assert f'href="{forge_at()}"' in page(admin, address)


def test_the_page_lists_what_is_there_and_what_is_known(admin: Client) -> None:
    shown = page(admin, forge_at())

    assert 'value="acme/shop" id="row-1" disabled' in shown
    assert 'value="acme/web" id="row-2">' in shown


def test_the_chosen_ones_are_made_by_whoever_pressed(admin: Client) -> None:
    answer = admin.post(forge_at(), {"path": ["acme/web", "acme/nowhere"]}, follow=True)
    told = answer.content.decode()

    assert "Taken over: web" in told
    assert "cme/nowhere: Gitee has no acme/nowhere" in html.unescape(told)
    assert Repository.objects.get(name="web").path == "acme/web"
    assert Entry.objects.get(event="config.changed").username == "boss"


def test_a_long_list_has_pages_and_a_search(admin: Client, sandbox: Sandbox) -> None:
    for number in range(120):
        sandbox.change_gitee("add_repository", repository=f"acme/lib-{number:03}")

    first = page(admin, forge_at())
    second = page(admin, forge_at(), p="2")
    sought = page(admin, forge_at(), q="lib-11")

    assert first.count('type="checkbox"') == 100
    assert "100 of 122 shown" in first
    assert second.count('type="checkbox"') == 22
    assert sought.count('type="checkbox"') == 10


def test_a_forge_that_is_down_is_told_on_the_page(admin: Client, sandbox: Sandbox) -> None:
    sandbox.fault("gitee", "status", status=503, times=-1)
    assert "Gitee answered 503" in page(admin, forge_at())


def test_nothing_chosen_is_told(admin: Client) -> None:
    assert "Nothing was chosen" in admin.post(forge_at(), {}, follow=True).content.decode()


def test_jobs_are_imported_from_their_servers_page(admin: Client) -> None:
    address = SERVER.format(JenkinsServer.objects.get().pk)
    shown = page(admin, address, q="billing")
    admin.post(address, {"path": ["team/billing-deploy"]})

    assert shown.count('type="checkbox"') == 2
    assert Job.objects.get(name="billing-deploy").purpose == "deploy"


@pytest.mark.parametrize("group", ["operator", "auditor"])
def test_only_who_may_change_the_forge_and_add_repositories_may_import(
    fresh: Chat, group: str
) -> None:
    client = Client()
    names = {"operator": 200, "auditor": 403}
    log_in(client, group)

    assert client.get(forge_at()).status_code == names[group]
    assert client.post(forge_at(), {"path": ["acme/web"]}).status_code in (302, 403)
    assert Repository.objects.filter(name="web").exists() == (group == "operator")
