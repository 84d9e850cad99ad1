"""What the modules hold of a person: what stands in the way of deleting the account, what an export of it contains,
and how it is forgotten.

Each module that keeps anything about people registers in `AppConfig.ready()`:

    personal_data.holds("dispatch", obstacles=…, export=…, erase=…)

Accounts asks them all: in the transaction of a deletion while the person's row is locked, so that nobody opens anything
for this person meanwhile, and in the job that writes an export.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db.models import QuerySet

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that must be brought to an end before the account goes, such as a job that is under way."""

    code: str
    """For programs: `open_assistance`."""
    detail: str
    """For people: what it is, and what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of an export, named `<module>/<thing>.json`, or as a file of the person's is to be called there.

    It has `rows`, which are written as JSON one by one while they are read (datetimes, dates, decimals and UUIDs as
    text), or it is the `file` that storage keeps under this key.
    """

    name: str
    rows: Iterable[Mapping[str, Any]] | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.rows is None) is (self.file is None):
            raise ValueError(f"{self.name}: rows or a file, one of the two")


class Erase(Protocol):
    """Deletes or pseudonymises what the module holds of the person, and lets go of their files.

    Within the deletion's transaction, the person's row still as it was; doing it twice is doing it once.
    """

    def __call__(self, *, user_id: int, now: datetime) -> None: ...


def rows_of(found: QuerySet[Any], *columns: str) -> Iterator[dict[str, Any]]:
    """These columns of all the rows, in order of their keys, a thousand in memory at a time: what parts are made of."""
    last = 0
    while batch := list(found.filter(pk__gt=last).order_by("pk").values("pk", *columns)[:BATCH]):
        last = batch[-1]["pk"]
        for row in batch:
            yield {column: row[column] for column in columns}


Obstacles = Callable[[int], Sequence[Obstacle]]
"""Of the person with this id."""
Export = Callable[[int], Iterable[Part]]
"""Everything that the module holds about this person; of others nothing but what this person may see anyway."""


@dataclass(frozen=True, slots=True)
class _Holder:
    obstacles: Obstacles | None
    export: Export | None
    erase: Erase | None


_holders: dict[str, _Holder] = {}


def holds(
    name: str, *, obstacles: Obstacles | None = None, export: Export | None = None, erase: Erase | None = None
) -> None:
    """Register a module by its name; one that leaves out a part of it has nothing of the kind."""
    _holders[name] = _Holder(obstacles, export, erase)


def obstacles_of(user_id: int) -> list[Obstacle]:
    """All that stands in the way of deleting this person's account."""
    return [one for holder in _holders.values() if holder.obstacles for one in holder.obstacles(user_id)]


def parts_of(user_id: int) -> Iterator[Part]:
    """All that is held about this person, in the order in which the modules registered."""
    for holder in _holders.values():
        if holder.export:
            yield from holder.export(user_id)


def erase(*, user_id: int, now: datetime) -> None:
    """Forget the person everywhere, the upper modules first: they may still ask the lower ones who it was."""
    for holder in reversed(_holders.values()):
        if holder.erase:
            holder.erase(user_id=user_id, now=now)


def holders() -> frozenset[str]:
    """The names of the modules that registered."""
    return frozenset(_holders)
