"""The admin's forms: each refuses in a sentence, and what is accepted is stored as the portal needs it."""

from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from audit.models import Entry
from bot.models import Bot, Grant, Person, Role
from repos.models import Environment, Forge, Job, Repository, Service
from tests.admin_house import NO_ACCOUNTS, House, boss, page, refused, saved

pytestmark = pytest.mark.django_db
FORGE = {"name": "tea", "kind": "gitee", "base_url": "https://tea.example.com/api/v5"}
DINGTALK = {
    "name": "second",
    "language": "en",
    "enabled": "on",
    "setting_app_key": "key",
    "setting_robot_code": "robot",
    "setting_corp_id": "corp",
    "secret_app_secret": "s3cret-s3cret",
}


@pytest.fixture
def house(client: Client) -> House:
    boss(client)
    return House()


def says(html: str, sentence: str) -> None:
    assert escape(sentence) in html, html.partition("errorlist")[2][:800]


@pytest.mark.parametrize(
    ("base_url", "sentence"),
    [
        ("ftp://gitee.com", "The address must begin with https:// or http://."),
        ("https://me:pass@gitee.com", "The address holds a user name or password."),
        ("https://gitee.com/?a=1", "The address must end before any “?” or “#”."),
    ],
)
def test_an_address_is_refused_with_the_reason(
    base_url: str, sentence: str, client: Client, house: House
) -> None:
    says(refused(client, "/admin/repos/forge/add/", **FORGE | {"base_url": base_url}), sentence)


def test_a_name_is_taken_whatever_its_case(client: Client, house: House) -> None:
    html = refused(client, "/admin/repos/forge/add/", **FORGE | {"name": "Gitee"})

    says(html, "The name gitee is taken by another forge. Capitals make no difference.")


def test_a_second_default_repository_is_refused_by_name(client: Client, house: House) -> None:
    Repository.objects.filter(name="shop").update(default=True)
    form = {"name": "web", "forge": house.forge.pk, "path": "acme/web", "default": "on"}
    form |= {"merge_method": "merge", "checks": "none", "approvals": 0}

    html = refused(client, "/admin/repos/repository/add/", **form)

    says(html, "shop is the portal's default already. Untick it there first.")


def test_only_a_test_job_can_be_the_test_job(client: Client, house: House) -> None:
    form = {"name": "web", "forge": house.forge.pk, "path": "acme/web", "merge_method": "merge"}
    form |= {"checks": "none", "approvals": 0, "test_job": house.job.pk}

    html = refused(client, "/admin/repos/repository/add/", **form)

    says(html, "myservice-staging is a job to deploy. Choose one whose purpose is to test.")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ({"checks": "all"}, "all"),
        ({"checks": "none"}, "none"),
        ({"checks": "named", "checks_names": "build\n unit test \n"}, ["build", "unit test"]),
    ],
)
def test_required_checks_are_chosen_or_named(
    typed: dict[str, str], stored: Any, client: Client, house: House
) -> None:
    form = {"name": "web", "forge": house.forge.pk, "path": "acme/web", "merge_method": "merge"}

    saved(client, "/admin/repos/repository/add/", **form, approvals=0, **typed)

    assert Repository.objects.get(name="web").checks == stored


def test_named_checks_need_a_name(client: Client, house: House) -> None:
    form = {"name": "web", "forge": house.forge.pk, "path": "acme/web", "checks": "named"}

    html = refused(client, "/admin/repos/repository/add/", **form, merge_method="merge")

    says(html, "Write the names of the checks, one a line, or choose none.")


def job_form(house: House, **more: Any) -> dict[str, Any]:
    form = {"name": "other", "jenkins": house.server.pk, "path": "team/other", "purpose": "build"}
    return form | {"parameters": "SHA = {sha}"} | more


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"path": "/team/x"}, "A job's path neither begins nor ends with a slash: team/shop-test."),
        ({"parameters": "SHA {sha}"}, "Line 1 is not understood. One pair a line: SHA = {sha}"),
        ({"parameters": "A = 1\nA = 2"}, "Line 2: A is there already."),
        ({"parameters": "A = {secret}"}, "The template of A holds {secret}; there are:"),
        ({"purpose": "deploy"}, "A deploy job deploys a service. Choose it."),
        ({"purpose": "deploy"}, "A deploy job deploys to an environment. Choose it."),
    ],
)
def test_a_job_is_refused_with_the_reason(
    more: dict[str, str], sentence: str, client: Client, house: House
) -> None:
    says(refused(client, "/admin/repos/job/add/", **job_form(house, **more)), sentence)


