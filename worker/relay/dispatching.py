"""Hands due jobs to Dramatiq, a few at a time. The rest wait in PostgreSQL, where nothing gets lost."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime

import redis
from django.db import connection, transaction
from django.db.models import Min

from backend.core import clock
from backend.core.models import JobRow
from shared_contracts.jobs import OUT_PER_THREAD, RESEND_AFTER_SECONDS, Queue
from worker import metrics
from worker.broker import make_broker, send, waiting
from worker.heartbeats import count_threads
from worker.relay.partitions import LOCKS, PRESENCE
from worker.relay.rounds import repeat

SWEEP_SECONDS = 0.2
BACKLOG_SECONDS = 0.05
"""After something was sent: more may be due than fitted, and nobody wakes the relay when a worker has finished."""
COUNT_THREADS_SECONDS = 1

LOCK = {Queue.CRITICAL: PRESENCE + 1, Queue.BULK: PRESENCE + 2, Queue.PROMPT: PRESENCE + 3}
"""Advisory locks, for a transaction each: one relay at a time hands out the jobs of a queue."""

# Out is what a worker holds, or was sent so recently that it may be on its way. What is due and not out is sent: new
# jobs, sent ones that nobody began, and those whose worker died after the last sending.
CLAIM = """
    WITH sent AS (
        SELECT count(*) AS jobs FROM core_job
        WHERE status = 'pending' AND sent_at IS NOT NULL AND queue = %(queue)s
            AND (lease_until > clock_timestamp() OR sent_at > clock_timestamp() - %(resend_after)s * interval '1 s')
    ), due AS (
        SELECT id FROM core_job
        WHERE status = 'pending' AND queue = %(queue)s AND run_at <= %(now)s
            AND (lease_until IS NULL OR lease_until < clock_timestamp())
            AND (sent_at IS NULL OR sent_at < clock_timestamp() - %(resend_after)s * interval '1 s'
                OR sent_at < lease_until)
        ORDER BY run_at, id
        LIMIT greatest(0, %(limit)s - (SELECT jobs FROM sent))
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE core_job AS job SET sent_at = clock_timestamp() FROM due WHERE job.id = due.id
    RETURNING job.run_at, job.id
"""


class Dispatching:
    """Hands out the jobs of one queue: at most four for every worker's thread are out at once."""

    def __init__(self, queue: Queue, *, wake: threading.Event) -> None:
        self._queue = queue
        self._wake = wake
        self._broker = make_broker()
        self._threads = 0
        self._counted_at = float("-inf")

    def run(self, stopping: threading.Event) -> None:
        repeat(f"dispatching {self._queue}", self.one_round, stopping=stopping, wake=self._wake)

    def one_round(self) -> float:
        """Send what is due and fits; returns the seconds until there may be more to send."""
        now = clock.now()
        # Messages that nobody fetched are not lost: sending their jobs again would only lengthen the queue.
        limit = OUT_PER_THREAD * self._count_threads() - waiting(self._broker, self._queue)
        claimed = self._claim(now, limit) if limit > 0 else []
        self._send(claimed)
        if limit <= 0:
            return SWEEP_SECONDS
        return BACKLOG_SECONDS if claimed else self._until_next(now)

    def _count_threads(self) -> int:
        if time.monotonic() - self._counted_at > COUNT_THREADS_SECONDS:
            self._threads = count_threads(self._broker.client, self._queue)
            self._counted_at = time.monotonic()
        return self._threads

    def _claim(self, now: datetime, limit: int) -> Sequence[int]:
        """Mark the next jobs as sent, oldest first; none while another relay hands out this queue."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCKS, LOCK[self._queue]])
            if cursor.fetchone() != (True,):
                return []
            # A mark lost in a crash of PostgreSQL means a job sent twice, which harms nobody.
            cursor.execute("SET LOCAL synchronous_commit = off")
            resend_after = RESEND_AFTER_SECONDS[self._queue]
            cursor.execute(
                CLAIM, {"queue": self._queue.value, "now": now, "limit": limit, "resend_after": resend_after}
            )
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

    def _until_next(self, now: datetime) -> float:
        later = JobRow.objects.filter(status=JobRow.Status.PENDING, queue=self._queue, run_at__gt=now)
        next_at = later.aggregate(at=Min("run_at"))["at"]
        return min(SWEEP_SECONDS, (next_at - now).total_seconds()) if next_at else SWEEP_SECONDS
