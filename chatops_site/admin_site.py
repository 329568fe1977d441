"""The portal's admin site: Django's own, with an index that shows what needs a decision first."""

from typing import Any, Final

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.i18n import set_language

from bot.desk.link import link_page
from chatops_site.login_form import LoginForm
from chatops_site.overview import overview

# The order in which somebody needs them; what is not named here follows under its app's own name.
SECTIONS: Final[tuple[tuple[str, Any, tuple[str, ...]], ...]] = (
    ("history", _("History"), ("Run", "Reply", "Entry")),
    ("people", _("People and rights"), ("AccessRequest", "Person", "Team", "Role", "Grant")),
    ("chat", _("Chat"), ("Bot", "Conversation")),
    ("delivery", _("Delivery"), ("Repository", "Service", "Environment", "Job")),
    ("systems", _("Forges and Jenkins"), ("Forge", "JenkinsServer")),
    ("staff", _("This portal"), ("User", "Group")),
)


class PortalAdminSite(AdminSite):
    site_header = _("ChatOps portal")
    site_title = _("ChatOps portal")
    index_title = _("Overview")
    site_url = None
    login_form = LoginForm

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [
            path("language/", set_language, name="set_language"),
            path("link/", self.admin_view(link_page), name="link"),
            *super().get_urls(),
        ]

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        context = {**(extra_context or {}), "sections": overview(request)}
        return super().index(request, context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        return apps if app_label else _by_use(apps)


def _by_use(apps: list[Any]) -> list[Any]:
    """The models of all apps in the sections of SECTIONS, and the rest as Django has it."""
    models = {model["object_name"]: model for app in apps for model in app["models"]}
    sections = [
        _section(label, name, [models.pop(model) for model in wanted if model in models])
        for label, name, wanted in SECTIONS
    ]
    rest = [
        {**app, "models": [model for model in app["models"] if model["object_name"] in models]}
        for app in apps
    ]
    return [section for section in (*sections, *rest) if section["models"]]


def _section(label: str, name: Any, models: list[Any]) -> dict[str, Any]:
    return {
        "name": name,
        "app_label": label,
        "app_url": f"{reverse('admin:index')}#{label}",
        "has_module_perms": True,
        "models": models,
    }