def test_one_deploy_job_a_service_and_environment(client: Client, house: House) -> None:
    form = job_form(house, purpose="deploy", service=house.service.pk, environment=house.staging.pk)

    html = refused(client, "/admin/repos/job/add/", **form)

    says(html, "myservice-staging deploys myservice to staging already.")


def test_parameters_are_lines_of_name_and_template(client: Client, house: House) -> None:
    # Shorter names first, as PostgreSQL keeps them.
    form = job_form(house, parameters="REF = {ref}\n\nNOTE = a = b\nCHATOPS_ID={run}")

    saved(client, "/admin/repos/job/add/", **form)

    job = Job.objects.get(name="other")
    assert job.parameters == {"REF": "{ref}", "CHATOPS_ID": "{run}", "NOTE": "a = b"}
    html = page(client, f"/admin/repos/job/{job.pk}/change/")
    assert "REF = {ref}\nNOTE = a = b\nCHATOPS_ID = {run}" in html


@pytest.mark.parametrize(
    ("name", "aliases", "sentence"),
    [
        ("web", "MY, w", "MY already stands for the service myservice. Choose another word."),
        ("web", "MyService", "MyService already stands for the service myservice."),
        ("my", "", "my already stands for the service myservice. Choose another word."),
        ("web", "web", "web is the name itself."),
        ("web", "a b", "'a b' is no alias"),
    ],
)
def test_a_service_s_words_are_its_own(
    name: str, aliases: str, sentence: str, client: Client, house: House
) -> None:
    says(refused(client, "/admin/repos/service/add/", name=name, aliases=aliases), sentence)


def test_aliases_are_typed_with_any_comma(client: Client, house: House) -> None:
    saved(client, "/admin/repos/service/add/", name="web", aliases="w，www、 front ,")

    assert Service.objects.get(name="web").aliases == ["w", "www", "front"]


def test_environments_cannot_wait_for_each_other(client: Client, house: House) -> None:
    production = Environment.objects.create(name="production", after=house.staging)

    html = refused(
        client,
        f"/admin/repos/environment/{house.staging.pk}/change/",
        name="staging",
        after=production.pk,
        approvals=0,
    )

    says(html, "This goes round in a circle: staging → production → staging.")


def test_a_role_shows_every_command_and_refuses_others(client: Client, house: House) -> None:
    html = page(client, "/admin/bot/role/add/")
    assert "/merge 233 [repo] [merge|squash|rebase]:" in html
    assert "/jenkins: all of its commands" in html

    html = refused(client, "/admin/bot/role/add/", name="odd", commands=["merge", "format"])
    says(html, "There is no command format.")
    says(
        refused(client, "/admin/bot/role/add/", name="odd"),
        "A role without a command gives nothing.",
    )

    saved(client, "/admin/bot/role/add/", name="merger", commands=["merge", "jenkins test"])
    assert Role.objects.get(name="merger").commands == ["merge", "jenkins test"]


def test_a_role_with_a_command_of_the_past_says_so(client: Client, house: House) -> None:
    Role.objects.filter(pk=house.role.pk).update(commands=["help", "teleport"])
    address = f"/admin/bot/role/{house.role.pk}/change/"

    assert "teleport: there is no such command" in page(client, address)
    html = refused(client, address, name="all", commands=["help", "teleport"])
    says(html, "There is no command teleport any more. Untick it.")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({}, "Choose where the role holds: everything, or one repository, service or environment."),
        ({"scope": "everything"}, "Choose the person or the team that gets the role."),
        ({"scope": "repository:9999"}, "Select a valid choice."),
        ({"until_0": "2020-01-01", "until_1": "10:00"}, "This time has passed already."),
    ],
)
def test_a_grant_says_what_it_lacks(
    more: dict[str, str], sentence: str, client: Client, house: House
) -> None:
    says(refused(client, "/admin/bot/grant/add/", role=house.role.pk, **more), sentence)


def test_a_grant_goes_to_one(client: Client, house: House) -> None:
    form = {"person": house.person.pk, "team": house.team.pk, "role": house.role.pk}

    html = refused(client, "/admin/bot/grant/add/", **form, scope="everything")

    says(html, "A grant goes to a person or to a team. Choose one of them.")


@pytest.mark.parametrize(("kind", "name"), [("repository", "shop"), ("service", "myservice")])
def test_a_grant_holds_on_what_was_chosen(
    kind: str, name: str, client: Client, house: House
) -> None:
    thing = {"repository": house.shop, "service": house.service}[kind]
    form = {"team": house.team.pk, "role": house.role.pk, "scope": f"{kind}:{thing.pk}"}

    saved(client, "/admin/bot/grant/add/", **form)

    grant = Grant.objects.get(team=house.team)
    assert grant.scope == f"{kind}:{name}"
    assert f'value="{kind}:{thing.pk}" selected' in page(
        client, f"/admin/bot/grant/{grant.pk}/change/"
    )


