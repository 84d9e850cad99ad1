"""Facts on their way out: an event is a row of the transaction that made it true, and so is the job it causes.

Nothing but PostgreSQL is touched before the commit. After it the relay is woken with one publish that may fail:
it looks several times a second anyway.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.db import transaction

from backend.core import jobs
from backend.core.hot import insert
from backend.core.models import EventRow
from backend.core.request_context import request_id
from backend.core.wakeup import wake_relay
from shared_contracts.events import NUMBERED, Event
from shared_contracts.rooms import partition_of

_subscribers: dict[str, list[str]] = {}
_known = {event.type for event in NUMBERED}


def emit(event: Event, *, rooms: Iterable[str], now: datetime) -> list[int]:
    """Write the event once for every room, and one job for every subscriber. Returns the rows' ids in rooms' order.

    Must be called in the transaction of the change it tells of.
    """
    return emit_all([(event, list(rooms))], now=now)


def emit_all(events: Sequence[tuple[Event, Sequence[str]]], *, now: datetime) -> list[int]:
    """`emit` for several events, each with its rooms, in order and in one statement."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("emit() outside a transaction: the event could outlive a change that never was")
    rows = [row for event, rooms in events for row in _rows(event, rooms, now)]
    insert(rows)
    for event, _ in events:
        for job in _subscribers.get(event.type, ()):
            jobs.enqueue(job, now=now, event=event.model_dump(mode="json"))
    transaction.on_commit(_wake_for_events)
    return [row.pk for row in rows]


def _rows(event: Event, rooms: Sequence[str], now: datetime) -> Iterator[EventRow]:
    if event.type not in _known:
        raise LookupError(f"{event.type} is missing in shared_contracts.events.NUMBERED")
    data = event.model_dump_json()
    for room in rooms:
        yield EventRow(
            room=room,
            partition=partition_of(room),
            type=event.type,
            data=data,
            request_id=request_id(),
            created_at=now,
        )


def _wake_for_events() -> None:
    wake_relay("events")


def subscribe(event: type[Event], *, job: str) -> None:
    """From now on every such event also enqueues this job, with the event's fields as its argument `event`.

    Called in `AppConfig.ready()` by modules above the one that emits.
    """
    subscribers = _subscribers.setdefault(event.type, [])
    if job not in subscribers:
        subscribers.append(job)


def subscribers_of(event: type[Event]) -> Sequence[str]:
    return tuple(_subscribers.get(event.type, ()))
