"""Edits in the admin and logins: each leaves what it changed, however it was made."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.urls import path

from audit.changes import AuditedAdmin
from audit.record import Entry, Event

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class Memberships(admin.TabularInline):  # type: ignore[type-arg]
    model = User.groups.through
    extra = 1


class GroupWithMembers(AuditedAdmin):
    inlines = [Memberships]
    list_display = ["id", "name"]
    list_editable = ["name"]


site = admin.AdminSite(name="audited")
site.register(Group, GroupWithMembers)
site.register(ContentType, AuditedAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("audited/", site.urls)]

GROUPS = "/audited/auth/group/"
NO_LINES = {
    "User_groups-TOTAL_FORMS": "0",
    "User_groups-INITIAL_FORMS": "0",
}


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="a long pass word"))
    return client


def told() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Every configuration change on record: reason, kind, target, changes."""
    rows = Entry.objects.filter(event=Event.CONFIG_CHANGED).order_by("seq")
    return [(row.reason, row.target_kind, row.target, row.changes) for row in rows]


def post(client: Client, address: str, **form: Any) -> None:
    answer = client.post(address, form)
    assert answer.status_code == 302, answer.content.decode()


def test_an_addition_is_on_record_with_who_and_from_where(boss: Client) -> None:
    post(boss, f"{GROUPS}add/", name="operators", **NO_LINES)

    ((reason, kind, target, changes),) = told()
    assert (reason, kind, target) == ("added", "group", "operators")
    assert changes["name"] == {"old": "", "new": "operators"}
    entry = Entry.objects.get(event=Event.CONFIG_CHANGED)
    assert (entry.username, entry.source_ip, entry.actor_kind) == ("boss", "127.0.0.1", "portal")


def test_an_edit_is_on_record_with_its_permission_list(boss: Client) -> None:
    group = Group.objects.create(name="operators")
    right = Permission.objects.get(codename="view_group")

    post(boss, f"{GROUPS}{group.pk}/change/", name="ops", permissions=[right.pk], **NO_LINES)

    ((reason, _kind, target, changes),) = told()
    assert (reason, target) == ("changed", "ops")
    assert changes == {
        "name": {"old": "operators", "new": "ops"},
        "permissions": {"old": "", "new": str(right)},
    }


def test_saving_without_a_change_leaves_nothing(boss: Client) -> None:
    group = Group.objects.create(name="operators")

    post(boss, f"{GROUPS}{group.pk}/change/", name="operators", **NO_LINES)

    assert told() == []


def test_an_edit_in_the_list_is_on_record(boss: Client) -> None:
    group = Group.objects.create(name="operators")
    form = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": group.pk}

    post(boss, GROUPS, **form, **{"form-0-name": "ops", "_save": "Save"})

    assert [(reason, changes) for reason, _kind, _target, changes in told()] == [
        ("changed", {"name": {"old": "operators", "new": "ops"}})
    ]


def test_lines_added_and_removed_inside_a_form_are_on_record(boss: Client) -> None:
    group = Group.objects.create(name="operators")
    old, new = User.objects.create_user("li"), User.objects.create_user("wang")
    group.user_set.add(old)
    line = User.groups.through.objects.get()
    form = {
        "User_groups-TOTAL_FORMS": "2",
        "User_groups-INITIAL_FORMS": "1",
        "User_groups-0-id": line.pk,
        "User_groups-0-group": group.pk,
        "User_groups-0-user": old.pk,
        "User_groups-0-DELETE": "on",
        "User_groups-1-group": group.pk,
        "User_groups-1-user": new.pk,
    }
    post(boss, f"{GROUPS}{group.pk}/change/", name="operators", **form)

    moved = [(reason, kind, changes["user"]) for reason, kind, _target, changes in told()]
    assert moved == [
        ("removed", "user_groups", {"old": "li", "new": ""}),
        ("added", "user_groups", {"old": "", "new": "wang"}),
    ]


def test_a_removal_is_on_record_with_what_it_was(boss: Client) -> None:
    group = Group.objects.create(name="operators")

    post(boss, f"{GROUPS}{group.pk}/delete/", post="yes")

    ((reason, _kind, target, changes),) = told()
    assert (reason, target) == ("removed", "operators")
    assert changes["name"] == {"old": "operators", "new": ""}


