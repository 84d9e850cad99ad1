"""What scheduling tells the world of a booking."""

from collections.abc import Mapping
from datetime import datetime

from backend.accounts import public as accounts
from backend.core.outbox import emit
from backend.core.references import make_reference
from backend.messaging import public as messaging
from backend.scheduling.models import Booking
from backend.scheduling.states import Side
from shared_contracts.events import BookingChange, BookingReminder, BookingUpdated, Person, Place, ReminderLead
from shared_contracts.rooms import user_room

_SENTENCES: Mapping[BookingChange, str] = {
    "confirmed": "The booking is confirmed.",
    "unconfirmed": "The booking must be confirmed again.",
    "moved": "The booking was moved to another time.",
    "cancelled": "The booking was cancelled.",
    "completed": "The booking is completed.",
    "no_show": "The client did not come to the booking.",
    "expired": "The booking was not confirmed in time.",
}
"""What those who talk about a booking are told of it; apps say it in their reader's language."""


def rooms_of(booking: Booking) -> list[str]:
    """The rooms of its people: the client's, the provider's and that of who works at the chair."""
    crew_id = booking.resource.user_id
    return [
        user_room(user_id)
        for user_id in dict.fromkeys([booking.client_id, booking.provider_id, crew_id])
        if user_id is not None
    ]


def names_of(booking: Booking) -> Mapping[int, Person]:
    """One query."""
    found = accounts.people([booking.client_id, booking.provider_id])
    return {user_id: Person(id=user_id, name=person.name) for user_id, person in found.items()}


def tell(booking: Booking, what: BookingChange, *, previous: str, now: datetime, reason: str = "") -> None:
    """Tell all of its people what happened to a booking."""
    people = names_of(booking)
    location = booking.location
    event = BookingUpdated(
        booking_id=booking.pk,
        version=booking.version,
        status=booking.status,
        previous_status=previous,
        what=what,
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
        service_id=booking.service_id,
        service_title=booking.service_title,
        provider=people[booking.provider_id],
        client=people[booking.client_id],
        resource_id=booking.resource_id,
        resource_name=booking.resource.name,
        proposed_by="client" if booking.proposed_by == Side.CLIENT else "provider",
        price=None if booking.price is None else booking.price.out(),
        estimated_cost=None if booking.estimated_cost is None else booking.estimated_cost.out(),
        fee=None if booking.fee is None else booking.fee.out(),
        notes=booking.notes,
        address=booking.address,
        location=None if location is None else Place(lat=location.lat, lng=location.lng),
        reason=reason,
        at=now,
    )
    emit(event, rooms=rooms_of(booking), now=now)
    if what in _SENTENCES:
        messaging.say_about(
            subject=make_reference("booking", booking.pk),
            code=f"booking.{what}",
            text=_SENTENCES[what],
            parameters={"starts_at": booking.starts_at.isoformat()},
            now=now,
        )


def remind(booking: Booking, lead: ReminderLead, *, now: datetime) -> None:
    """Remind all of its people of a booking that begins in a day, or in an hour."""
    people = names_of(booking)
    event = BookingReminder(
        booking_id=booking.pk,
        version=booking.version,
        lead=lead,
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
        service_title=booking.service_title,
        provider=people[booking.provider_id],
        client=people[booking.client_id],
        address=booking.address,
    )
    emit(event, rooms=rooms_of(booking), now=now)
