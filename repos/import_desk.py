"""The admin's import page: what the other side has, with search and pages; the chosen ones become rows."""

from abc import abstractmethod
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from audit.changes import Actor, actor_of
from repos.desk import TestedAdmin
from repos.errors import RemoteError
from repos.importing import FoundPage, Imported
from repos.models import Job, Repository

LONGEST_SEARCH = 100
MOST_CHOSEN = 200


class ImportingAdmin(TestedAdmin):
    """A page with a button that leads to what can be taken over from there."""

    change_form_template = "repos/importing_form.html"
    imported: ClassVar[type[Repository] | type[Job]]
    import_label: ClassVar[Any]

    @abstractmethod
    def find(self, owner: Any, *, search: str, page: int) -> FoundPage: ...

    @abstractmethod
    def take_over(self, owner: Any, paths: list[str], actor: Actor) -> Imported: ...

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.import_view)
        return [path("<path:object_id>/import/", view, name=self._import_name), *super().get_urls()]

    def import_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        owner = self.get_object(request, unquote(object_id))
        if owner is None:
            raise Http404
        if not self._may_import(request, owner):
            raise PermissionDenied
        if request.method == "POST":
            return self._take_over(request, owner)
        search = request.GET.get("q", "").strip()[:LONGEST_SEARCH]
        return self._page(request, owner, search, _number(request.GET.get("p", "")))

    def _page(self, request: HttpRequest, owner: Any, search: str, number: int) -> HttpResponse:
        found, problem = FoundPage(()), ""
        try:
            found = self.find(owner, search=search, page=number)
        except RemoteError as failed:
            problem = failed.sentence
        context = {
            **self.admin_site.each_context(request),
            "title": self.import_label,
            "opts": self.opts,
            "owner": owner,
            "page": found,
            "problem": problem,
            "search": search,
            "previous": number - 1 if number > 1 else None,
            "next": number + 1 if found.more else None,
        }
        return TemplateResponse(request, "repos/import.html", context)

    def _take_over(self, request: HttpRequest, owner: Any) -> HttpResponse:
        chosen = request.POST.getlist("path")[:MOST_CHOSEN]
        outcome = self.take_over(owner, chosen, actor_of(request))
        if outcome.made:
            names = ", ".join(map(str, outcome.made))
            messages.success(request, _("Taken over: %(names)s") % {"names": names})
        for place, why in outcome.refused.items():
            messages.warning(request, f"{place}: {why}")
        if not chosen:
            messages.warning(request, _("Nothing was chosen."))
        return HttpResponseRedirect(request.get_full_path())

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **options: Any
    ) -> HttpResponse:
        owner = context.get("original")
        if owner is not None and self._may_import(request, owner):
            context["import_label"] = self.import_label
            context["import_url"] = reverse(f"admin:{self._import_name}", args=[owner.pk])
        return super().render_change_form(request, context, *args, **options)

    def _may_import(self, request: HttpRequest, owner: Any) -> bool:
        may_add = self.admin_site.get_model_admin(self.imported).has_add_permission(request)
        return may_add and self.has_change_permission(request, owner)

    @property
    def _import_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_import"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 5 else 1