def test_a_removal_in_bulk_leaves_one_entry_each(boss: Client) -> None:
    keys = [Group.objects.create(name=name).pk for name in ("a", "b", "c")]

    post(boss, GROUPS, action="delete_selected", _selected_action=keys, post="yes")

    assert sorted((reason, target) for reason, _kind, target, _changes in told()) == [
        ("removed", "a"),
        ("removed", "b"),
        ("removed", "c"),
    ]
    assert not Group.objects.filter(pk__in=keys).exists()


def test_nothing_is_edited_while_the_record_cannot_be_written(boss: Client) -> None:
    group = Group.objects.create(name="operators")
    boss.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry RENAME TO elsewhere")

    answer = boss.post(f"{GROUPS}{group.pk}/change/", {"name": "ops", **NO_LINES})

    assert answer.status_code == 500
    assert Group.objects.get(pk=group.pk).name == "operators"


def test_users_and_groups_of_the_portal_are_on_record(boss: Client) -> None:
    user = User.objects.create_user("li", password="a long pass word")
    form = {"username": "li", "is_superuser": "on", "is_active": "on"}
    stamp = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}

    post(boss, f"/admin/auth/user/{user.pk}/change/", **form, **stamp)

    ((reason, kind, target, changes),) = told()
    assert (reason, kind, target) == ("changed", "user", "li")
    assert changes["is_superuser"] == {"old": "False", "new": "True"}
    assert "password" not in changes


def test_a_new_password_is_on_record_without_the_password(boss: Client) -> None:
    user = User.objects.create_user("li", password="an older pass word")
    word = "a new pass word 2"
    form = {"password1": word, "password2": word, "usable_password": "true"}

    post(boss, f"/admin/auth/user/{user.pk}/password/", **form, **{"set-password": "1"})

    assert told() == [("changed", "user", "li", {"password": {"old": "set", "new": "changed"}})]


def test_a_removal_tells_what_went_along(boss: Client) -> None:
    kind = ContentType.objects.create(app_label="shop", model="till")
    Permission.objects.create(content_type=kind, codename="open_till", name="May open it")

    post(boss, f"/audited/contenttypes/contenttype/{kind.pk}/delete/", post="yes")

    entry = Entry.objects.get(event=Event.CONFIG_CHANGED)
    assert (entry.reason, entry.target_kind) == ("removed", "contenttype")
    assert entry.external == {"also_removed": ["permission till | May open it"]}


def login(client: Client, username: str, password: str) -> None:
    client.post("/admin/login/", {"username": username, "password": password})


def logins() -> list[tuple[str, str, str]]:
    rows = Entry.objects.filter(event__startswith="login").order_by("seq")
    return [(row.event, row.username, row.source_ip) for row in rows]


def test_a_login_is_on_record(client: Client) -> None:
    User.objects.create_superuser("boss", password="a long pass word")

    login(client, "boss", "a long pass word")

    assert logins() == [("login.ok", "boss", "127.0.0.1")]


def test_whoever_guesses_is_stopped_with_the_right_password_too(client: Client) -> None:
    User.objects.create_superuser("boss", password="a long pass word")
    User.objects.create_superuser("other", password="another pass word")
    for number in range(10):
        login(client, "boss", f"guess {number}")

    login(client, "boss", "a long pass word")

    assert "_auth_user_id" not in client.session
    assert Entry.objects.filter(event="login.failed", reason="locked").count() == 1
    login(client, "other", "another pass word")
    assert "_auth_user_id" in client.session


def test_a_failed_login_is_on_record_without_what_was_typed(client: Client) -> None:
    User.objects.create_superuser("boss", password="a long pass word")

    login(client, "boss", "wrong pass word")
    login(client, "a long pass word", "typed in the wrong field")
    login(client, "n\x00l", "x")

    assert [event for event, _name, _address in logins()] == ["login.failed"] * len(logins())
    assert logins()[:2] == [
        ("login.failed", "boss", "127.0.0.1"),
        ("login.failed", "", "127.0.0.1"),
    ]
    assert "pass word" not in repr(list(Entry.objects.values()))
