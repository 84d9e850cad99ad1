"""What must always hold in the database: each module's invariants as SQL, and one pass that proves them all.

An invariant is a statement that finds the rows which break it. Modules register theirs in `AppConfig.ready()`; the
command `./callout check` proves a database at any time, and every fault test ends with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from backend.core.purging import KEEP_EVENTS

MOST_ROWS = 10
"""So many offenders of one invariant are shown."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A sentence that must hold, and the statement that finds what breaks it.

    `offenders` may use `%(now)s` (the platform's clock), `%(patience)s` (seconds that something may be under way) and
    `%(kept_since)s`: events written before it may have been purged.
    """

    name: str
    sentence: str
    offenders: str


@dataclass(frozen=True, slots=True)
class Finding:
    """How one invariant stands: no rows means that it holds."""

    invariant: Invariant
    rows: Sequence[dict[str, Any]]

    @property
    def holds(self) -> bool:
        return not self.rows


_registry: dict[str, Invariant] = {}


def must_hold(name: str, sentence: str, offenders: str) -> None:
    """Register an invariant under `module.what_holds`."""
    _registry[name] = Invariant(name, sentence, offenders)


def invariants() -> Iterable[Invariant]:
    return tuple(_registry.values())


def prove(*, now: datetime, patience_s: float) -> list[Finding]:
    """Look for what breaks each invariant. The database is only read, all in one snapshot where it is not within a
    transaction already."""
    values = {"now": now, "patience": patience_s, "kept_since": now - KEEP_EVENTS * 0.9}
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        return [_look(cursor, invariant, values) for invariant in invariants()]


def _look(cursor: Any, invariant: Invariant, values: dict[str, Any]) -> Finding:
    cursor.execute(invariant.offenders, values)
    names = [column.name for column in cursor.description]
    return Finding(invariant, [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(MOST_ROWS)])
