"""Hands due jobs to Dramatiq, a few at a time. The rest wait in PostgreSQL, where nothing gets lost."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime

import redis
from django.db import connection, transaction

from backend.core import clock
from backend.core.models import JobRow
from shared_contracts.jobs import OUT_PER_THREAD, RESEND_AFTER_SECONDS, Queue
from shared_contracts.redis_keys import WORKERS_WAKE
from worker import metrics
from worker.broker import make_broker, send, waiting
from worker.heartbeats import count_threads
from worker.relay.partitions import DISPATCHING, LOCKS
from worker.relay.rounds import repeat

SWEEP_SECONDS = 0.2
BACKLOG_SECONDS = 0.05
"""While something is due: more may be than fitted, and nobody wakes the relay when a worker has finished."""
COUNT_THREADS_SECONDS = 1

# Out is what a worker holds, or was sent so recently that it may be on its way. What is not out is to be sent when it
# is due: new jobs, sent ones that nobody began, and those whose worker died after the last sending. From its first
# sending on a job is one for nothing any more: what it does not see yet, another one will.
_NOT_OUT = """
    status = 'pending' AND queue = %(queue)s
    AND (lease_until IS NULL OR lease_until < clock_timestamp())
    AND (sent_at IS NULL OR sent_at < clock_timestamp() - %(resend_after)s * interval '1 s' OR sent_at < lease_until)
"""
_NEXT = f"SELECT min(run_at) FROM core_job WHERE {_NOT_OUT}"  # noqa: S608 - of our own parts
CLAIM = f"""
    WITH sent AS (
        SELECT count(*) AS jobs FROM core_job
        WHERE status = 'pending' AND sent_at IS NOT NULL AND queue = %(queue)s
            AND (lease_until > clock_timestamp() OR sent_at > clock_timestamp() - %(resend_after)s * interval '1 s')
    ), due AS (
        SELECT id FROM core_job
        WHERE {_NOT_OUT} AND run_at <= %(now)s
        ORDER BY run_at, id
        LIMIT greatest(0, %(limit)s - (SELECT jobs FROM sent))
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE core_job AS job SET sent_at = clock_timestamp(), one_per = NULL FROM due WHERE job.id = due.id
    RETURNING job.run_at, job.id
"""  # noqa: S608 - of our own parts


class Dispatching:
    """Hands out the jobs of one queue: at most four for every worker's thread are out at once."""

    def __init__(self, queue: Queue, *, wake: threading.Event) -> None:
        self._queue = queue
        self._parameters = {"queue": queue.value, "resend_after": RESEND_AFTER_SECONDS[queue]}
        self._wake = wake
        self._broker = make_broker()
        self._threads = 0
        self._counted_at = float("-inf")

    def run(self, stopping: threading.Event) -> None:
        repeat(f"dispatching {self._queue}", self.one_round, stopping=stopping, wake=self._wake)

    def one_round(self) -> float:
        """Send what is due and fits; returns the seconds until there may be more to send."""
        now = clock.now()
        next_at = self._next_at()
        if next_at is None or next_at > now:
            return SWEEP_SECONDS if next_at is None else min(SWEEP_SECONDS, (next_at - now).total_seconds())
        # Messages that nobody fetched are not lost: sending their jobs again would only lengthen the queue.
        limit = OUT_PER_THREAD * self._count_threads() - waiting(self._broker, self._queue)
        if limit <= 0:
            return SWEEP_SECONDS
        self._send(self._claim(now, limit))
        return BACKLOG_SECONDS

    def _next_at(self) -> datetime | None:
        """When the first job that is not out is due, or was. At rest this one look is all that a round asks."""
        with connection.cursor() as cursor:
            cursor.execute(_NEXT, self._parameters)
            next_at: datetime | None = cursor.fetchone()[0]
        return next_at

    def _count_threads(self) -> int:
        if time.monotonic() - self._counted_at > COUNT_THREADS_SECONDS:
            self._threads = count_threads(self._broker.client, self._queue)
            self._counted_at = time.monotonic()
        return self._threads

    def _claim(self, now: datetime, limit: int) -> Sequence[int]:
        """Mark the next jobs as sent, oldest first; none while another relay hands out this queue."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCKS, DISPATCHING[self._queue]])
            if cursor.fetchone() != (True,):
                return []
            # A mark lost in a crash of PostgreSQL means a job sent twice, which harms nobody.
            cursor.execute("SET LOCAL synchronous_commit = off")
            cursor.execute(CLAIM, {**self._parameters, "now": now, "limit": limit})
            return [job_id for _, job_id in sorted(cursor.fetchall())]

    def _send(self, job_ids: Sequence[int]) -> None:
        for index, job_id in enumerate(job_ids):
            try:
                send(self._broker, self._queue, job_id)
            except redis.RedisError:
                unsent = JobRow.objects.filter(pk__in=job_ids[index:], lease_until=None)
                unsent.update(sent_at=None)
                raise
            metrics.JOBS_SENT.labels(self._queue.value).inc()
        if job_ids:
            self._broker.client.publish(WORKERS_WAKE, self._queue.value)
