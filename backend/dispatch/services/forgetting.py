"""Forgets what has had its time: quotes that nobody took, and where assistants were long ago."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from backend.core.environment import environment
from backend.core.purging import purge_batch
from backend.dispatch.models import Assistance, Quote, TrackPoint
from backend.dispatch.states import OPEN

KEEP_QUOTES = timedelta(days=1)
"""After they ran out. Those that a job was asked for with stay as long as the job."""


def forget(*, now: datetime) -> bool:
    """Delete up to a thousand rows of each kind; true when there may be more."""
    more = [purge_batch(rows) for rows in _outlived(now)]
    return any(more)


def _outlived(now: datetime) -> Iterable[QuerySet[Any]]:
    is_taken = Exists(Assistance.objects.filter(quote=OuterRef("pk")))
    yield Quote.objects.filter(~is_taken, expires_at__lt=now - KEEP_QUOTES).order_by("expires_at")
    goes_on = Exists(Assistance.objects.filter(pk=OuterRef("assistance_id"), status__in=OPEN))
    since = now - timedelta(days=environment().position_history_days)
    yield TrackPoint.objects.filter(~goes_on, at__lt=since).order_by("at")
