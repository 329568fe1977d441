"""SQL that Django writes once: for the few statements that every webhook and every run wait for.

Compiling a small query costs the ORM several times what the database needs to answer it (measured:
0.35 ms against 0.05 ms on SQLite). Only the hot path uses this; everything else uses the ORM as it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, cast

from django.db import connection, models
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=models.Model)

Converters = dict[int, tuple[list[Callable[..., Any]], Any]]


class _Compiled:
    """SQL with the places of the arguments among its parameters; the other parameters are constants."""

    def __init__(self, compiler: Any, samples: Sequence[Any]) -> None:
        self.sql, parameters = compiler.as_sql()
        known = [_adapted(sample) for sample in samples]
        self._constants = [None if value in known else value for value in parameters]
        self._places = [
            (place, known.index(value)) for place, value in enumerate(parameters) if value in known
        ]
        if {argument for _place, argument in self._places} != set(range(len(samples))):
            raise ValueError(f"of {list(samples)} only some reach the SQL, as {list(parameters)}")

    def parameters(self, arguments: Sequence[Any]) -> list[Any]:
        adapted = [_adapted(argument) for argument in arguments]
        values = list(self._constants)
        for place, argument in self._places:
            values[place] = adapted[argument]
        return values


def _adapted(value: Any) -> Any:
    """As the ORM hands it to the driver: SQLite takes times as text."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


class Select:
    """A values_list() query compiled at first use; build is called with samples for its arguments.

    A sample must differ from every constant of the query, and reach the SQL unchanged.
    """

    def __init__(self, build: Callable[..., models.QuerySet[Any, Any]], *samples: Any) -> None:
        self._build = build
        self._samples = samples
        self._by_vendor: dict[str, tuple[_Compiled, Any, Converters]] = {}

    def rows(self, *arguments: Any) -> list[tuple[Any, ...]]:
        compiled, compiler, converters = self.compiled()
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, compiled.parameters(arguments))
            found: Iterable[Any] = cursor.fetchall()
        if converters:
            found = compiler.apply_converters(found, converters)
        return [tuple(row) for row in found]

    def first(self, *arguments: Any) -> tuple[Any, ...] | None:
        return next(iter(self.rows(*arguments)), None)

    def compiled(self) -> tuple[_Compiled, Any, Converters]:
        return self._by_vendor.get(connection.vendor) or self._compile()

    def _compile(self) -> tuple[_Compiled, Any, Converters]:
        compiler = self._build(*self._samples).query.get_compiler(connection=connection)
        compiled = _Compiled(compiler, self._samples)
        columns = [column for column, _sql, _alias in compiler.select]
        entry = compiled, compiler, compiler.get_converters(columns)
        self._by_vendor[connection.vendor] = entry
        return entry


class Fetch(Generic[M]):
    """Like Select, for a query of instances with select_related(); prefetching is left out."""

    def __init__(self, build: Callable[..., models.QuerySet[M, M]], *samples: Any) -> None:
        self._select = Select(build, *samples)

    def first(self, *arguments: Any) -> M | None:
        row = self._select.first(*arguments)
        if row is None:
            return None
        _compiled, compiler, _converters = self._select.compiled()
        return cast(M, _instance(compiler, row))


def _instance(compiler: Any, row: tuple[Any, ...]) -> models.Model:
    """As django.db.models.query.ModelIterable makes it of a row."""
    known, alias = compiler.klass_info, connection.alias
    fields = known["select_fields"]
    first, end = fields[0], fields[-1] + 1
    names = [column[0].target.attname for column in compiler.select[first:end]]
    made: models.Model = known["model"].from_db(alias, names, row[first:end])
    # Django 5.2 takes three arguments; the stubs describe Django 6.
    populators = get_related_populators(known, compiler.select, alias)  # type: ignore[call-arg]
    for related in populators:
        related.populate(row, made)
    return made


class Update:
    """An update() compiled at first use; build gives the rows and the values, from samples likewise."""

    def __init__(
        self,
        build: Callable[..., tuple[models.QuerySet[Any, Any], dict[str, Any]]],
        *samples: Any,
    ) -> None:
        self._build = build
        self._samples = samples
        self._by_vendor: dict[str, _Compiled] = {}

    def run(self, *arguments: Any) -> int:
        """How many rows were changed."""
        compiled = self._by_vendor.get(connection.vendor) or self._compile()
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, compiled.parameters(arguments))
            return int(cursor.rowcount)

    def _compile(self) -> _Compiled:
        rows, values = self._build(*self._samples)
        query = cast(UpdateQuery, rows.query.chain(UpdateQuery))
        query.add_update_values(values)
        compiled = _Compiled(query.get_compiler(connection=connection), self._samples)
        self._by_vendor[connection.vendor] = compiled
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


def update(model: type[models.Model], where: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """UPDATEs the rows whose columns equal where's; how many there were. Fields go by their attnames."""
    sql, fields = _assignment(model, tuple(values), tuple(where), connection.vendor)
    given = [*values.values(), *where.values()]
    adapted = [
        field.get_db_prep_save(value, connection) if field else value
        for field, value in zip(fields, given, strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, adapted)
        return int(cursor.rowcount)


@lru_cache(maxsize=64)
def _assignment(
    model: type[models.Model], values: tuple[str, ...], where: tuple[str, ...], vendor: str
) -> tuple[str, list["models.Field[Any, Any] | None"]]:
    quote = connection.ops.quote_name
    named = {field.attname: field for field in model._meta.concrete_fields}
    columns = {name: quote(str(field.column)) for name, field in named.items()}
    setting = ", ".join(f"{columns[name]} = %s" for name in values)
    wanted = " AND ".join(f"{columns[name]} = %s" for name in where)
    sql = f"UPDATE {quote(model._meta.db_table)} SET {setting} WHERE {wanted}"  # noqa: S608 - names of our own models
    fields = [named[name] for name in (*values, *where)]
    return sql, [None if type(field) in PLAIN else field for field in fields]
