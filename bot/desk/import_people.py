"""The admin's page that takes people from a table: what would become of each row, then the rows themselves."""

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.changes import actor_of
from bot.people.importing import COLUMNS, LARGEST, Outcome, Unreadable, import_people, read_table
from bot.people.models import Person
from bot.platforms.clients import account_platforms

# Whoever joins a team has its rights.
RIGHTS: Final = (
    "bot.add_person",
    "bot.change_person",
    "bot.add_account",
    "bot.add_team",
    "bot.change_team",
)


class TableForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("CSV in UTF-8 or GB18030, with commas, semicolons or tabs."),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.tsv,text/csv"}),
    )


def may_import(request: HttpRequest) -> bool:
    return request.user.has_perms(RIGHTS)


def import_page(request: HttpRequest) -> HttpResponse:
    """The first button looks only; the second keeps what is right when no row is refused."""
    if not may_import(request):
        raise PermissionDenied
    form = TableForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        context |= _result(request, form)
    page = {
        **admin.site.each_context(request),
        "title": _("Import people"),
        "opts": Person._meta,
        "columns": COLUMNS,
        **context,
    }
    return TemplateResponse(request, "bot/import_people.html", page)


def _result(request: HttpRequest, form: TableForm) -> dict[str, Any]:
    try:
        table = read_table(form.cleaned_data["file"].read(LARGEST + 1))
    except Unreadable as problem:
        form.add_error("file", str(problem))
        return {}
    keep = "_take" in request.POST
    outcome = import_people(table, account_platforms(), actor_of(request), keep=keep)
    return {"outcome": outcome, "encoding": table.encoding, "said": _said(outcome)}


def _said(outcome: Outcome) -> str:
    if outcome.kept:
        return _("Done.")
    if not outcome.refused:
        return _(
            "Nothing was changed yet. To take these rows, choose the file again and import it."
        )
    return _(
        "Nothing was changed, because rows were refused. Correct them and choose the file again."
    )
