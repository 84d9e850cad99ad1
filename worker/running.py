"""Runs jobs: leases the row, does the work and completes the row in one transaction, or writes down why not.

A worker that was stopped for longer than its lease lasts cannot complete the job that another has taken over: every
lease raises the row's fence, and only its present holder matches it. Leases are compared by the database's clock.

A job with an effect outside commits first that its call begins, makes the call in no transaction, and then completes
the row. A kill between the call and the completion leaves the outcome unknown: it is made once more, with its same key.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from django.db import close_old_connections, connection, transaction
from django.db.models import QuerySet

from backend.core import clock, jobs
from backend.core.hot import as_model, columns_of, run
from backend.core.metrics import JOBS
from backend.core.models import JobRow
from backend.core.request_context import caused_by
from shared_contracts.jobs import LEASE_SECONDS, Queue
from worker import metrics
from worker.connections import DATABASE_AWAY

LONGEST_PAUSE = timedelta(minutes=10)
ERROR_CHARACTERS = 500
RENEW_SECONDS = LEASE_SECONDS / 4
TURN_SECONDS = 2.0
"""Longest wait of a bulk job for those before it: whoever takes long holds up the others no longer than this."""
MOST_UNKNOWN_CALLS = 2
"""At most one double: of two calls nobody knows how they ended, and there is no third."""

# What nobody has sent (again) is not ours to begin: a stray message must not cut short the pause before a retry.
LEASE = f"""
    UPDATE core_job SET lease_until = clock_timestamp() + %s * interval '1 s',
        fence = fence + 1, attempts = attempts + 1
    WHERE id = %s AND status = 'pending' AND sent_at IS NOT NULL
        AND (lease_until IS NULL OR lease_until < clock_timestamp())
    RETURNING {", ".join(columns_of(JobRow))}
"""  # noqa: S608 - names of columns

COMPLETE = """
    UPDATE core_job SET status = 'done', finished_at = %s, lease_until = NULL
    WHERE id = %s AND fence = %s AND status = 'pending' RETURNING id
"""

RENEW = """
    UPDATE core_job AS job SET lease_until = clock_timestamp() + %s * interval '1 s'
    FROM unnest(%s::bigint[], %s::integer[]) AS held (id, fence)
    WHERE job.id = held.id AND job.fence = held.fence AND job.status = 'pending'
