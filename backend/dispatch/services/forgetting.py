"""Forgets what has had its time: quotes that nobody took, and where assistants were long ago; and where somebody was
whose account is deleted."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from backend.core.environment import environment
from backend.core.purging import purge_batch
from backend.dispatch.models import Assistance, Offer, Quote, TrackPoint
from backend.dispatch.states import OPEN, OfferStatus

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


def forget_tracks(*, user_id: int) -> bool:
    """Delete a batch of where this person was during jobs, also those that they gave back; true when there may be more.

    Of a job that somebody else has now, what came before them.
    """
    taken = Offer.objects.filter(assistant_id=user_id, status=OfferStatus.ACCEPTED).values("assistance_id")
    whole = Q(assistance__assistant_id=user_id) | Q(assistance__assistant_id=None)
    before = Q(at__lt=F("assistance__accepted_at"))
    return purge_batch(TrackPoint.objects.filter(whole | before, assistance_id__in=taken))
