"""Facts on their way out: an event is a row of the transaction that made it true, and so is the job it causes.

Nothing but PostgreSQL is touched before the commit. After it the relay is woken with one publish that may fail:
it looks several times a second anyway.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from django.db import transaction

from backend.core.hot import HotInsert, run
from backend.core.jobs import INSERT, Planned, definition, row_of, wake_for
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
    one_per: Callable[[Any], str] | None


Change = tuple[str, Sequence[Any]]
"""The parts of a WITH (`name AS (...), ...`) that write something, and the values of their placeholders."""

_subscribers: dict[str, list[_Subscriber]] = {}
_known = {event.type for event in NUMBERED}


def emit(event: Event, *, rooms: Iterable[str], now: datetime) -> list[int]:
    """Write the event once for every room, and one job for every subscriber. Returns the rows' ids in rooms' order.

    Must be called in the transaction of the change it tells of.
    """
    return emit_all([(event, list(rooms))], now=now)


def emit_all(
    events: Sequence[tuple[Event, Sequence[str]]],
    *,
    now: datetime,
    planned: Sequence[Planned] = (),
    change: Change = ("", ()),
) -> list[int]:
    """`emit` for several events, each with its rooms, in order and in one statement with the jobs that they cause.

    So are the jobs that are `planned` besides, and the `change` that all this is about, if it is given.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("emit() outside a transaction: the event could outlive a change that never was")
    told: list[tuple[Any, ...]] = []
    caused: dict[object, tuple[Any, ...]] = {}
    for event, rooms in events:
        if event.type not in _known:
            raise LookupError(f"{event.type} is missing in shared_contracts.events.NUMBERED")
        data = event.model_dump_json()
        for name, run_at, one_per in _jobs_of(event, now):
            arguments = f'{{"type":"{event.type}","event":{data},"rooms":{json.dumps(list(rooms))}}}'
            place = len(told) + 1 if rooms else 0
            row = (name, definition(name).queue, arguments, place, one_per, request_id(), run_at)
            caused.setdefault((name, len(caused) if one_per is None else one_per), row)
        told += [(room, partition_of(room), event.type, data, request_id(), now) for room in rooms]
    parts, values = change
    if not (told or caused or planned or parts):
        return []
    jobs = [*caused.values(), *map(row_of, planned)]
    statement = _statement(parts, len(told), len(caused), len(planned))
    ids = [key for (key,) in run(statement, [*values, *(value for row in (*told, *jobs) for value in row)])]
    transaction.on_commit(_wake_for_events)
    wake_for([(queue, run_at) for _, queue, *_, run_at in jobs], now=now)
    return ids


_EVENTS = HotInsert(EventRow, "room", "partition", "type", "data", "request_id", "created_at")
_EVENT_ID = "%s::jsonb || jsonb_build_object('event_id', (ARRAY(SELECT id FROM told ORDER BY id))[%s])"


# While a job waits for the same, there is none to add. It is locked, so that it is not handed out before our commit:
# whoever runs it sees what we have done. One that is handed out at this moment is waited for, and then another is made.
_WAITS_ALREADY = (
    " ON CONFLICT (name, one_per) WHERE one_per IS NOT NULL AND sent_at IS NULL"
    " DO UPDATE SET one_per = excluded.one_per WHERE false"
)


@lru_cache(maxsize=256)
def _statement(change: str, events: int, caused: int, planned: int) -> str:
    """So many events; jobs that get the id of the event at a place, null at place 0; and jobs as they are."""
    told = _EVENTS.text(events) if events else "SELECT null::bigint AS id WHERE false"
    if not (change or caused or planned):
        return told
    parts = [change] if change else []
    parts.append(f"told AS ({told})")
    if caused:
        insert, returning, key = INSERT.text(caused, arguments=_EVENT_ID).rpartition(" RETURNING ")
        parts.append(f"caused AS ({insert}{_WAITS_ALREADY}{returning}{key})")
    parts += [f"planned AS ({INSERT.text(planned)})"] if planned else []
    return f"WITH {', '.join(parts)} SELECT id FROM told ORDER BY id"  # noqa: S608 - of our own parts


def _jobs_of(event: Event, now: datetime) -> Iterator[tuple[str, datetime, str | None]]:
    """The jobs that wait for such an event, when they are due, and for what there is one only."""
    for subscriber in _subscribers.get(event.type, ()):
        if subscriber.when is None or subscriber.when(event):
            one_per = subscriber.one_per(event) if subscriber.one_per else None
            yield subscriber.job, now + subscriber.after, one_per


def _wake_for_events() -> None:
    wake_relay("events")


def subscribe(
    event: type[E],
    *,
    job: str,
    when: Callable[[E], bool] | None = None,
    after: timedelta = timedelta(),
    one_per: Callable[[E], str] | None = None,
) -> None:
    """From now on every such event also enqueues this job; with `when`, only those it says yes to; due `after` a while.

    With `one_per` there is one job for all events of which it says the same, from the first of them until a relay hands
    the job out: it gets that first event, and looks for what came after. Whoever emits them holds a lock on what
    `one_per` names, or two could wait for each other.

    The job gets the event's `type`, its fields as `event`, the names of the `rooms` that carry it, and as `event_id`
    the id of its first row, which is the event's own: None where no room carries it. Called in `AppConfig.ready()` by
    modules above the one that emits.
    """
    subscribers = _subscribers.setdefault(event.type, [])
    if job not in subscribers_of(event):
        subscribers.append(_Subscriber(job, when, after, one_per))


def subscribers_of(event: type[Event]) -> Sequence[str]:
    return tuple(subscriber.job for subscriber in _subscribers.get(event.type, ()))
