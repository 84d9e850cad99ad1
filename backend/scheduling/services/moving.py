"""Another time for a booking."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.core.actor import Actor
from backend.core.errors import InvalidState, NotFound, invalid_field
from backend.core.hot import insert
from backend.scheduling import rules
from backend.scheduling.errors import TooLate
from backend.scheduling.models import Booking, Move, Resource
from backend.scheduling.rules import Terms
from backend.scheduling.selectors import bookings, calendars
from backend.scheduling.services import booking as booking_
from backend.scheduling.services import steps
from backend.scheduling.services.booking import Service
from backend.scheduling.services.claims import claiming
from backend.scheduling.services.progress import note_manager
from backend.scheduling.states import Party, Side, Status


@dataclass(frozen=True, slots=True)
class NewTime:
    """When and, if that changes too, what and where. The end is the service's, else as long after as before."""

    starts_at: datetime
    ends_at: datetime | None = None
    service_id: int | None = None
    resource_id: int | None = None


def reschedule_booking(*, actor: Actor, booking_id: int, time: NewTime, now: datetime) -> Booking:
    """Move a booking. What a client moves has to be confirmed again; what a provider moves stays as it was.

    A client is bound to the provider's hours, a provider is not. Fees go on as `rules.committed_after_move` says.
    Raises NotFound, SlotTaken, NotAvailable, TooLate, InvalidState, or 422.
    """
    return claiming(lambda: _reschedule(actor, booking_id, time, now))


def _reschedule(actor: Actor, booking_id: int, time: NewTime, now: datetime) -> Booking:
    before, _ = bookings.get_booking_for(actor, booking_id)
    resource_id = time.resource_id or before.resource_id
    booking = bookings.lock_booking_and_calendars(booking_id, other_resource_ids=[resource_id])
    if booking is None:
        raise NotFound
    party = bookings.party_of(actor, booking)
    if not booking.is_open:
        raise InvalidState(current_status=booking.status)
    if booking.status == Status.CONFIRMED and booking.starts_at <= now:
        raise TooLate(current_status=booking.status)
    side = Side.CLIENT if party is Party.CLIENT else Side.PROVIDER
    service = booking_.ANYTHING
    if time.service_id is not None:
        service, _ = booking_.what_is_wanted(time.service_id, booking.provider_id)
        _refuse_other_money(booking, service)
    length = booking.ends_at - booking.starts_at
    start, end = booking_.period_of(time.starts_at, time.ends_at, service, now=now, otherwise=length)
    if booking.service_id is not None and service.id is None and end - start != length:
        raise invalid_field("body.ends_at", "the service lasts longer or shorter; leave the end out")
    terms = calendars.terms_of(booking.provider_id)
    resource = booking_.claim_resource(
        booking.provider_id,
        terms,
        start,
        end,
        resource_id=resource_id,
        service_id=service.id or booking.service_id,
        now=now,
        checked=side is Side.CLIENT,
        but_for=booking.pk,
    )
    held_to = rules.committed_after_move(booking.committed_starts_at, booking.free_cancellation_hours, by=side, now=now)
    values = {
        "resource_id": resource.pk,
        "starts_at": start,
        "ends_at": end,
        "blocked": booking_.blocked_by(start, end, terms),
        **(booking_.service_columns(service, booking.category_id) if service.id is not None else {}),
        "proposed_by": side,
        "rescheduled_at": now,
        "committed_starts_at": held_to,
        "committed_price_minor": None if held_to is None else booking.committed_price_minor,
    }
    _move(booking, resource, values, side, terms, by=actor, now=now)
    note_manager(actor, party, booking, "moved", now=now)
    return booking


def _refuse_other_money(booking: Booking, service: Service) -> None:
    """Two prices are compared when a fee is judged: they are in one currency. Raises 422."""
    if booking.price is not None and service.price is not None and service.price.currency != booking.currency:
        raise invalid_field("body.service", "its price is in another currency: make another booking")


def _move(
    booking: Booking, resource: Resource, values: dict[str, Any], side: Side, terms: Terms, *, by: Actor, now: datetime
) -> None:
    move = Move(
        booking=booking,
        version=booking.version + 1,
        from_resource_id=booking.resource_id,
        from_starts_at=booking.starts_at,
        from_ends_at=booking.ends_at,
        to_resource_id=values["resource_id"],
        to_starts_at=values["starts_at"],
        to_ends_at=values["ends_at"],
    )
    insert([move])
    stays = side is Side.PROVIDER and booking.status == Status.CONFIRMED
    for name, value in values.items():
        setattr(booking, name, value)
    booking.resource = resource
    if stays:
        values |= steps.when_confirmed(booking, now=now)
    else:
        values |= {
            "holds_slot": True,
            "held_until": terms.held_until(now),
            "confirms_at": terms.confirms_at(now) if side is Side.CLIENT else None,
            "confirmed_at": None,
            "day_reminder_at": None,
            "hour_reminder_at": None,
        }
    to = Status.CONFIRMED if stays else Status.REQUESTED
    before = {Status(booking.status)}
    steps.take(booking, to=to, expect=before, by=by, what="moved", now=now, values=values)
    if not stays and side is Side.CLIENT and terms.auto_confirm_minutes == 0:
        booking_.confirm_by_policy(booking, now=now)
