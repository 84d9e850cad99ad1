"""Deletes what has had its time: numbered events, finished jobs, stored answers. Dead jobs are kept for people."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from backend.core.jobs import enqueue, job
from backend.core.models import EventRow, IdempotentAnswer, JobRow
from backend.core.timetable import every
from shared_contracts.jobs import Queue

BATCH = 1000
KEEP_EVENTS = KEEP_JOBS = timedelta(days=7)
KEEP_ANSWERS = timedelta(days=30)


def purge_batch(old: QuerySet[Any]) -> bool:
    """Delete up to a thousand of these rows; true when that many were found, so that there may be more."""
    batch = old.order_by().values("pk")[:BATCH]
    deleted: int = old.model._base_manager.filter(pk__in=batch).delete()[0]
    return deleted == BATCH


def _outlived(now: datetime) -> Iterable[QuerySet[Any]]:
    yield EventRow.objects.filter(number__isnull=False, created_at__lt=now - KEEP_EVENTS)
    yield JobRow.objects.filter(status=JobRow.Status.DONE, finished_at__lt=now - KEEP_JOBS)
    yield IdempotentAnswer.objects.filter(created_at__lt=now - KEEP_ANSWERS)


@job("core.purge", queue=Queue.BULK)
def purge(*, now: datetime, **_: object) -> None:
    """Delete a batch of each kind, and leave the rest to a job of its own: no transaction grows long."""
    more = [purge_batch(old) for old in _outlived(now)]
    if any(more):
        enqueue("core.purge", now=now)


every(name="core.purge", seconds=3600, job="core.purge")
