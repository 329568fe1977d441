"""The admin's three roles as groups: portal administrator, operator, auditor."""

from django.apps.registry import Apps, apps as real_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# What an operator sets up; an administrator may also say who may what.
SET_UP = {
    "repos": ["forge", "repository", "jenkinsserver", "environment", "service", "job"],
    "bot": ["bot", "conversation"],
}
RIGHTS = {
    "bot": ["person", "account", "team", "role", "grant", "accessrequest"],
    "auth": ["user", "group"],
}
HISTORY = {"bot": ["run", "reply"], "audit": ["entry"]}


def permissions(apps: Apps, where: dict[str, list[str]], *actions: str) -> list[object]:
    Permission = apps.get_model("auth", "Permission")
    names = [f"{action}_{model}" for models in where.values() for model in models for action in actions]
    return list(Permission.objects.filter(content_type__app_label__in=where, codename__in=names))


def make_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for label in ("auth", "repos", "bot", "audit"):
        create_permissions(real_apps.get_app_config(label), verbosity=0)
    group = apps.get_model("auth", "Group").objects.get_or_create
    everything = ("view", "add", "change", "delete")
    view = lambda where: permissions(apps, where, "view")  # noqa: E731
    administrator, _ = group(name="portal administrator")
    administrator.permissions.set(
        permissions(apps, SET_UP, *everything) + permissions(apps, RIGHTS, *everything) + view(HISTORY)
    )
    operator, _ = group(name="operator")
    operator.permissions.set(
        permissions(apps, SET_UP, *everything)
        + permissions(apps, {"bot": ["person", "account", "accessrequest"]}, *everything)
        + view({"bot": ["team", "role", "grant"]})
        + view(HISTORY)
    )
    auditor, _ = group(name="auditor")
    auditor.permissions.set(view(SET_UP) + view({"bot": RIGHTS["bot"]}) + view(HISTORY))


def remove_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    names = ("portal administrator", "operator", "auditor")
    apps.get_model("auth", "Group").objects.filter(name__in=names).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("repos", "0001_initial"),
        ("bot", "0001_initial"),
        ("audit", "0001_entries"),
    ]
    operations = [migrations.RunPython(make_groups, remove_groups)]
