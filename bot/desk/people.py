"""The admin's pages of people, teams, roles and grants."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import display
from audit.changes import AuditedAdmin
from bot.desk.import_people import import_page, may_import
from bot.desk.people_forms import AccountForm, GrantForm, PersonForm, RoleForm
from bot.people.models import Account, Grant, Person, Role, Team

if TYPE_CHECKING:
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _TabularInline = admin.TabularInline

CHECKBOXES: dict[Any, Any] = {models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}


class AccountInline(_TabularInline):
    model = Account
    form = AccountForm
    fields = ("platform", "tenant", "external_id")
    extra = 0


@admin.register(Person)
class PersonAdmin(AuditedAdmin):
    form = PersonForm
    inlines: ClassVar[Any] = [AccountInline]
    list_display = ("name", "username", "accounts_said", "teams_said", "active")
    list_filter = ("active", "teams")
    search_fields = ("name", "username", "accounts__external_id", "forge_logins")
    fieldsets = (
        (None, {"fields": ("name", "username", "active")}),
        (gettext_lazy("At the forges"), {"fields": ("forge_logins", "repository")}),
        (gettext_lazy("In this portal"), {"fields": ("user",)}),
    )

    change_list_template = "bot/people.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(import_page)
        return [path("import/", view, name="bot_person_import"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {**(extra_context or {}), "may_import": may_import(request)}
        return super().changelist_view(request, context)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related("accounts", "teams")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Who links a portal user to a person lends that user the person's rights."""
        return () if request.user.has_perm("bot.change_grant") else ("user",)

    @admin.display(description=gettext_lazy("accounts"))
    def accounts_said(self, person: Person) -> str:
        return ", ".join(map(str, person.accounts.all())) or _("none")

    @admin.display(description=gettext_lazy("teams"))
    def teams_said(self, person: Person) -> str:
        return ", ".join(team.name for team in person.teams.all()) or "–"


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    list_display = ("name", "members_said")
    search_fields = ("name", "members__name")
    fields = ("name", "members")
    formfield_overrides: ClassVar[Any] = CHECKBOXES

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related("members")

    @admin.display(description=gettext_lazy("members"))
    def members_said(self, team: Team) -> str:
        return ", ".join(person.name for person in team.members.all()) or _("nobody")


@admin.register(Role)
class RoleAdmin(AuditedAdmin):
    form = RoleForm
    list_display = ("name", "commands_said")
    search_fields = ("name", "commands")
    fields = ("name", "commands")

    @admin.display(description=gettext_lazy("commands"))
    def commands_said(self, role: Role) -> str:
        return ", ".join(f"/{command}" for command in role.commands)


@admin.register(Grant)
class GrantAdmin(AuditedAdmin):
    form = GrantForm
    list_display = ("to", "role", "on", "only_in", "until_said")
    list_select_related = ("person", "team", "role", "repository", "service", "environment")
    list_filter = ("role", "team", "repository", "service", "environment")
    search_fields = ("person__name", "team__name", "role__name")
    fieldsets = (
        (None, {"fields": ("person", "team", "role", "scope")}),
        (gettext_lazy("Narrower"), {"fields": ("conversations", "until")}),
    )
    formfield_overrides: ClassVar[Any] = CHECKBOXES

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related("conversations")

    @admin.display(description=gettext_lazy("to"), ordering="person__name")
    def to(self, grant: Grant) -> str:
        if grant.person:
            return grant.person.name
        return _("team %(team)s") % {"team": grant.team}

    @admin.display(description=gettext_lazy("on"))
    def on(self, grant: Grant) -> str:
        thing = grant.repository or grant.service or grant.environment
        if thing is None:
            return _("everything")
        return f"{thing._meta.verbose_name} {thing.name}"

    @admin.display(description=gettext_lazy("only in"))
    def only_in(self, grant: Grant) -> str:
        return ", ".join(map(str, grant.conversations.all())) or _("all conversations")

    @admin.display(description=gettext_lazy("until"), ordering="until")
    def until_said(self, grant: Grant) -> str:
        return display.exact(grant.until)[:16] or _("no end")
