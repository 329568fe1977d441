"""What an edit of the configuration changed, field by field, and secrets only that they moved."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import models, router, transaction
from django.db.models.deletion import Collector
from django.http import HttpRequest

from audit.record import ActorKind, Entry, Event, Fact, record
from chatops_site.kit.secrets import EncryptedField, EncryptedJSONField

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

_MARK_KEY = secrets.token_bytes(32)
# The column of Django's user model, whatever the model is called.
_SECRET_NAMES = {"password"}
_BEFORE = "audit_before"
_ALSO_REMOVED_KEPT = 100


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something."""

    kind: ActorKind
    username: str = ""
    person: str = ""
    source_ip: str = ""


SYSTEM = Actor(ActorKind.SYSTEM)


class Veiled(str):
    """A secret in a snapshot: reads "set" or "", and knows by a one-way mark whether it moved.

    The mark's key lives as long as the process, so a mark is of no use to anybody else.
    """

    mark: bytes

    @classmethod
    def of(cls, value: object) -> "Veiled":
        veiled = cls("set" if value else "")
        veiled.mark = hashlib.blake2b(repr(value).encode(), key=_MARK_KEY).digest()
        return veiled


def actor_of(request: HttpRequest) -> Actor:
    """The portal user of an admin request."""
    return Actor(
        ActorKind.PORTAL,
        username=request.user.get_username(),
        source_ip=str(request.META.get("REMOTE_ADDR", "")),
    )


def snapshot(instance: models.Model) -> dict[str, str]:
    """Every column and many-to-many list as text; secrets read only "set" or ""."""
    meta = instance._meta
    values = {field.name: _as_text(instance, field) for field in meta.concrete_fields}
    if instance.pk is None:
        return values
    for relation in meta.many_to_many:
        chosen = getattr(instance, relation.name).all()
        values[relation.name] = ", ".join(sorted(str(each) for each in chosen))
    return values


def stored(instance: models.Model) -> dict[str, str]:
    """The snapshot of what the database holds for `instance`; empty when it holds nothing."""
    found = type(instance)._base_manager.filter(pk=instance.pk).first()
    return snapshot(found) if found else {}


def record_change(
    *,
    actor: Actor,
    before: Mapping[str, str],
    after: Mapping[str, str],
    target_kind: str,
    target: str,
) -> list[Entry]:
    """Records what differs between two snapshots; an empty one stands for "did not exist".

    Nothing differs: nothing is recorded and the list is empty.
    """
    return record_changes(actor, [Change(before, after, target_kind, target)])


@dataclass(frozen=True, slots=True)
class Change:
    """One object before and after."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    target_kind: str
    target: str
    also_removed: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        if not self.before:
            return "added"
        return "changed" if self.after else "removed"


def record_changes(actor: Actor, changes: Iterable[Change]) -> list[Entry]:
    """record_change() for many objects by one INSERT."""
    facts = []
    for change in changes:
        moved = differences(change.before, change.after)
        if moved:
            facts.append(_fact(actor, change, moved))
    return record(*facts)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Field → {"old", "new"} of the fields that differ."""
    moved = {}
    for name in {**before, **after}:
        pair = _pair(before.get(name, ""), after.get(name, ""))
        if pair["old"] != pair["new"]:
            moved[name] = pair
    return moved


def _pair(old: str, new: str) -> dict[str, str]:
    if not isinstance(old, Veiled) and not isinstance(new, Veiled):
        return {"old": old, "new": new}
    if old and not new:
        return {"old": "set", "new": "cleared"}
    moved = old and getattr(old, "mark", b"") != getattr(new, "mark", b"")
    return {"old": str(old), "new": "changed" if moved else str(new)}


