"""Reminders before an approved document runs out."""

from datetime import UTC, date, datetime, time, timedelta
from typing import cast

from django.db.models import Q

from backend.core.jobs import enqueue
from backend.core.outbox import emit
from backend.media.models import Document
from backend.media.states import DocumentStatus
from shared_contracts.events import DocumentExpiring
from shared_contracts.rooms import user_room

DAYS_BEFORE = (30, 7, 1)
HOUR = time(9, tzinfo=UTC)


def reminder_moments(expires_on: date) -> dict[int, datetime]:
    """For each number of days before the last day: nine in the morning, UTC."""
    return {days: datetime.combine(expires_on - timedelta(days=days), HOUR) for days in DAYS_BEFORE}


def remind_before(document: Document, *, now: datetime) -> None:
    """Set the timers that are still ahead; those of an earlier approval find another version, and do nothing."""
    if document.expires_on is None:
        return
    for days, moment in reminder_moments(document.expires_on).items():
        if moment > now:
            enqueue(
                "media.remind_of_expiry",
                now=now,
                run_at=moment,
                document_id=document.pk,
                version=document.version,
                days=days,
            )


def remind(*, document_id: int, version: int, days: int, now: datetime) -> None:
    """Tell the owner that it runs out in so many days, unless they were told, or it was replaced or deleted.

    In the job's transaction.
    """
    approved = Document.objects.filter(pk=document_id, version=version, status=DocumentStatus.APPROVED)
    is_news = Q(reminded_days=None) | Q(reminded_days__gt=days)
    if not approved.filter(is_news, expires_on__isnull=False).update(reminded_days=days):
        return
    document = approved.get()
    event = DocumentExpiring(
        document_id=document.pk,
        version=document.version,
        document_type=document.type,
        expires_on=cast("date", document.expires_on),
        days=days,
    )
    emit(event, rooms=[user_room(document.user_id)], now=now)