def test_forge_logins_are_checked_against_forges_and_people(client: Client, house: House) -> None:
    form: dict[str, Any] = {"name": "李四", "username": "lisi", "active": "on", **NO_ACCOUNTS}

    html = refused(client, "/admin/bot/person/add/", **form, forge_logins="github: lisi")
    says(html, "There is no forge github. There are: gitee.")
    html = refused(client, "/admin/bot/person/add/", **form, forge_logins="gitee: zhangsan")
    says(html, "zhangsan at gitee is 张三 already.")

    saved(client, "/admin/bot/person/add/", **form, forge_logins="gitee： lisi")
    assert Person.objects.get(username="lisi").forge_logins == {"gitee": "lisi"}


def test_an_account_belongs_to_one_person(client: Client, house: House) -> None:
    form: dict[str, Any] = {"name": "李四", "username": "lisi", "accounts-TOTAL_FORMS": "1"}
    form |= {"accounts-INITIAL_FORMS": "0", "accounts-0-platform": "dingtalk"}
    form |= {"accounts-0-tenant": "", "accounts-0-external_id": "user123"}

    html = refused(client, "/admin/bot/person/add/", **form)

    says(html, "This account is 张三's already.")


def test_a_bot_asks_for_its_platform_and_then_for_what_that_needs(
    client: Client, house: House
) -> None:
    assert "?platform=dingtalk" in page(client, "/admin/bot/bot/add/")
    html = page(client, "/admin/bot/bot/add/", platform="dingtalk")
    for name in ("setting_app_key", "setting_robot_code", "setting_corp_id", "secret_app_secret"):
        assert f'name="{name}"' in html

    saved(client, "/admin/bot/bot/add/?platform=dingtalk", **DINGTALK)

    made = Bot.objects.get(name="second")
    assert made.platform == "dingtalk"
    assert made.settings == {"app_key": "key", "robot_code": "robot", "corp_id": "corp"}
    assert made.secrets == {"app_secret": "s3cret-s3cret"}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"secret_app_secret": ""}, "It cannot work without this secret. Enter it."),
        ({"setting_robot_code": ""}, "This field is required."),
        ({"setting_app_key": "env:KEY"}, "Enter the value itself; env:NAME is read only from"),
        ({"setting_api_base": "gopher://x"}, "The address must begin with https:// or http://."),
        ({"setting_corp_id": "a\u202eb"}, "Corp id holds a character that cannot be seen."),
    ],
)
def test_a_bot_is_refused_with_the_reason(
    more: dict[str, str], sentence: str, client: Client, house: House
) -> None:
    html = refused(client, "/admin/bot/bot/add/?platform=dingtalk", **DINGTALK | more)

    says(html, sentence)


def test_settings_that_the_form_does_not_know_are_kept(client: Client, house: House) -> None:
    house.bot.settings |= {"learnt": "kept"}
    house.bot.save()
    form = DINGTALK | {"name": "ops", "secret_app_secret": ""}

    saved(client, f"/admin/bot/bot/{house.bot.pk}/change/", **form)

    house.bot.refresh_from_db()
    assert house.bot.settings == {
        "learnt": "kept",
        "app_key": "key",
        "robot_code": "robot",
        "corp_id": "corp",
    }


def test_every_form_s_change_is_on_record(client: Client, house: House) -> None:
    saved(client, "/admin/repos/forge/add/", **FORGE, secret_token="t0ken-t0ken")
    saved(client, "/admin/repos/service/add/", name="web", aliases="w")
    saved(client, "/admin/bot/role/add/", name="merger", commands=["merge"])
    saved(
        client,
        "/admin/bot/grant/add/",
        person=house.person.pk,
        role=house.role.pk,
        scope="everything",
    )
    client.post(f"/admin/repos/environment/{house.staging.pk}/delete/", {"post": "yes"})

    told = Entry.objects.filter(event="config.changed").order_by("seq")
    assert [(entry.reason, entry.target_kind) for entry in told] == [
        ("added", "forge"),
        ("added", "service"),
        ("added", "role"),
        ("added", "grant"),
        ("removed", "environment"),
    ]
    assert all(entry.username == "boss" for entry in told)
    assert told[0].changes["token"] == {"old": "", "new": "set"}
    assert told[1].changes["aliases"] == {"old": "", "new": '["w"]'}


def test_a_forge_is_stored_as_typed(client: Client, house: House) -> None:
    saved(client, "/admin/repos/forge/add/", **FORGE, secret_token=" t0ken-t0ken ")

    forge = Forge.objects.get(name="tea")
    assert (forge.base_url, forge.token) == ("https://tea.example.com/api/v5", "t0ken-t0ken")
