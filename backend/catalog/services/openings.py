"""When providers can be booked, as the module that books knows it."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from backend.catalog.models import CalendarOpenings
from backend.catalog.values import OpenCalendar


@transaction.atomic
def set_openings(*, provider_id: int, calendars: Sequence[OpenCalendar], now: datetime) -> None:
    """Say when this provider can still be booked, calendar by calendar. Of whom nothing is said: at any time.

    Whoever asks for providers free in a period gets those with a calendar of which one opening holds all of it; beyond
    the last opening nobody is free, and who has no calendar never is. Two statements.
    """
    told = calendars or [OpenCalendar(periods=())]
    CalendarOpenings.objects.bulk_create(
        [
            CalendarOpenings(
                provider_id=provider_id,
                place=place,
                service_ids=list(one.service_ids),
                notice_minutes=one.notice_minutes,
                periods=list(one.periods),
                updated_at=now,
            )
            for place, one in enumerate(told)
        ],
        update_conflicts=True,
        update_fields=["service_ids", "notice_minutes", "periods", "updated_at"],
        unique_fields=["provider", "place"],
    )
    CalendarOpenings.objects.filter(provider_id=provider_id, place__gte=len(told)).delete()
