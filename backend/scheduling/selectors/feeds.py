"""A person's bookings as their calendar shows them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from backend.accounts import public as accounts
from backend.scheduling.feed import Entry
from backend.scheduling.models import Booking
from backend.scheduling.states import Status

KEPT_FOR = timedelta(days=90)
MOST_ENTRIES = 1000
_STATUS = {
    Status.REQUESTED: "TENTATIVE",
    Status.CONFIRMED: "CONFIRMED",
    Status.COMPLETED: "CONFIRMED",
    Status.NO_SHOW: "CONFIRMED",
    Status.CANCELLED: "CANCELLED",
    Status.EXPIRED: "CANCELLED",
}


def entries_of(user_id: int, *, now: datetime) -> Sequence[Entry]:
    """Their bookings as client, as provider and at the chair they work at, in order: those ahead, the nearest thousand,
    and with what is left of the thousand the latest of the last 90 days. Three queries; two where the thousand is full.
    """
    mine = Q(client_id=user_id) | Q(provider_id=user_id) | Q(resource__user_id=user_id)
    rows = Booking.objects.filter(mine).select_related("resource")
    found = list(rows.filter(ends_at__gt=now).order_by("starts_at", "id")[:MOST_ENTRIES])
    past = rows.filter(ends_at__gt=now - KEPT_FOR, ends_at__lte=now).order_by("-starts_at", "-id")
    found += past[: MOST_ENTRIES - len(found)]
    found.sort(key=lambda booking: (booking.starts_at, booking.pk))
    people = accounts.people(one for booking in found for one in (booking.client_id, booking.provider_id))
    return [
        _entry(booking, people[booking.provider_id if booking.client_id == user_id else booking.client_id].name)
        for booking in found
    ]


def _entry(booking: Booking, with_whom: str) -> Entry:
    location = booking.location
    return Entry(
        booking_id=booking.pk,
        version=booking.version,
        status=_STATUS[Status(booking.status)],
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
        created_at=booking.created_at,
        updated_at=booking.updated_at,
        summary=f"{booking.service_title or 'Booking'} · {with_whom}",
        description=booking.notes,
        location=booking.address,
        point=None if location is None else (location.lat, location.lng),
    )
