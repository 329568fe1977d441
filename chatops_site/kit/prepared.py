"""SQL that Django writes once: for the few statements that every webhook and every run wait for.

Compiling a small query costs the ORM several times what the database needs to answer it (measured:
0.35 ms against 0.05 ms on SQLite). Only the hot path uses this; everything else uses the ORM as it is.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from django.db import connection, models

Converters = dict[int, tuple[list[Callable[..., Any]], Any]]


class Select:
    """A values_list() query compiled at first use; build is called once, with samples for its arguments.

    The arguments must reach the SQL in the order in which build takes them, each once, and unchanged.
    """

    def __init__(self, build: Callable[..., models.QuerySet[Any, Any]], *samples: Any) -> None:
        self._build = build
        self._samples = samples
        self._compiled: dict[str, tuple[str, Any, Converters]] = {}

    def rows(self, *arguments: Any) -> list[tuple[Any, ...]]:
        sql, compiler, converters = self._compiled.get(connection.vendor) or self._compile()
        with connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            found: Iterable[Any] = cursor.fetchall()
        if converters:
            found = compiler.apply_converters(found, converters)
        return [tuple(row) for row in found]

    def first(self, *arguments: Any) -> tuple[Any, ...] | None:
        return next(iter(self.rows(*arguments)), None)

    def _compile(self) -> tuple[str, Any, Converters]:
        compiler = self._build(*self._samples).query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        if tuple(parameters) != self._samples:
            raise ValueError(f"{parameters} reach the SQL instead of {self._samples}")
        columns = [column for column, _sql, _alias in compiler.select]
        compiled = sql, compiler, compiler.get_converters(columns)
        self._compiled[connection.vendor] = compiled
        return compiled


# What a database driver takes as it is; every other field adapts its values (JSON, times, secrets).
PLAIN: Final = frozenset(
    {
        models.BooleanField,
        models.CharField,
        models.TextField,
        models.ForeignKey,
        models.BigIntegerField,
        models.IntegerField,
        models.PositiveIntegerField,
        models.PositiveSmallIntegerField,
    }
)


def insert(instances: Sequence[models.Model]) -> None:
    """INSERTs rows of one model in one statement and gives them their keys; validates and signals nothing."""
    columns, head, row = _statement(type(instances[0]), connection.vendor)
    values = [
        field.get_db_prep_save(getattr(instance, name), connection)
        if field
        else getattr(instance, name)
        for instance in instances
        for name, field in columns
    ]
    with connection.cursor() as cursor:
        cursor.execute(head % ",".join([row] * len(instances)), values)
        keys = cursor.fetchall()
    for instance, (key,) in zip(instances, keys, strict=True):
        instance.pk = key
        instance._state.adding = False
        instance._state.db = connection.alias


Columns = list[tuple[str, "models.Field[Any, Any] | None"]]


@lru_cache(maxsize=64)
def _statement(model: type[models.Model], vendor: str) -> tuple[Columns, str, str]:
    """The model's columns but its key, an INSERT with a %s left for its rows, and one row's places."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    quote = connection.ops.quote_name
    names = ",".join(quote(str(field.column)) for field in fields)
    key = next(str(field.column) for field in model._meta.concrete_fields if field.primary_key)
    head = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES %s RETURNING {quote(key)}"  # noqa: S608 - names of our own models
    columns = [(field.attname, None if type(field) in PLAIN else field) for field in fields]
    return columns, head, f"({','.join(['%s'] * len(fields))})"
