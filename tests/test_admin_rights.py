"""Who may what in the admin: auditors read, operators set up, nobody gives away what they do not have."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from audit.models import Entry
from bot.models import Person
from tests.admin_house import NO_ACCOUNTS, House, boss, log_in, page, refused, saved

pytestmark = pytest.mark.django_db
LACKING = "You cannot give rights that you do not have:"


def user_form(user: User, **more: Any) -> dict[str, Any]:
    form = {"username": user.username, "is_active": "on", "date_joined_0": "2026-01-01"}
    return form | {"date_joined_1": "10:00:00"} | more


def right(codename: str) -> Permission:
    return Permission.objects.get(codename=codename)


def pages_of(house: House) -> list[str]:
    things = (
        *(house.forge, house.shop, house.server, house.job, house.service, house.staging),
        *(house.bot, house.group, house.person, house.team, house.role, house.grant),
    )
    return [f"/admin/{each._meta.app_label}/{each._meta.model_name}/{each.pk}/" for each in things]


def test_an_auditor_reads_everything_and_changes_nothing(client: Client) -> None:
    log_in(client, "auditor")
    house = House()

    for address in pages_of(house):
        html = page(client, f"{address}change/")
        assert 'name="_save"' not in html, address
        assert "test-button" not in html, address
        assert client.post(f"{address}change/", {"name": "x"}).status_code == 403, address
        assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403, address
        assert client.get(f"{address.rsplit('/', 2)[0]}/add/").status_code == 403, address
    assert not Entry.objects.filter(event="config.changed").exists()


def test_an_auditor_reads_what_a_grant_is_on(client: Client) -> None:
    log_in(client, "auditor")
    house = House()

    assert "everything" in page(client, f"/admin/bot/grant/{house.grant.pk}/change/")


def test_an_operator_sets_up_but_gives_no_rights(client: Client) -> None:
    log_in(client, "operator")
    house = House()

    saved(client, "/admin/repos/service/add/", name="web", aliases="")
    for address in ("/admin/bot/grant/add/", "/admin/bot/role/add/", "/admin/auth/user/add/"):
        assert client.get(address).status_code == 403, address
    html = page(client, f"/admin/bot/person/{house.person.pk}/change/")
    assert 'name="user"' not in html


def test_an_operator_cannot_become_another_person(client: Client) -> None:
    user = log_in(client, "operator")
    house = House()
    form: dict[str, Any] = {"name": "张三", "username": "zhangsan", "active": "on"}
    form |= {"forge_logins": "", "user": user.pk, **NO_ACCOUNTS}

    saved(client, f"/admin/bot/person/{house.person.pk}/change/", **form)

    assert Person.objects.get().user is None


def test_someone_without_any_right_sees_no_section(client: Client) -> None:
    user = User.objects.create_user("nobody", password="a long pass word", is_staff=True)
    client.force_login(user)
    House()

    html = page(client, "/admin/")

    assert "Li Lei" not in html
    assert "/deploy" not in html
    assert client.get("/admin/bot/run/").status_code == 403


def test_an_administrator_does_not_make_superusers(client: Client) -> None:
    log_in(client, "portal administrator")
    other = User.objects.create_user("other", password="a long pass word")

    saved(client, f"/admin/auth/user/{other.pk}/change/", **user_form(other, is_superuser="on"))

    other.refresh_from_db()
    assert not other.is_superuser


@pytest.mark.parametrize("what", ["change/", "delete/", "password/"])
def test_an_administrator_does_not_touch_a_superuser(what: str, client: Client) -> None:
    log_in(client, "portal administrator")
    root = User.objects.create_superuser("root", password="a long pass word")
    form = {"password1": "another pass word", "password2": "another pass word", "post": "yes"}

    assert client.post(f"/admin/auth/user/{root.pk}/{what}", form).status_code == 403

    root.refresh_from_db()
    assert root.check_password("a long pass word")


def test_nor_somebody_who_holds_more(client: Client) -> None:
    log_in(client, "portal administrator")
    other = User.objects.create_user("other", password="a long pass word", is_active=False)
    other.user_permissions.add(right("add_session"))

    answer = client.post(f"/admin/auth/user/{other.pk}/change/", user_form(other))

    assert answer.status_code == 403


def test_nobody_gives_a_right_that_they_lack(client: Client) -> None:
    log_in(client, "portal administrator")
    other = User.objects.create_user("other", password="a long pass word")
    address = f"/admin/auth/user/{other.pk}/change/"

    form = user_form(other, user_permissions=[right("delete_session").pk])
    assert f"{LACKING} delete_session." in refused(client, address, **form)

    saved(client, address, **user_form(other, user_permissions=[right("change_bot").pk]))
    assert other.user_permissions.get() == right("change_bot")


def test_nor_a_group_with_such_a_right(client: Client) -> None:
    log_in(client, "portal administrator")
    other = User.objects.create_user("other", password="a long pass word")
    strong = Group.objects.create(name="strong")
    strong.permissions.add(right("delete_session"))
    address = f"/admin/auth/user/{other.pk}/change/"

    assert LACKING in refused(client, address, **user_form(other, groups=[strong.pk]))
    operator = Group.objects.get(name="operator")
    saved(client, address, **user_form(other, groups=[operator.pk]))
    assert list(other.groups.all()) == [operator]


def test_nor_puts_it_into_a_group(client: Client) -> None:
    log_in(client, "portal administrator")
    address = f"/admin/auth/group/{Group.objects.get(name='operator').pk}/change/"

    html = refused(client, address, name="operator", permissions=[right("delete_session").pk])

    assert LACKING in html


def test_a_superuser_gives_anything_and_it_is_on_record(client: Client) -> None:
    boss(client)
    other = User.objects.create_user("other", password="a long pass word")
    wanted = right("delete_session")

    saved(
        client,
        f"/admin/auth/user/{other.pk}/change/",
        **user_form(other, user_permissions=[wanted.pk], is_superuser="on"),
    )

    entry = Entry.objects.get(event="config.changed")
    assert entry.changes["is_superuser"] == {"old": "False", "new": "True"}
    assert entry.changes["user_permissions"] == {"old": "", "new": str(wanted)}


def test_a_new_user_is_on_record(client: Client) -> None:
    boss(client)
    form = {"username": "new", "password1": "some-long-word", "password2": "some-long-word"}

    saved(client, "/admin/auth/user/add/", **form, usable_password="true")

    entry = Entry.objects.get(event="config.changed")
    assert (entry.reason, entry.target) == ("added", "new")
    assert entry.changes["password"] == {"old": "", "new": "set"}


def test_nothing_is_registered_without_the_record() -> None:
    plain = [
        model.__name__
        for model, page_of in admin.site._registry.items()
        if "record" not in _words(type(page_of)) and not _read_only(page_of)
    ]

    assert plain == []


def _words(kind: type) -> str:
    return "record" if any(base.__name__ == "AuditedAdmin" for base in kind.__mro__) else ""


def _read_only(page_of: Any) -> bool:
    return type(page_of).__mro__[1].__name__ in ("ReadOnlyAdmin", "KeysetAdmin")
