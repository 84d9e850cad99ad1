"""Statements that run all the time: written once with the ORM, compiled once, run again with new values.

Building and compiling a queryset costs several times what running it does. `HotQuery` and `insert` keep the ORM as the
place where a query is written, pay that once, and hand the rows over as psycopg reads them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import psycopg
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection, models
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
    return model.from_db(connection.alias, columns_of(model), row)


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
    if connection.queries_logged or connection.execute_wrappers:
        with connection.cursor() as watched:
            watched.execute(statement, parameters)
            return watched.fetchall() if wants_rows else []
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement, parameters, prepare=True)
        return cursor.fetchall() if wants_rows else []


def insert(rows: "Sequence[models.Model]") -> None:
    """Insert new rows of one model in one statement, and give each its key, as `bulk_create` does."""
    if not rows:
        return
    statement, fields = _insert_of(type(rows[0]), len(rows))
    parameters = [field.get_db_prep_save(getattr(row, field.attname), connection) for row in rows for field in fields]
    for row, (key,) in zip(rows, run(statement, parameters), strict=True):
        row.pk = key
        row._state.adding, row._state.db = False, connection.alias


@cache
def _insert_of(model: type[models.Model], count: int) -> "tuple[str, list[models.Field[Any, Any]]]":
    """The statement, and the columns whose values it takes: all but those that the database fills in."""
    meta = model._meta
    fields = [
        field
        for field in meta.concrete_fields
        if not isinstance(field, models.AutoField) and not field.has_db_default()
    ]
    row = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(fields)))
    text = sql.SQL("INSERT INTO {} ({}) VALUES {} RETURNING {}").format(
        sql.Identifier(meta.db_table),
        sql.SQL(", ").join(sql.Identifier(str(field.column)) for field in fields),
        sql.SQL(", ").join([row] * count),
        sql.Identifier(str(meta.pk.column)),
    )
    return text.as_string(None), fields
