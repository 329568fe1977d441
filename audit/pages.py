"""Admin lists over millions of rows: newest first, without COUNT or OFFSET, "older" by key."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _ModelAdmin, _Paginator = admin.ModelAdmin, Paginator

BEFORE = "before"
# Larger than any 64-bit key would make SQLite raise OverflowError.
LONGEST_KEY = 18


class UncountedPaginator(_Paginator):
    """The one page that is asked for; never asks the database how many rows there are."""

    @cached_property
    def count(self) -> int:
        return 0


class KeysetChangeList(ChangeList):
    """Reads one row more than it shows; `?before=KEY` goes on from there."""

    before = ""
    older_link = ""
    newest_link = ""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        lookups: dict[str, Any] = super().get_filters_params(params)
        lookups.pop(BEFORE, None)
        return lookups

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> "QuerySet[Any]":
        # Taken out of params, so that a search from an old page starts at the newest again.
        self.before = self.params.pop(BEFORE, "")
        found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        if not (self.before.isascii() and self.before.isdigit()):
            return found
        return found.filter(pk__lt=int(self.before[:LONGEST_KEY]))

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """A filter chosen on an old page starts at the newest again."""
        link: str = super().get_query_string(new_params, [BEFORE, *(remove or [])])
        return link

    def get_results(self, request: HttpRequest) -> None:
        rows = list(self.queryset[: self.list_per_page + 1])
        self.result_list = rows[: self.list_per_page]
        self.result_count = self.full_result_count = len(self.result_list)
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(rows)
        if self.before:
            self.newest_link = self.get_query_string()
        if len(rows) > self.list_per_page:
            self.older_link = self.get_query_string({BEFORE: self.result_list[-1].pk})


class KeysetAdmin(_ModelAdmin):
    """A ModelAdmin whose list is a KeysetChangeList, ordered by primary key, newest first."""

    change_list_template = "admin/audit/keyset_list.html"
    ordering = ["-pk"]
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    paginator = UncountedPaginator

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return KeysetChangeList
