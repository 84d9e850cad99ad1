"""Statements that run all the time: written once with the ORM, compiled once, run again with new values.

Building and compiling a queryset costs several times what running it does. `HotQuery`, `HotInsert` and `insert` keep
the ORM as the place where a query is written, pay that once, and hand the rows over as psycopg reads them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from django.contrib.postgres.expressions import ArraySubquery
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

Row = tuple[Any, ...]
Thing = TypeVar("Thing", bound=models.Model)

_FIRST = 0x7F00_0000_0000_0000
"""Integers from here on stand for values while a query is compiled: no id and no constant is so large."""


class HotQuery:
    """A query of plain columns (`values_list`) whose values come anew with every run.

    `build` makes the queryset from one argument for each name, where `names` says of which type each is: int, str,
    datetime, or list (of integers, for the lookup `__any`). It is called once, with stand-ins, so it must not look at
    its arguments.
    """

    def __init__(self, build: "Callable[..., models.QuerySet[Any, Any]]", **names: type) -> None:
        self._build = build
        self._names = names
        self._compiled: tuple[str, list[tuple[str | None, Any]]] | None = None

    def rows(self, **values: Any) -> list[Row]:
        """The rows of the query with these values, as psycopg reads them. One statement."""
        statement, parameters = self._compiled or self._compile()
        return run(statement, [constant if name is None else values[name] for name, constant in parameters])

    def row(self, **values: Any) -> Row | None:
        """The first of them."""
        return next(iter(self.rows(**values)), None)

    def _compile(self) -> tuple[str, list[tuple[str | None, Any]]]:
        stand_ins = {name: _stand_in(kind, index) for index, (name, kind) in enumerate(self._names.items())}
        statement, parameters = self._build(**stand_ins).query.sql_with_params()
        known = {str(value): name for name, value in stand_ins.items()}
        places = [(known.get(str(value)), value) for value in parameters]
        missing = sorted(set(stand_ins) - {name for name, _ in places})
        if missing:
            raise LookupError(f"the query does not use {', '.join(missing)}")
        self._compiled = statement, places
        return self._compiled


def _stand_in(kind: type, index: int) -> Any:
    if kind is int:
        return _FIRST + index
    if kind is datetime:
        return datetime(1901, 1, 1, tzinfo=UTC) + timedelta(seconds=index)
    return [_FIRST + index] if kind is list else f"\ue000{index}"


def columns_of(model: type[models.Model]) -> list[str]:
    """Every column of a model, for `values_list`; `as_model` makes its rows into things."""
    return [field.attname for field in model._meta.concrete_fields]


def as_model(model: type[Thing], row: Row) -> Thing:
    return model.from_db(DEFAULT_DB_ALIAS, columns_of(model), row)


def is_one_of(field: str, rows: "models.QuerySet[Any, Any]", column: str) -> models.Q:
    """Whether the field is among the column's values in these rows, which do not depend on the query around them.

    As `field__in` says too; but beside an OR, PostgreSQL looks at every row of the table for a subselect, and at an
    index for an array.
    """
    return models.Q(**{f"{field}__any": ArraySubquery(rows.values(column))})


@models.Field.register_lookup
class _Any(models.lookups.BuiltinLookup):
    lookup_name = "any"
    prepare_rhs = False

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        return f"= ANY({rhs})"


def run(statement: str, parameters: Sequence[Any] | Mapping[str, Any], *, wants_rows: bool = True) -> list[Row]:
    """Run one statement on this thread's connection, prepared by the server, in whatever transaction there is.

    Who watches the queries (a test that counts them) gets it through Django's own cursor.
    """
    database = _database()
    if database.queries_logged or database.execute_wrappers:
        with database.cursor() as watched:
            watched.execute(statement, parameters)
            return watched.fetchall() if wants_rows else []
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        cursor = psycopg.Cursor(database.connection)
        cursor.execute(statement, parameters, prepare=True)
        return cursor.fetchall() if wants_rows else []


def run_script(script: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[list[Row]]:
    """Run several statements in one round trip, each of which sees what is visible by then: the rows of each.

    The server plans them anew each time.
    """
    database = _database()
    with database.cursor() if database.queries_logged or database.execute_wrappers else _plain(database) as cursor:
        cursor.execute(script, parameters)
        found = [cursor.fetchall() if cursor.description else []]
        while cursor.nextset():
            found.append(cursor.fetchall() if cursor.description else [])
        return found


@contextmanager
def _plain(database: BaseDatabaseWrapper) -> Iterator[psycopg.ClientCursor[Row]]:
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        yield psycopg.ClientCursor(database.connection)


def _database() -> BaseDatabaseWrapper:
    """This thread's connection itself, open: each look through Django's `connection` costs as much as a small query."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is None:
        database.ensure_connection()
    return database