"""

log = structlog.get_logger("callout.jobs")


class _LostError(Exception):
    """Another worker has taken the job over; what we did is rolled back."""


class Runner:
    """Runs jobs in the calling threads, and keeps the leases of all that run."""

    def __init__(self) -> None:
        self._held: set[tuple[int, int]] = set()
        """Id and fence of every job that runs."""
        self._turn = threading.Lock()

    @property
    def running(self) -> int:
        return len(self._held)

    def run(self, job_id: int) -> str | None:
        """Run this job if nobody else does. Returns done, failed, dead or lost, or None when it was not begun."""
        close_old_connections()
        outcome = None
        try:
            row = _lease(job_id)
            if row is not None:
                with caused_by(row.request_id):
                    outcome = self._attempt(row)
                JOBS.labels(row.name, outcome).inc()
        except DATABASE_AWAY as error:
            # Its lease runs out, and it is sent again.
            log.warning("job.unsettled", job=job_id, error=type(error).__name__)
        finally:
            close_old_connections()
        return outcome

    def renew(self, stopping: threading.Event) -> None:
        """Prolong the leases of what runs, every five seconds."""
        while not stopping.wait(RENEW_SECONDS):
            held = self._held.copy()
            if not held:
                continue
            ids, fences = zip(*held, strict=True)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(RENEW, [LEASE_SECONDS, list(ids), list(fences)])
            except DATABASE_AWAY as error:
                log.warning("jobs.not_renewed", error=type(error).__name__)
            finally:
                close_old_connections()

    @contextmanager
    def _in_turn(self, row: JobRow) -> Iterator[None]:
        """Of bulk jobs one works at a time: Python runs one thread at once, and critical jobs would wait for all."""
        is_mine = row.queue == Queue.BULK and self._turn.acquire(timeout=TURN_SECONDS)
        try:
            yield
        finally:
            if is_mine:
                self._turn.release()

    def _attempt(self, row: JobRow) -> str:
        definition = _definition(row)
        metrics.JOB_START_DELAY.labels(row.queue).observe(max(0.0, (clock.now() - row.run_at).total_seconds()))
        held = (row.pk, row.fence)
        self._held.add(held)
        try:
            if row.attempts > definition.max_attempts:
                raise RuntimeError("the worker ended in the midst of every attempt")
            if definition.is_outside:
                _reach_out(row, definition)
            else:
                with self._in_turn(row), transaction.atomic():
                    definition.run(now=clock.now(), **row.arguments)
                    _complete(row)
        except _LostError:
            log.warning("job.lost", job=row.pk, name=row.name)
            return "lost"
        except Exception as error:  # noqa: BLE001 - whatever it is, the row tells it and decides what comes next
            return _fail(row, definition, error)
        finally:
            self._held.discard(held)
        return "done"


def _lease(job_id: int) -> JobRow | None:
    found = run(LEASE, [LEASE_SECONDS, job_id])
    if not found:
        return None
    row = as_model(JobRow, found[0])
    row.arguments = json.loads(row.arguments)
    return row


def _definition(row: JobRow) -> jobs.JobDefinition:
    try:
        return jobs.definition(row.name)
    except LookupError:
        # An older worker met a newer job: by the time of its last attempt this worker is replaced.
        return jobs.JobDefinition(
            row.name, _unknown, Queue(row.queue), max_attempts=8, first_pause=timedelta(seconds=1)
        )


def _unknown(**_: object) -> None:
    raise LookupError("this worker knows no job of that name")


def _reach_out(row: JobRow, definition: jobs.JobDefinition) -> None:
    """Prepare and write down that a call begins, in one transaction; make the call in none; complete the row."""
    if row.calls_unknown >= MOST_UNKNOWN_CALLS:
        raise jobs.NeverDoneError("nobody knows how its last two calls ended")
    with transaction.atomic():
        call = definition.run(now=clock.now(), key=key_of(row), **row.arguments)
        if call is None:
            _complete(row)
            return
        if not _ours(row).update(calls_unknown=row.calls_unknown + 1):
            raise _LostError
    try:
        call()
    except jobs.NotDoneError:
        raise
    except Exception:
        row.calls_unknown += 1
        raise
    _complete(row)


def key_of(row: JobRow) -> str:
    """The name of a job's outside effect: the same at every attempt, and after a restore of the database."""
    return f"{row.name}.{row.pk}.{row.created_at:%Y%m%d%H%M%S}"


def _ours(row: JobRow) -> QuerySet[JobRow]:
    return JobRow.objects.filter(pk=row.pk, fence=row.fence, status=JobRow.Status.PENDING)


def _complete(row: JobRow) -> None:
    if not run(COMPLETE, [clock.now(), row.pk, row.fence]):
        raise _LostError


def _give_up(row: JobRow, definition: jobs.JobDefinition, error: Exception, reason: str) -> bool:
    """End the job; false when it is another's. It is dead, unless its module keeps a dead letter of its own."""
    end = JobRow.Status.DEAD if definition.dead_letter is None else JobRow.Status.DONE
    now = clock.now()
    with transaction.atomic():
        if not _ours(row).update(status=end, finished_at=now, lease_until=None, last_error=reason):
            return False
        if definition.dead_letter is not None:
            definition.dead_letter(now=now, error=error, **row.arguments)
    return True


def _fail(row: JobRow, definition: jobs.JobDefinition, error: Exception) -> str:
    """Have the job tried again after a pause, or give it up. Returns failed, dead or lost."""
    now = clock.now()
    reason = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS].replace("\0", "")
    ours = _ours(row)
    is_hopeless = isinstance(error, jobs.NeverDoneError) or row.calls_unknown >= MOST_UNKNOWN_CALLS
    if row.attempts >= definition.max_attempts or is_hopeless:
        if not _give_up(row, definition, error, reason):
            return "lost"
        log.error("job.dead", job=row.pk, name=row.name, attempts=row.attempts, exc_info=error)
        return "dead"
    pause = min(definition.first_pause * 2 ** (row.attempts - 1), LONGEST_PAUSE)
    again = {"run_at": now + pause, "lease_until": None, "sent_at": None, "calls_unknown": row.calls_unknown}
    if not ours.update(**again, last_error=reason):
        return "lost"
    log.warning("job.failed", job=row.pk, name=row.name, attempt=row.attempts, exc_info=error)
    return "failed"
