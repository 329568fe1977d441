"""What the admin's pages share: audited edits, "Test connection" beside Save, secrets left unread."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.changes import AuditedAdmin
from repos.connections import Findings
from repos.forms.secrets import PREFIX


class SecretiveAdmin(AuditedAdmin):
    """Lists without decrypting: a page of names needs no key."""

    unread: ClassVar[tuple[str, ...]] = ()
    # Which a form's secret_<name> fields write; told to those who may only look.
    secret_names: ClassVar[tuple[str, ...]] = ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sections = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return sections
        return [(title, {"fields": _told(options["fields"])}) for title, options in sections]

    @admin.display(description=gettext_lazy("secrets"))
    def secrets_said(self, thing: Any) -> str:
        return secrets_said({name: getattr(thing, name) for name in self.secret_names})

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).defer(*self.unread)


def _told(fields: Iterable[Any]) -> list[Any]:
    """The fields for somebody who may only look: all the secrets become one line."""
    kept = [name for name in fields if not str(name).startswith(PREFIX)]
    return kept if len(kept) == len(list(fields)) else [*kept, "secrets_said"]


def secrets_said(secrets: Mapping[str, Any]) -> str:
    """Which are set and which are not, never what they are."""
    words = {True: _("set"), False: _("not set")}
    return ", ".join(f"{name}: {words[bool(value)]}" for name, value in secrets.items())


class TestedAdmin(SecretiveAdmin):
    """A page with a button that tests what is stored; nothing on the page is saved by it."""

    change_form_template = "repos/tested_form.html"
    test_label: ClassVar[Any] = gettext_lazy("Test connection")

    @abstractmethod
    def test(self, stored: Any) -> Findings:
        """Asks the other side; called outside of any transaction."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_view)
        return [path("<path:object_id>/test/", view, name=self._test_name), *super().get_urls()]

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        stored = self.get_object(request, unquote(object_id))
        if stored is None:
            raise Http404
        if not self.has_change_permission(request, stored):
            raise PermissionDenied
        return self.changeform_view(
            request, object_id, extra_context={"findings": self.test(stored)}
        )

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **options)
        if not self._is_test(request):
            return form

        class Unsaved(form):  # type: ignore[misc]
            """Checks what was typed, and is never good enough to be saved."""

            def is_valid(self) -> bool:
                super().is_valid()
                return False

        return Unsaved

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **options: Any
    ) -> HttpResponse:
        context["test_label"] = self.test_label
        context["has_unsaved_edits"] = (
            "findings" in context and context["adminform"].form.has_changed()
        )
        if context.get("original") is not None and self.has_change_permission(request):
            context["test_url"] = f"admin:{self._test_name}"
        return super().render_change_form(request, context, *args, **options)

    def _is_test(self, request: HttpRequest) -> bool:
        match = request.resolver_match
        return match is not None and match.url_name == self._test_name

    @property
    def _test_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_test"


def address_shown(path: str) -> str:
    """Where other systems reach that path of the portal, to be copied from the page."""
    if not settings.PORTAL_URL:
        return _("%(path)s, behind the portal's own address (PORTAL_URL is not set)") % {
            "path": path
        }
    return format_html("<code>{}</code>", settings.PORTAL_URL + path)
