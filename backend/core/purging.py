"""Deletes what has had its time: numbered events, finished jobs, stored answers. Dead jobs are kept for people."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from backend.core.jobs import enqueue, job
from backend.core.models import EventRow, IdempotentAnswer, JobRow
from backend.core.timetable import every
from shared_contracts.jobs import Queue

BATCH = 1000
KEEP_EVENTS = KEEP_JOBS = timedelta(days=7)
KEEP_ANSWERS = timedelta(days=30)


@transaction.atomic(savepoint=False)
def purge_batch(old: QuerySet[Any]) -> bool:
    """Delete up to a thousand of these rows; true when that many were found, so that there may be more.

    The order of the queryset stands: by the age that it asks for, an index finds them. Rows that somebody holds are
    left to the next time, so two purges at once wait for nobody and take different rows. What hangs on the rows goes
    with them and is not counted: what hangs there in great numbers is to be purged first, in batches of its own.
    """
    rows = old.select_for_update(skip_locked=True, of=("self",)).only("pk")[:BATCH]
    found = [row.pk for row in rows]
    old.model._base_manager.filter(pk__in=found).delete()
    return len(found) == BATCH


def _outlived(now: datetime) -> Iterable[QuerySet[Any]]:
    yield EventRow.objects.filter(number__isnull=False, created_at__lt=now - KEEP_EVENTS).order_by("created_at")
    yield JobRow.objects.filter(status=JobRow.Status.DONE, finished_at__lt=now - KEEP_JOBS).order_by("finished_at")
    yield IdempotentAnswer.objects.filter(created_at__lt=now - KEEP_ANSWERS).order_by("created_at")


@job("core.purge", queue=Queue.BULK)
def purge(*, now: datetime, **_: object) -> None:
    """Delete a batch of each kind, and leave the rest to a job of its own: no transaction grows long."""
    more = [purge_batch(old) for old in _outlived(now)]
    if any(more):
        enqueue("core.purge", now=now)


every(name="core.purge", seconds=3600, job="core.purge")
