"""Filters of the audit list that stay fast at millions of rows: fixed or typed exact values."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy

from audit.models import Entry, Event, Outcome

RECENT_ROWS = 500


class EventFilter(SimpleListFilter):
    title = gettext_lazy("event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return Event.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset.filter(event=self.value()) if self.value() else queryset


class OutcomeFilter(SimpleListFilter):
    title = gettext_lazy("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return Outcome.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset.filter(outcome=self.value()) if self.value() else queryset


class SinceFilter(SimpleListFilter):
    """Since when. Asked once by the clock, then by seq: the list is read along the primary key."""

    title = gettext_lazy("time")
    parameter_name = "since"
    spans = {
        "1h": timedelta(hours=1),
        "1d": timedelta(days=1),
        "7d": timedelta(days=7),
        "30d": timedelta(days=30),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [
            ("1h", gettext_lazy("Last hour")),
            ("1d", gettext_lazy("Last 24 hours")),
            ("7d", gettext_lazy("Last 7 days")),
            ("30d", gettext_lazy("Last 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        span = self.spans.get(self.value() or "")
        if span is None:
            return queryset
        recent = Entry.objects.filter(at__gte=timezone.now() - span).order_by("at")
        first = recent.values_list("seq", flat=True).first()
        return queryset.none() if first is None else queryset.filter(seq__gte=first)


class TypedFilter(SimpleListFilter):
    """An exact value typed by the reader, with the values of the newest rows as suggestions."""

    template = "admin/audit/typed_filter.html"
    column = ""

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Entry],
        model_admin: "ModelAdmin[Entry]",
    ) -> None:
        self.parameter_name = self.column
        super().__init__(request, params, model, model_admin)

    @property
    def typed(self) -> str:
        return (self.value() or "").replace("\x00", "").strip()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """Django hides a filter without lookups."""
        return [("", "")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        column = self.column
        others = [(name, value) for name, value in changelist.params.items() if name != column]
        newest = Entry.objects.order_by("-seq").values_list(column, flat=True)[:RECENT_ROWS]
        yield {
            "others": others,
            "recent": sorted(set(newest) - {""}),
            "clear": changelist.get_query_string(remove=[column]),
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset.filter(**{self.column: self.typed}) if self.typed else queryset


class PersonFilter(TypedFilter):
    title = gettext_lazy("person")
    column = "person"


class CommandFilter(TypedFilter):
    title = gettext_lazy("command")
    column = "command"


class TargetFilter(TypedFilter):
    title = gettext_lazy("target")
    column = "target"
