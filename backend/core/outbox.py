"""Facts on their way out: an event is a row of the transaction that made it true, and so is the job it causes.

Nothing but PostgreSQL is touched before the commit. After it the relay is woken with one publish that may fail:
it looks several times a second anyway.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from backend.core import jobs
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
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("emit() outside a transaction: the event could outlive a change that never was")
    if event.type not in _known:
        raise LookupError(f"{event.type} is missing in shared_contracts.events.NUMBERED")
    data = event.model_dump_json()
    rows = EventRow.objects.bulk_create(
        EventRow(
            room=room,
            partition=partition_of(room),
            type=event.type,
            data=data,
            request_id=request_id(),
            created_at=now,
        )
        for room in rooms
    )
    for job in _subscribers.get(event.type, ()):
        jobs.enqueue(job, now=now, event=event.model_dump(mode="json"))
    transaction.on_commit(_wake_for_events)
    return [row.pk for row in rows]


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