class HotInsert:
    """New rows of one model from plain values of the named columns, as psycopg takes them: JSON is text.

    The other columns have the model's defaults or the database's.
    """

    def __init__(self, model: type[models.Model], *names: str) -> None:
        self._model = model
        self._names = names
        self.text = lru_cache(maxsize=64)(self._text)
        """The statement for many rows, with expressions instead of named columns' placeholders. It gives the keys."""

    def run(self, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert them in one statement; their keys in their order."""
        return [key for (key,) in run(self.text(len(rows)), [value for row in rows for value in row])]

    def _text(self, count: int, **instead: str) -> str:
        meta = self._model._meta
        fields = {field.name: field for field in meta.concrete_fields}
        values = {str(fields[name].column): instead.get(name, "%s") for name in self._names}
        for name, field in fields.items():
            if name not in self._names and not field.primary_key and not field.has_db_default():
                values[str(field.column)] = sql.Literal(field.get_default()).as_string(None)
        row = f"({', '.join(values.values())})"
        rows = ", ".join([row] * count)
        # Names of our own models alone.
        return f"INSERT INTO {meta.db_table} ({', '.join(values)}) VALUES {rows} RETURNING {meta.pk.column}"  # noqa: S608


def insert(rows: "Sequence[models.Model]") -> None:
    """Insert new rows of one model in one statement, and give each its key, as `bulk_create` does."""
    if not rows:
        return
    statement, columns = _insert_of(type(rows[0]), len(rows))
    for row, (key,) in zip(rows, run(statement, _parameters(rows, columns)), strict=True):
        _is_stored(row, key)


_PLAIN = frozenset(
    {"CharField", "TextField", "BooleanField", "DateField", "DateTimeField", "FloatField", "ForeignKey"}
    | {"SmallIntegerField", "IntegerField", "BigIntegerField", "PositiveSmallIntegerField", "PositiveIntegerField"}
)
"""Kinds of columns whose values psycopg takes as they are."""


_Prepared = Callable[[Any, BaseDatabaseWrapper], Any]


def _parameters(rows: Sequence[models.Model], columns: "list[tuple[str, _Prepared | None]]") -> list[Any]:
    return [
        getattr(row, name) if prepared is None else prepared(getattr(row, name), _database())
        for row in rows
        for name, prepared in columns
    ]


def _is_stored(row: models.Model, key: Any) -> None:
    row.pk = key
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def insert_once(row: models.Model) -> bool:
    """Insert a new row, unless a unique constraint refuses it: then the transaction goes on. Whether it is there now.

    Whoever is about to insert its like is waited for.
    """
    statement, columns = _insert_of(type(row), 1)
    keys = run(statement.replace(" RETURNING ", " ON CONFLICT DO NOTHING RETURNING "), _parameters([row], columns))
    for (key,) in keys:
        _is_stored(row, key)
    return bool(keys)


@lru_cache(maxsize=256)
def _insert_of(model: type[models.Model], count: int) -> tuple[str, list[tuple[str, _Prepared | None]]]:
    """The statement, and the attributes whose values it takes, each with what makes a parameter of it.

    All but those that the database alone fills in.
    """
    fields = [
        field
        for field in model._meta.concrete_fields
        if not isinstance(field, models.AutoField) and (field.has_default() or not field.has_db_default())
    ]
    columns: list[tuple[str, _Prepared | None]] = [
        (field.attname, None if field.get_internal_type() in _PLAIN else field.get_db_prep_save) for field in fields
    ]
    return HotInsert(model, *(field.name for field in fields)).text(count), columns