def _fact(actor: Actor, change: Change, moved: Mapping[str, Mapping[str, str]]) -> Fact:
    return Fact(
        event=Event.CONFIG_CHANGED,
        actor_kind=actor.kind,
        username=actor.username,
        person=actor.person,
        source_ip=actor.source_ip,
        target_kind=change.target_kind,
        target=change.target,
        reason=change.reason,
        changes=moved,
        external={"also_removed": list(change.also_removed)} if change.also_removed else {},
    )


def _as_text(instance: models.Model, field: "models.Field[Any, Any]") -> str:
    value = getattr(instance, field.attname)
    if is_secret(field):
        return Veiled.of(value)
    if value is None:
        return ""
    if isinstance(field, models.ForeignKey):
        return str(getattr(instance, field.name))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return str(value)


def is_secret(field: "models.Field[Any, Any]") -> bool:
    """Whether a column's content must never be read out."""
    if isinstance(field, EncryptedField | EncryptedJSONField):
        return True
    return bool(getattr(field, "is_secret", False)) or field.name in _SECRET_NAMES


class AuditedAdmin(_ModelAdmin):
    """A ModelAdmin whose every addition, edit and removal is on record, inlines included.

    Put it first among the bases. Removal in bulk is covered; an action of
    one's own calls record_change() itself.
    """

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        # save_related() always follows with the same form, and only then are the lists saved too.
        vars(form)[_BEFORE] = stored(obj) if change else {}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        lines = [_lines(formset) for formset in formsets]
        super().save_related(request, form, formsets, change)
        own = _change(form.instance, vars(form).pop(_BEFORE, {}), stored(form.instance))
        inline = [
            each
            for formset, before in zip(formsets, lines, strict=True)
            for each in _line_changes(formset, before)
        ]
        record_changes(actor_of(request), [own, *inline])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        removal = _removal(obj)
        super().delete_model(request, obj)
        record_changes(actor_of(request), [removal])

    def delete_queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> None:
        # The action "delete selected" opens no transaction of its own.
        with transaction.atomic():
            removals = [_removal(each) for each in queryset]
            super().delete_queryset(request, queryset)
            record_changes(actor_of(request), removals)


def _change(instance: models.Model, before: Mapping[str, str], after: Mapping[str, str]) -> Change:
    return Change(before, after, target_kind=kind_of(instance), target=str(instance))


def kind_of(instance: models.Model) -> str:
    """The word an object is filed under: "repository", "grant", "user"."""
    return instance._meta.model_name or ""


def _removal(instance: models.Model) -> Change:
    swept = tuple(islice(_swept_along(instance), _ALSO_REMOVED_KEPT))
    return replace(_change(instance, stored(instance), {}), also_removed=swept)


def _swept_along(instance: models.Model) -> Iterable[str]:
    """What the database removes together with `instance`, but for link rows and the admin's log."""
    collector = Collector(using=router.db_for_write(type(instance)), origin=instance)
    collector.collect([instance])
    for found in [*collector.data.values(), *collector.fast_deletes]:
        for each in found:
            meta = each._meta
            if each != instance and not meta.auto_created and meta.app_label != "admin":
                yield f"{kind_of(each)} {each}"


@dataclass(frozen=True, slots=True)
class _Line:
    """An inline object and its snapshot."""

    instance: models.Model
    values: Mapping[str, str]


def _lines(formset: Any, *, keys: Iterable[Any] = ()) -> dict[Any, _Line]:
    """The inline objects of a formset as the database holds them now, by primary key."""
    wanted = [*keys, *(form.instance.pk for form in formset.initial_forms)]
    found = formset.model._base_manager.filter(pk__in=wanted)
    return {each.pk: _Line(each, snapshot(each)) for each in found}


def _line_changes(formset: Any, before: Mapping[Any, _Line]) -> Iterable[Change]:
    added = [each.pk for each in getattr(formset, "new_objects", [])]
    after = _lines(formset, keys=[*before, *added])
    for key, line in {**before, **after}.items():
        old, new = before.get(key), after.get(key)
        yield _change(line.instance, old.values if old else {}, new.values if new else {})
