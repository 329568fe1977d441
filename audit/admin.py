"""The record in the admin: to read, to filter, never to change."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from audit import display
from audit.filters import (
    CommandFilter,
    EventFilter,
    OutcomeFilter,
    PersonFilter,
    SinceFilter,
    TargetFilter,
)
from audit.models import Entry
from audit.pages import KeysetAdmin
from audit.staff import AuditedGroupAdmin, AuditedUserAdmin

_NUMBER = re.compile(r"#?([1-9][0-9]{0,17})", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
_COMMITS_MEANT = 5
_NAMED_COLUMNS = ("person", "target", "command")

SECTIONS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (None, ("state", "exactly_at", "outcome", "reason", "rule", "detail_block")),
    (
        gettext_lazy("Who"),
        ("person", "username", "account", "account_name", "tenant", "actor_kind", "source_ip"),
    ),
    (gettext_lazy("Where from"), ("platform", "bot", "conversation_name", "conversation")),
    (
        gettext_lazy("What was asked"),
        ("text_block", "canonical_block", "command", "message_id", "sent_at", "text_length"),
    ),
    (
        gettext_lazy("On what"),
        (
            *("run_page", "attempt", "target_kind", "target", "repository", "number"),
            *("service", "environment", "sha", "observed_sha"),
        ),
    ),
    (gettext_lazy("What came of it"), ("changes_block", "external_block", "duration_ms")),
    (
        gettext_lazy("The entry itself"),
        ("seq", "event", "event_id", "text_digest", "redactions", "schema_version"),
    ),
)


def shown(label: Any, show: Callable[[Entry], str]) -> Callable[[Any, Entry], str]:
    """A column or a field of the page that shows one thing of an entry."""

    def column(_admin: Any, entry: Entry) -> str:
        return show(entry)

    column.short_description = label  # type: ignore[attr-defined]
    return column


@admin.register(Entry)
class EntryAdmin(KeysetAdmin):
    change_list_template = "admin/audit/entry/change_list.html"
    change_form_template = "admin/audit/entry/change_form.html"
    actions = None
    list_display = ("state", "who", "what", "where", "outcome_said", "when")
    list_display_links = ("what",)
    list_filter = (
        SinceFilter,
        EventFilter,
        OutcomeFilter,
        PersonFilter,
        CommandFilter,
        TargetFilter,
    )
    # Django shows the search box only if this names something; get_search_results() looks.
    search_fields = ("run",)
    search_help_text = gettext_lazy(
        "A run number, a commit (7 characters or more),"
        " or the whole name of a person, target or command."
    )

    state = shown(gettext_lazy("state"), display.pill)
    who = shown(gettext_lazy("who"), display.who)
    what = shown(gettext_lazy("what"), display.what)
    where = shown(gettext_lazy("where"), display.where)
    outcome_said = shown(gettext_lazy("outcome"), display.outcome)
    when = shown(gettext_lazy("when"), lambda entry: display.when(entry.at))
    exactly_at = shown(gettext_lazy("time"), lambda entry: display.exact(entry.at))
    sent_at = shown(
        gettext_lazy("time of the message"), lambda entry: display.exact(entry.platform_at)
    )
    run_page = shown(gettext_lazy("run"), display.run_link)
    text_block = shown(gettext_lazy("text as typed"), lambda entry: display.block(entry.text))
    canonical_block = shown(
        gettext_lazy("understood as"), lambda entry: display.block(entry.canonical)
    )
    detail_block = shown(gettext_lazy("detail"), lambda entry: display.block(entry.detail))
    external_block = shown(
        gettext_lazy("in other systems"), lambda entry: display.pretty(entry.external)
    )
    changes_block = shown(gettext_lazy("changes"), display.changes_table)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(name for _title, names in SECTIONS for name in names)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only what applies to this entry."""
        sections = [
            (title, [name for name in names if obj is None or self._applies(name, obj)])
            for title, names in SECTIONS
        ]
        return [(title, {"fields": names}) for title, names in sections if names]

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        term = search_term.replace("\x00", "").strip()
        return (queryset.filter(_meaning(term)) if term else queryset), False

    def _applies(self, name: str, entry: Entry) -> bool:
        own = getattr(type(self), name, None)
        value = own(self, entry) if callable(own) else getattr(entry, name)
        return value not in ("", None, 0)


def _meaning(term: str) -> Q:
    """What a search term may mean; only columns that have the word are asked, each by its index."""
    meaning = Q(pk__in=[])
    if number := _NUMBER.fullmatch(term):
        meaning |= Q(run=int(number[1]))
    if _COMMIT.fullmatch(term):
        meaning |= Q(sha__in=list(_commits(term)))
    for column in _NAMED_COLUMNS:
        if Entry.objects.filter(**{column: term}).exists():
            meaning |= Q(**{column: term})
    return meaning


def _commits(prefix: str) -> Iterator[str]:
    """The first few commits on record that begin so, each found by one step along the index."""
    known = Entry.objects.order_by("sha").values_list("sha", flat=True)
    # A range, since LIKE passes by the index. No hex digit sorts after "g".
    found = known.filter(sha__gte=prefix, sha__lt=prefix + "g").first()
    for _step in range(_COMMITS_MEANT):
        if found is None:
            return
        yield found
        found = known.filter(sha__gt=found, sha__lt=prefix + "g").first()


def _put_users_on_record() -> None:
    """Replaces Django's own pages for users and groups, but none that somebody made on purpose."""
    for model, stock, audited in (
        (User, UserAdmin, AuditedUserAdmin),
        (Group, GroupAdmin, AuditedGroupAdmin),
    ):
        if admin.site.is_registered(model) and type(admin.site.get_model_admin(model)) is stock:
            admin.site.unregister(model)
            admin.site.register(model, audited)


_put_users_on_record()
