"""Facts on their way out: an event is a row of the transaction that made it true, and so is the job it causes.

Nothing but PostgreSQL is touched before the commit. After it the relay is woken with one publish that may fail:
it looks several times a second anyway.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction

from backend.core import jobs
from backend.core.hot import insert
from backend.core.models import EventRow
from backend.core.request_context import request_id
from backend.core.wakeup import wake_relay
from shared_contracts.events import NUMBERED, Event
from shared_contracts.rooms import partition_of

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class _Subscriber:
    job: str
    when: Callable[[Any], bool] | None
    after: timedelta


_subscribers: dict[str, list[_Subscriber]] = {}
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
    written = [(event, list(_rows(event, rooms, now))) for event, rooms in events]
    rows = [row for _, of_event in written for row in of_event]
    insert(rows)
    for event, of_event in written:
        _tell_subscribers(event, of_event, now)
    transaction.on_commit(_wake_for_events)
    return [row.pk for row in rows]


def _tell_subscribers(event: Event, rows: Sequence[EventRow], now: datetime) -> None:
    for subscriber in _subscribers.get(event.type, ()):
        if subscriber.when is None or subscriber.when(event):
            jobs.enqueue(
                subscriber.job,
                now=now,
                run_at=now + subscriber.after,
                type=event.type,
                event=event.model_dump(mode="json"),
                rooms=[row.room for row in rows],
                event_id=rows[0].pk if rows else None,
            )


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


def subscribe(
    event: type[E], *, job: str, when: Callable[[E], bool] | None = None, after: timedelta = timedelta()
) -> None:
    """From now on every such event also enqueues this job; with `when`, only those it says yes to; due `after` a while.

    The job gets the event's `type`, its fields as `event`, the names of the `rooms` that carry it, and as `event_id`
    the id of its first row, which is the event's own: None where no room carries it. Called in `AppConfig.ready()` by
    modules above the one that emits.
    """
    subscribers = _subscribers.setdefault(event.type, [])
    if job not in subscribers_of(event):
        subscribers.append(_Subscriber(job, when, after))


def subscribers_of(event: type[Event]) -> Sequence[str]:
    return tuple(subscriber.job for subscriber in _subscribers.get(event.type, ()))
