"""Background jobs: rows of the transaction that wanted them, run at least once, effective once.

A job's function is registered by name with `@job` in a module's `jobs.py`. It runs in one transaction together with
the completion of its row, which is refused when another worker has taken the job over meanwhile (the row's fence).

What has an effect outside PostgreSQL (a mail, a payment) is registered with `@outside_job`. Its function prepares in a
transaction and returns the call, which is made after the commit. That commit also says that a call began, so a worker
killed in the midst leaves a trace: whatever nobody knows the outcome of is tried once more, and no third time.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from backend.core.hot import HotInsert
from backend.core.models import JobRow
from backend.core.request_context import request_id
from backend.core.wakeup import wake_relay
from shared_contracts.jobs import Queue

JobFunction = Callable[..., None]
OutsideCall = Callable[[], None]
OutsideFunction = Callable[..., OutsideCall | None]
DeadLetter = Callable[..., None]
"""Takes `now`, the `error` and the arguments; writes down what could not be done, in the job's last transaction."""


class NotDoneError(Exception):
    """An outside call that certainly had no effect, such as a refused connection: it may be repeated at will."""


class NeverDoneError(Exception):
    """An outside call that the other side refuses for good, such as an address that is none: it is not repeated."""


class NobodyThereError(NeverDoneError):
    """The address is nobody's (any more): nothing else will arrive there either."""


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """A registered job: its function takes `now` and its own arguments by keyword, and ignores any others."""

    name: str
    run: Callable[..., Any]
    queue: Queue
    max_attempts: int
    first_pause: timedelta
    is_outside: bool = False
    dead_letter: DeadLetter | None = None


_registry: dict[str, JobDefinition] = {}


def job(
    name: str,
    *,
    queue: Queue = Queue.CRITICAL,
    max_attempts: int = 8,
    first_pause: timedelta = timedelta(seconds=1),
) -> Callable[[JobFunction], JobFunction]:
    """Register a job under `module.verb_noun`. It is retried after pauses that double; then it is dead, and kept."""

    def register(function: JobFunction) -> JobFunction:
        _register(JobDefinition(name, function, queue, max_attempts, first_pause))
        return function

    return register


def outside_job(
    name: str,
    *,
    queue: Queue = Queue.BULK,
    max_attempts: int = 12,
    first_pause: timedelta = timedelta(seconds=2),
    dead_letter: DeadLetter | None = None,
) -> Callable[[OutsideFunction], OutsideFunction]:
    """Register a job whose effect is outside PostgreSQL.

    With a `dead_letter` the module keeps what could not be done itself, and the job given up is done.

    Its function also takes `key`, the same text at every attempt, for the other side to know a repetition by. It
    returns the call to make after its transaction, or None when there is nothing to do. The call says with
    NotDoneError or NeverDoneError what it knows; any other error leaves the outcome unknown.
    """

    def register(function: OutsideFunction) -> OutsideFunction:
        _register(
            JobDefinition(name, function, queue, max_attempts, first_pause, is_outside=True, dead_letter=dead_letter)
        )
        return function

    return register


def _register(job: JobDefinition) -> None:
    known = _registry.get(job.name)
    if known is not None and known.run.__qualname__ != job.run.__qualname__:
        raise LookupError(f"two jobs are called {job.name}")
    _registry[job.name] = job


def definition(name: str) -> JobDefinition:
    """The job of this name. Raises LookupError when no module of this process registered it."""
    return _registry[name]


def definitions() -> Iterable[JobDefinition]:
    return tuple(_registry.values())


INSERT = HotInsert(JobRow, "name", "queue", "arguments", "one_per", "request_id", "run_at")


Planned = tuple[str, datetime, Mapping[str, Any]]
"""A job's name, when it is due, and its arguments."""


def row_of(planned: Planned) -> tuple[str, Queue, str, None, str, datetime]:
    """The row of a job for `INSERT`."""
    name, run_at, arguments = planned
    return name, definition(name).queue, json.dumps(arguments), None, request_id(), run_at


def enqueue_all(name: str, calls: Sequence[tuple[datetime, Mapping[str, Any]]], *, now: datetime) -> list[int]:
    """`enqueue` for many calls of one job, each with when it is due and its arguments, in one statement."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("enqueue_all() outside a transaction: the jobs could outlive a change that never was")
    queue = definition(name).queue
    rows = [
        JobRow(name=name, queue=queue, arguments=dict(arguments), request_id=request_id(), run_at=run_at)
        for run_at, arguments in calls
    ]
    JobRow.objects.bulk_create(rows)
    wake_for([(queue, row.run_at) for row in rows], now=now)
    return [row.pk for row in rows]


def enqueue(name: str, *, now: datetime, run_at: datetime | None = None, **arguments: Any) -> int:
    """Write the job's row, due at once or at `run_at`, and return its id. Arguments must fit JSON."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("enqueue() outside a transaction: the job could outlive a change that never was")
    due = run_at or now
    (key,) = INSERT.run([row_of((name, due, arguments))])
    wake_for([(definition(name).queue, due)], now=now)
    return key


def wake_for(jobs: Iterable[tuple[Queue, datetime]], *, now: datetime) -> None:
    """Tell the relay after the commit of the queues on which a job is due at once."""
    for queue in {queue for queue, run_at in jobs if run_at <= now}:
        transaction.on_commit(partial(wake_relay, queue))
