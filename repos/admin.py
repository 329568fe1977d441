"""The admin's pages of what we act on: forges, repositories, Jenkins servers, jobs, services, environments."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.changes import Actor, AuditedAdmin
from repos.connections import Findings, ask_forge, ask_jenkins, ask_job
from repos.desk import TestedAdmin, address_shown
from repos.forms.configuration import (
    EnvironmentForm,
    ForgeForm,
    JenkinsForm,
    JobForm,
    RepositoryForm,
    ServiceForm,
)
from repos.import_desk import ImportingAdmin
from repos.importing import (
    FoundPage,
    Imported,
    find_jobs,
    find_repositories,
    import_jobs,
    import_repositories,
    page_of,
)
from repos.models import Environment, Forge, JenkinsServer, Job, Purpose, Repository, Service

# Somebody has just pressed Save and waits.
PATIENCE_AFTER_SAVE = 4.0
_SAVED = "saved_job"


@admin.register(Forge)
class ForgeAdmin(ImportingAdmin):
    imported = Repository
    import_label = gettext_lazy("Import repositories")
    form = ForgeForm
    unread = secret_names = ("token", "webhook_secret")
    list_display = ("name", "kind", "base_url")
    list_filter = ("kind",)
    search_fields = ("name", "base_url")
    readonly_fields = ("receiving_address",)
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "ca_file", "secret_token")}),
        (
            gettext_lazy("Commands in comments"),
            {"fields": ("receiving_address", "secret_webhook_secret")},
        ),
    )

    @admin.display(description=gettext_lazy("Webhook address"))
    def receiving_address(self, forge: Forge) -> str:
        """What has to be entered in the repositories' webhooks."""
        if not forge.pk:
            return _("It is shown here once the forge is saved.")
        return address_shown(reverse("forge_webhook", args=[forge.name]))

    def find(self, owner: Any, *, search: str, page: int) -> FoundPage:
        return find_repositories(owner, search=search, page=page)

    def take_over(self, owner: Any, paths: list[str], actor: Actor) -> Imported:
        return import_repositories(owner, paths, actor)

    def test(self, stored: Any) -> Findings:
        return ask_forge(stored)


@admin.register(Repository)
class RepositoryAdmin(AuditedAdmin):
    form = RepositoryForm
    list_display = ("name", "forge", "path", "checks_said", "approvals", "test_job", "default")
    list_select_related = ("forge", "test_job")
    list_filter = ("forge", "merge_method")
    search_fields = ("name", "path")
    fieldsets = (
        (None, {"fields": ("name", "forge", "path", "default")}),
        (
            gettext_lazy("Before a merge"),
            {"fields": ("merge_method", "checks", "approvals", "test_job")},
        ),
    )

    @admin.display(description=gettext_lazy("required checks"))
    def checks_said(self, repository: Repository) -> str:
        if isinstance(repository.checks, list):
            return ", ".join(map(str, repository.checks))
        words = {"none": _("none"), "required": _("required by the forge")}
        return words.get(repository.checks, _("all"))

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).defer("forge__token", "forge__webhook_secret")


@admin.register(JenkinsServer)
class JenkinsServerAdmin(ImportingAdmin):
    imported = Job
    import_label = gettext_lazy("Import jobs")
    form = JenkinsForm
    unread = secret_names = ("token",)
    list_display = ("name", "base_url", "username")
    search_fields = ("name", "base_url")
    fieldsets = (
        (None, {"fields": ("name", "base_url", "ca_file")}),
        (gettext_lazy("Account"), {"fields": ("username", "secret_token")}),
    )

    def find(self, owner: Any, *, search: str, page: int) -> FoundPage:
        return page_of(find_jobs(owner, search=search), page)

    def take_over(self, owner: Any, paths: list[str], actor: Actor) -> Imported:
        return import_jobs(owner, paths, actor)

    def test(self, stored: Any) -> Findings:
        return ask_jenkins(stored)


@admin.register(Job)
class JobAdmin(TestedAdmin):
    form = JobForm
    test_label = gettext_lazy("Test against Jenkins")
    list_display = ("name", "purpose", "service", "environment", "jenkins", "path")
    list_select_related = ("service", "environment", "jenkins")
    list_filter = ("purpose", "jenkins", "service", "environment")
    search_fields = ("name", "path")
    fieldsets = (
        (None, {"fields": ("name", "purpose", "service", "environment")}),
        (gettext_lazy("In Jenkins"), {"fields": ("jenkins", "path", "parameters")}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).defer("jenkins__token")

    def test(self, stored: Any) -> Findings:
        return ask_job(stored)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        vars(request)[_SAVED] = obj

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        answer = super().changeform_view(request, *args, **options)
        # Only now, after the commit, or SQLite's one writer would wait for Jenkins.
        job = vars(request).pop(_SAVED, None)
        if job is not None and job.purpose == Purpose.DEPLOY:
            _warn(request, job)
        return answer


def _warn(request: HttpRequest, job: Job) -> None:
    """Says what would go wrong with the job. It is saved already, whatever Jenkins says."""
    bad = [finding for finding in ask_job(job, deadline=PATIENCE_AFTER_SAVE) if not finding.good]
    for finding in bad:
        sentence = _("Saved, but look at %(job)s: %(finding)s")
        messages.warning(request, sentence % {"job": job.name, "finding": finding.sentence})


@admin.register(Service)
class ServiceAdmin(AuditedAdmin):
    form = ServiceForm
    list_display = ("name", "aliases_said", "repository")
    list_select_related = ("repository",)
    list_filter = ("repository",)
    search_fields = ("name", "aliases")
    fields = ("name", "aliases", "repository")

    @admin.display(description=gettext_lazy("aliases"))
    def aliases_said(self, service: Service) -> str:
        return ", ".join(map(str, service.aliases)) or "–"


@admin.register(Environment)
class EnvironmentAdmin(AuditedAdmin):
    form = EnvironmentForm
    list_display = ("name", "after", "confirm", "approvals")
    list_select_related = ("after",)
    search_fields = ("name",)
    fields = ("name", "after", "confirm", "approvals")
