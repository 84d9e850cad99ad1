"""Bookings as the API shows them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from backend.accounts import public as accounts
from backend.accounts.public import ContactView
from backend.catalog.public import ReviewView
from backend.core.actor import Actor
from backend.core.models import StateChange
from backend.core.money import Money
from backend.scheduling import rules
from backend.scheduling.models import Booking
from backend.scheduling.schemas.bookings import (
    BookedResourceOut,
    BookedServiceOut,
    BookingOut,
    BookingPartyOut,
    BookingReviewOut,
    BookingStepOut,
    ConsequenceOut,
    MoveOut,
    PreviewOut,
)
from backend.scheduling.selectors import bookings
from backend.scheduling.states import Party, Side, Status
from shared_contracts.events import Money as MoneyOut
from shared_contracts.events import Person, Place

_AS_KEPT = (
    "version",
    "category_id",
    "starts_at",
    "ends_at",
    "notes",
    "address",
    "reason",
    "confirmed_at",
    "rescheduled_at",
    "cancelled_at",
    "completed_at",
    "created_at",
    "updated_at",
)
_TOGETHER = frozenset({Status.CONFIRMED, Status.COMPLETED, Status.NO_SHOW})


def show_booking(actor: Actor, booking: Booking) -> BookingOut:
    """One query."""
    return show_bookings(actor, [booking])[0]


def show_bookings(actor: Actor, found: Sequence[Booking]) -> list[BookingOut]:
    """Each with its resource loaded. One query."""
    people = accounts.contacts(user_id for one in found for user_id in (one.client_id, one.provider_id))
    return [_show(actor, booking, people) for booking in found]


def _show(actor: Actor, booking: Booking, people: Mapping[int, ContactView]) -> BookingOut:
    location, resource = booking.location, booking.resource
    is_request = booking.status == Status.REQUESTED
    return BookingOut(
        id=booking.pk,
        status=Status(booking.status),
        client=_party(actor, booking, people[booking.client_id]),
        provider=_party(actor, booking, people[booking.provider_id]),
        resource=BookedResourceOut(id=resource.pk, name=resource.name, user_id=resource.user_id),
        service=None
        if booking.service_id is None
        else BookedServiceOut(id=booking.service_id, title=booking.service_title),
        proposed_by=Side(booking.proposed_by),
        held_until=booking.held_until if is_request else None,
        price=_money(booking.price),
        estimated_cost=_money(booking.estimated_cost),
        fee=_money(booking.fee),
        location=None if location is None else Place(lat=location.lat, lng=location.lng),
        free_cancellation_until=_free_until(booking),
        **{name: getattr(booking, name) for name in _AS_KEPT},
    )


def _party(actor: Actor, booking: Booking, person: ContactView) -> BookingPartyOut:
    """With a phone number for managers, and for the other side of what is agreed on."""
    shown = actor.is_manager or (booking.status in _TOGETHER and actor.id != person.id)
    return BookingPartyOut(id=person.id, name=person.name, phone_number=person.phone_number if shown else None)


def _free_until(booking: Booking) -> datetime | None:
    return rules.free_until(booking.committed_starts_at, booking.free_cancellation_hours) if booking.is_open else None


def _money(amount: Money | None) -> MoneyOut | None:
    return None if amount is None else amount.out()


def show_steps(booking: Booking, changes: Sequence[StateChange]) -> list[BookingStepOut]:
    """Two queries."""
    found = accounts.people(change.by_id for change in changes if change.by_id is not None)
    moves = bookings.moves_of(booking.pk, [change.version for change in changes])
    steps = []
    for change in changes:
        person = found.get(change.by_id or 0)
        move = moves.get(change.version)
        columns: dict[str, Any] = {
            name: getattr(change, name) for name in ("version", "from_status", "to_status", "reason", "at")
        }
        steps.append(
            BookingStepOut(
                by=None if person is None else Person(id=person.id, name=person.name),
                moved=None if move is None else MoveOut.model_validate(move),
                **columns,
            )
        )
    return steps


def show_preview(booking: Booking, party: Party, *, now: datetime) -> PreviewOut:
    """No query."""
    is_client = party is Party.CLIENT

    def consequence(allowed: bool, minor: int | None) -> ConsequenceOut:
        fee = None if minor is None else Money(minor, booking.currency).out()
        return ConsequenceOut(allowed=allowed, fee=fee)

    begun = booking.starts_at <= now
    confirmed = booking.status == Status.CONFIRMED
    nothing = None if booking.price_minor is None else 0
    may_be_no_show = booking.status in {Status.CONFIRMED, Status.COMPLETED} and (
        not is_client and begun and now < booking.ends_at + rules.SETTLED_AFTER
    )
    return PreviewOut(
        free_cancellation_until=_free_until(booking),
        cancel=consequence(
            booking.is_open and rules.may_cancel(booking, is_client=is_client, now=now),
            rules.cancellation_fee(booking, by_client=is_client, now=now),
        ),
        reschedule=consequence(booking.is_open and not (confirmed and begun), nothing),
        no_show=consequence(may_be_no_show, rules.no_show_fee(booking)),
    )


def show_review(review: ReviewView, booking_id: int) -> BookingReviewOut:
    """One query."""
    found = accounts.people([review.author_id, review.reviewed_id])
    author, reviewed = found[review.author_id], found[review.reviewed_id]
    return BookingReviewOut(
        id=review.id,
        booking_id=booking_id,
        author=Person(id=author.id, name=author.name),
        reviewed=Person(id=reviewed.id, name=reviewed.name),
        rating=review.rating,
        comment=review.comment,
        is_visible=review.is_visible,
        created_at=review.created_at,
    )
