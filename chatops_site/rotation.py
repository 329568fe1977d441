"""Encrypts every stored secret anew with the first of ENCRYPTION_KEYS, while the portal runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.apps import apps
from django.db import models, transaction
from django.db.models.functions import Cast

from audit.changes import is_secret, kind_of
from audit.record import ActorKind, Event, Fact, Outcome, record
from chatops_site.kit.secrets import EncryptedField, EncryptedJSONField, WrongKey, rotate

BATCH: Final = 100

Model = type[models.Model]


@dataclass
class Tally:
    """rotated: by "model.column". unreadable: each value that no key opens, as "bot ops, secrets"."""

    rotated: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def rotate_all() -> Tally:
    """Goes through every encrypted column of every model; a value no key opens stays as it is."""
    tally = Tally()
    for model, column in encrypted_columns():
        name = f"{model._meta.label_lower}.{column}"
        tally.rotated[name] = 0
        for keys in _batches(model, column):
            with transaction.atomic():
                done = sum(_rotate_row(model, column, key, tally) for key in keys)
                tally.rotated[name] += done
                _note(name, done)
    return tally


def encrypted_columns() -> list[tuple[Model, str]]:
    return [
        (model, column.name)
        for model in apps.get_models()
        for column in model._meta.concrete_fields
        if isinstance(column, EncryptedField | EncryptedJSONField) and is_secret(column)
    ]


def _batches(model: Model, column: str) -> Iterator[list[Any]]:
    """Primary keys of the rows that hold a value, by ascending key."""
    last = 0
    while True:
        rows = _raw(model, column).filter(pk__gt=last).exclude(raw="").order_by("pk")
        keys = list(rows.values_list("pk", flat=True)[:BATCH])
        if not keys:
            return
        yield keys
        last = keys[-1]


def _raw(model: Model, column: str) -> "models.QuerySet[Any]":
    """With the token itself as `raw`; the column would decrypt it on the way out."""
    return model._base_manager.annotate(raw=Cast(column, models.TextField()))


def _rotate_row(model: Model, column: str, key: Any, tally: Tally) -> bool:
    """False when it cannot be read, or was changed meanwhile; whoever did that used the first key."""
    old = _raw(model, column).filter(pk=key).values_list("raw", flat=True).first()
    if not old:
        return False
    try:
        new = rotate(old)
    except WrongKey:
        name = model._base_manager.defer(*_secret_names(model)).get(pk=key)
        tally.unreadable.append(f"{kind_of(name)} {name}, {column}")
        return False
    return replace_token(model, column, key, old, new)


def replace_token(model: Model, column: str, key: Any, old: str, new: str) -> bool:
    """False when the row no longer holds the old token, and then nothing is written."""
    value = models.Value(new, output_field=models.TextField())
    return _raw(model, column).filter(pk=key, raw=old).update(**{column: value}) == 1


def _secret_names(model: Model) -> list[str]:
    return [name for each, name in encrypted_columns() if each is model]


def _note(column: str, count: int) -> None:
    if count:
        record(
            Fact(
                event=Event.SECRET_ROTATED,
                actor_kind=ActorKind.SYSTEM,
                target_kind="column",
                target=column,
                outcome=Outcome.SUCCEEDED,
                external={"values": count},
            )
        )
