"""Secrets in the admin: they go in, are told as set or not, and come out nowhere."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from audit.models import Entry
from bot.models import Bot
from repos.models import Forge, JenkinsServer
from tests.admin_house import APP_SECRET, HOOK, TOKEN, House, boss, log_in, page, refused, saved

pytestmark = pytest.mark.django_db
NEW = "brand-new-secret-99"
ANEW = "The address leads to another host now. Enter the secret again, or clear it,"


@pytest.fixture
def house(client: Client) -> House:
    boss(client)
    return House()


def forge_form(house: House, **more: Any) -> dict[str, Any]:
    return {"name": "gitee", "kind": "gitee", "base_url": house.forge.base_url} | more


def bot_form(**more: Any) -> dict[str, Any]:
    form = {"name": "ops", "language": "en", "enabled": "on", "setting_app_key": "dingdemokey"}
    return form | {"setting_robot_code": "r", "setting_corp_id": "ding-demo-corp"} | more


def forge_page(house: House) -> str:
    return f"/admin/repos/forge/{house.forge.pk}/change/"


def states(html: str) -> list[str]:
    return re.findall(r'aria-hidden="true">[✓○]</span> (set|not set)</span>', html)


def test_no_page_holds_a_secret(client: Client, house: House) -> None:
    addresses = [
        *(f"/admin/repos/{name}/" for name in ("forge", "jenkinsserver", "job", "repository")),
        *("/admin/bot/bot/", "/admin/bot/conversation/", "/admin/", "/admin/audit/entry/"),
        forge_page(house),
        f"/admin/repos/forge/{house.forge.pk}/history/",
        f"/admin/repos/jenkinsserver/{house.server.pk}/change/",
        f"/admin/bot/bot/{house.bot.pk}/change/",
        f"/admin/bot/bot/{house.bot.pk}/delete/",
    ]
    for address in addresses:
        html = page(client, address)
        for secret in (TOKEN, HOOK, APP_SECRET):
            assert secret not in html, address


def test_a_typed_secret_is_not_given_back_with_an_error(client: Client, house: House) -> None:
    form = forge_form(house, base_url="nonsense", secret_token=NEW)

    html = refused(client, forge_page(house), **form)

    assert "errorlist" in html
    assert NEW not in html


def test_the_page_says_which_are_set(client: Client, house: House) -> None:
    Forge.objects.filter(pk=house.forge.pk).update(webhook_secret="")

    assert states(page(client, forge_page(house))) == ["set", "not set"]


def test_it_says_since_when_and_by_whom(client: Client, house: House) -> None:
    saved(client, forge_page(house), **forge_form(house, secret_token=NEW))

    assert re.search(r"on \w+\.? \d+, \d{4} by boss", page(client, forge_page(house)))


def test_an_empty_box_keeps_the_secret(client: Client, house: House) -> None:
    saved(client, forge_page(house), **forge_form(house, name="gitee2"))

    house.forge.refresh_from_db()
    assert (house.forge.token, house.forge.webhook_secret) == (TOKEN, HOOK)


def test_a_new_secret_replaces_the_old_and_its_variable(client: Client, house: House) -> None:
    sources = {"token": "GITEE_TOKEN", "webhook_secret": "GITEE_HOOK"}
    Forge.objects.filter(pk=house.forge.pk).update(secret_sources=sources)

    saved(client, forge_page(house), **forge_form(house, secret_token=NEW))

    house.forge.refresh_from_db()
    assert house.forge.token == NEW
    assert house.forge.secret_sources == {"webhook_secret": "GITEE_HOOK"}


def test_a_tick_clears_it(client: Client, house: House) -> None:
    saved(client, forge_page(house), **forge_form(house, secret_webhook_secret_clear="on"))

    house.forge.refresh_from_db()
    assert (house.forge.token, house.forge.webhook_secret) == (TOKEN, "")


def test_either_new_or_cleared(client: Client, house: House) -> None:
    form = forge_form(house, secret_token=NEW, secret_token_clear="on")

    assert "Either enter a new value or clear it, not both." in refused(
        client, forge_page(house), **form
    )


def test_a_form_reads_no_variable_of_the_server(client: Client, house: House) -> None:
    html = refused(client, forge_page(house), **forge_form(house, secret_token="env:SECRET_KEY"))

    assert "Enter the secret itself. env:NAME is read only from the configuration file" in html
    house.forge.refresh_from_db()
    assert house.forge.token == TOKEN


def test_the_record_knows_that_it_moved_and_nothing_more(client: Client, house: House) -> None:
    saved(client, forge_page(house), **forge_form(house, secret_token=NEW))
    saved(client, forge_page(house), **forge_form(house, secret_token_clear="on"))

    first, second = Entry.objects.filter(event="config.changed").order_by("seq")
    assert first.changes["token"] == {"old": "set", "new": "changed"}
    assert second.changes["token"] == {"old": "set", "new": "cleared"}
    assert NEW not in str(first.changes) + str(second.changes) + first.detail


@pytest.mark.parametrize(
    "address", ["https://evil.example.com/api/v5", "https://gitee.com:8443/api/v5"]
)
def test_a_stored_token_does_not_follow_to_another_host(
    address: str, client: Client, house: House
) -> None:
    html = refused(client, forge_page(house), **forge_form(house, base_url=address))

    assert ANEW in html
    house.forge.refresh_from_db()
    assert house.forge.base_url == "https://gitee.com/api/v5"


def test_another_path_on_the_same_host_keeps_it(client: Client, house: House) -> None:
    saved(client, forge_page(house), **forge_form(house, base_url="https://gitee.com/api/v6"))

    house.forge.refresh_from_db()
    assert house.forge.token == TOKEN


def test_jenkins_asks_anew_as_well(client: Client, house: House) -> None:
    address = f"/admin/repos/jenkinsserver/{house.server.pk}/change/"
    form = {"name": "main", "base_url": "https://evil.example.com", "username": "bot"}

    assert ANEW in refused(client, address, **form)
    saved(client, address, **form, secret_token=NEW)

    assert JenkinsServer.objects.get().token == NEW


def test_a_bot_s_secrets_do_not_follow_either(client: Client, house: House) -> None:
    address = f"/admin/bot/bot/{house.bot.pk}/change/"

    html = refused(client, address, **bot_form(setting_api_base="https://evil.example.com"))

    assert ANEW in html


def test_a_needed_secret_has_no_tick_and_cannot_be_cleared(client: Client, house: House) -> None:
    address = f"/admin/bot/bot/{house.bot.pk}/change/"
    assert 'name="secret_app_secret_clear"' not in page(client, address)

    html = refused(client, address, **bot_form(secret_app_secret_clear="on"))

    assert "It cannot work without this secret. Enter it." in html
    assert Bot.objects.get().secrets == {"app_secret": APP_SECRET}


def test_a_second_live_secret_of_a_bot_comes_and_goes(client: Client, house: House) -> None:
    address = f"/admin/bot/bot/{house.bot.pk}/change/"

    saved(client, address, **bot_form(secret_app_secret_old="old-secret-12"))
    assert Bot.objects.get().secrets == {
        "app_secret": APP_SECRET,
        "app_secret_old": "old-secret-12",
    }
    saved(client, address, **bot_form(secret_app_secret_old_clear="on"))
    assert Bot.objects.get().secrets == {"app_secret": APP_SECRET}


def test_whoever_may_only_look_reads_set_and_not_set(client: Client) -> None:
    log_in(client, "auditor")
    house = House()

    assert "token: set, webhook_secret: set" in page(client, forge_page(house))
    html = page(client, f"/admin/bot/bot/{house.bot.pk}/change/")
    assert "app_secret: set, app_secret_old: not set" in html
    assert escape("app_key: dingdemokey") in html
