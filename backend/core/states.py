"""Life-cycles: a table of allowed steps, and `transition`, the only door from one state to another.

It is one conditional `UPDATE … WHERE status IN (…)` that raises `version` and writes the history. Of many callers who
try at once exactly one changes the row; the others get the error. That is also how a scarce thing is taken.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, models
from psycopg import sql

from backend.core.actor import Actor
from backend.core.errors import InvalidState, Problem
from backend.core.hot import HotInsert
from backend.core.models import StateChange
from backend.core.references import make_reference

Steps = Mapping[str, Collection[str]]
"""From each state, the states that may follow; a final state has none."""


class LifeCycleModel(models.Model):
    """A thing with a life-cycle. `reference_kind` and `steps` are set by each model."""

    reference_kind: str
    steps: Steps

    status = models.CharField(max_length=20)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        abstract = True

    @property
    def reference(self) -> str:
        return make_reference(self.reference_kind, self.pk)


def transition(
    thing: LifeCycleModel,
    *,
    expect: Collection[str],
    to: str,
    by: Actor | None,
    now: datetime,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - reads as the statement it becomes
    where: Mapping[str, Any] | None = None,
    otherwise: type[Problem] = InvalidState,
    reason: str = "",
) -> str:
    """Move the thing to `to` if its state is one of `expect` (and its columns equal `where`); returns the old state.

    `by` None is the timetable. Raises `otherwise` with the present state when the row did not match, and ValueError
    when the life-cycle's table has no such step: that is a mistake in the code.
    """
    for state in expect:
        if to not in thing.steps[state]:
            raise ValueError(f"{thing.reference_kind}: no step from {state} to {to}")
    values = {**(set or {}), "status": to, "updated_at": now}
    changed = _update_where(thing, values=values, expect=expect, where=where or {})
    if changed is None:
        present = type(thing)._base_manager.filter(pk=thing.pk).values_list("status", flat=True).first()
        raise otherwise(current_status=present)
    before, thing.version = changed
    for name, value in values.items():
        setattr(thing, name, value)
    _record(thing, before=before, by=by, reason=reason, now=now)
    return before


def record_birth(thing: LifeCycleModel, *, by: Actor | None, now: datetime) -> None:
    """The first line of a thing's history."""
    _record(thing, before="", by=by, reason="", now=now)


def record_edit(thing: LifeCycleModel, *, by: Actor, now: datetime) -> None:
    """The line of a version that changed the thing and not its state. Its row must be locked."""
    _record(thing, before=thing.status, by=by, reason="", now=now)


_HISTORY = HotInsert(StateChange, "reference", "version", "from_status", "to_status", "by_id", "reason", "at")


def _record(thing: LifeCycleModel, *, before: str, by: Actor | None, reason: str, now: datetime) -> None:
    _HISTORY.run([(thing.reference, thing.version, before, thing.status, by.id if by else None, reason, now)])


def history_of(thing: LifeCycleModel) -> models.QuerySet[StateChange]:
    return StateChange.objects.filter(reference=thing.reference).order_by("version", "id")


def _update_where(
    thing: LifeCycleModel, *, values: Mapping[str, Any], expect: Collection[str], where: Mapping[str, Any]
) -> tuple[str, int] | None:
    """The conditional update. Returns the old state and the new version, or None when no row matched."""
    meta = thing._meta

    def field(name: str) -> "models.Field[Any, Any]":
        found = meta.get_field(name)
        if not isinstance(found, models.Field):
            raise TypeError(f"{name} is no column")
        return found

    def column(name: str) -> sql.Identifier:
        return sql.Identifier(str(field(name).column))

    def stored(name: str, value: Any) -> Any:
        return field(name).get_db_prep_save(value, connection)

    statement = sql.SQL(
        "UPDATE {table} SET {assignments}, version = version + 1"
        " WHERE {key} = %s AND status = ANY(%s){conditions} RETURNING old.status, version"
    ).format(
        table=sql.Identifier(meta.db_table),
        assignments=sql.SQL(", ").join(sql.SQL("{} = %s").format(column(name)) for name in values),
        key=column(meta.pk.name),
        conditions=sql.SQL("").join(sql.SQL(" AND {} IS NOT DISTINCT FROM %s").format(column(name)) for name in where),
    )
    parameters = [
        *(stored(name, value) for name, value in values.items()),
        thing.pk,
        list(expect),
        *(stored(name, value) for name, value in where.items()),
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row: tuple[str, int] | None = cursor.fetchone()
    return row
