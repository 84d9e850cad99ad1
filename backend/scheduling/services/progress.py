"""From a request to the end: confirming, taking it back, cancelling, completing, no-show, notes, reviews."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.catalog import public as catalog
from backend.catalog.public import ReviewView
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import Forbidden, InvalidState, NotFound, PreconditionFailed
from backend.core.states import record_edit
from backend.scheduling import rules
from backend.scheduling.errors import OwnProposal, SlotTaken, TooEarly, TooLate
from backend.scheduling.models import Booking
from backend.scheduling.selectors import bookings, calendars
from backend.scheduling.services import news, steps
from backend.scheduling.services.claims import claiming
from backend.scheduling.states import OPEN, Party, Status


def confirm_booking(*, actor: Actor, booking_id: int, now: datetime) -> Booking:
    """Agree to the time that the other side proposed, or, as a manager, for either. Takes the time again if need be.

    Raises NotFound, OwnProposal, SlotTaken, TooLate or InvalidState.
    """
    return claiming(lambda: _confirm(actor, booking_id, now))


def _confirm(actor: Actor, booking_id: int, now: datetime) -> Booking:
    bookings.get_booking_for(actor, booking_id)
    booking = bookings.lock_booking_and_calendars(booking_id)
    if booking is None:
        raise NotFound
    party = bookings.party_of(actor, booking)
    if party.value == booking.proposed_by:
        raise OwnProposal
    if booking.status == Status.REQUESTED and booking.starts_at <= now:
        raise TooLate(current_status=booking.status)
    retake(booking)
    steps.take(
        booking,
        to=Status.CONFIRMED,
        expect={Status.REQUESTED},
        by=actor,
        what="confirmed",
        now=now,
        values=steps.when_confirmed(booking, now=now),
    )
    note_manager(actor, party, booking, "confirmed", now=now)
    return booking


def retake(booking: Booking) -> None:
    """See whether the time of a request that holds it no more is still free. Raises SlotTaken."""
    blocked = booking.blocked
    if booking.status == Status.REQUESTED and not booking.holds_slot:
        taken = bookings.is_taken(booking.resource_id, blocked.lower, blocked.upper, but_for=booking.pk)
        if taken or booking.resource.deleted_at is not None:
            raise SlotTaken


@transaction.atomic
def unconfirm_booking(*, actor: Actor, booking_id: int, now: datetime) -> Booking:
    """Take a confirmation back: it is a request again, and the client is held to nothing.

    Raises NotFound, Forbidden, TooLate or InvalidState.
    """
    booking, party = bookings.lock_booking_for(actor, booking_id)
    _refuse_client(party)
    if booking.status == Status.CONFIRMED and booking.starts_at <= now:
        raise TooLate(current_status=booking.status)
    terms = calendars.terms_of(booking.provider_id)
    steps.take(
        booking,
        to=Status.REQUESTED,
        expect={Status.CONFIRMED},
        by=actor,
        what="unconfirmed",
        now=now,
        values={
            "confirmed_at": None,
            "committed_starts_at": None,
            "committed_price_minor": None,
            "held_until": terms.held_until(now),
            "confirms_at": None,
            "day_reminder_at": None,
            "hour_reminder_at": None,
        },
    )
    note_manager(actor, party, booking, "unconfirmed", now=now)
    return booking


@transaction.atomic
def cancel_booking(*, actor: Actor, booking_id: int, reason: str, now: datetime) -> Booking:
    """Call it off. A client who does so late owes what was agreed on at the booking; nobody else owes anything.

    A provider who declines the time that a late client moved to sets them free of the fee.

    Raises NotFound, InvalidState, or TooLate for a client once a confirmed booking has begun.
    """
    booking, party = bookings.lock_booking_for(actor, booking_id)
    if not rules.may_cancel(booking, is_client=party is Party.CLIENT, now=now):
        raise TooLate(current_status=booking.status)
    steps.take(
        booking,
        to=Status.CANCELLED,
        expect=OPEN,
        by=actor,
        what="cancelled",
        now=now,
        reason=reason,
        values={
            **steps.OVER,
            "reason": reason,
            "cancelled_at": now,
            "cancelled_by_id": actor.id,
            "fee_minor": rules.cancellation_fee(booking, by_client=party is Party.CLIENT, now=now),
        },
    )
    note_manager(actor, party, booking, "cancelled", now=now)
    return booking


@transaction.atomic
def complete_booking(*, actor: Actor, booking_id: int, now: datetime) -> Booking:
    """Say that the work is done, from its start on. Raises NotFound, Forbidden, TooEarly or InvalidState."""
    booking, party = bookings.lock_booking_for(actor, booking_id)
    _refuse_client(party)
    if booking.status == Status.CONFIRMED and now < booking.starts_at:
        raise TooEarly(current_status=booking.status)
    complete(booking, by=actor, now=now)
    note_manager(actor, party, booking, "completed", now=now)
    return booking


def complete(booking: Booking, *, by: Actor | None, now: datetime) -> None:
    """Its row must be locked. Raises InvalidState."""
    steps.take(
        booking,
        to=Status.COMPLETED,
        expect={Status.CONFIRMED},
        by=by,
        what="completed",
        now=now,
        values={"completed_at": now, "day_reminder_at": None, "hour_reminder_at": None},
    )
    catalog.record_finished_work(
        provider_id=booking.provider_id,
        client_id=booking.client_id,
        reference=booking.reference,
        both_sides_review=True,
        now=now,
    )


@transaction.atomic
def record_no_show(*, actor: Actor, booking_id: int, now: datetime) -> Booking:
    """Say that the client did not come: from the start on, until two hours after the end.

    Raises NotFound, Forbidden, TooEarly, TooLate or InvalidState.
    """
    booking, party = bookings.lock_booking_for(actor, booking_id)
    _refuse_client(party)
    if booking.status in {Status.CONFIRMED, Status.COMPLETED}:
        if now < booking.starts_at:
            raise TooEarly(current_status=booking.status)
        if now >= booking.ends_at + rules.SETTLED_AFTER:
            raise TooLate(current_status=booking.status)
    steps.take(
        booking,
        to=Status.NO_SHOW,
        expect={Status.CONFIRMED, Status.COMPLETED},
        by=actor,
        what="no_show",
        now=now,
        values={**steps.OVER, "completed_at": None, "fee_minor": rules.no_show_fee(booking)},
    )
    catalog.withdraw_finished_work(provider_id=booking.provider_id, reference=booking.reference, now=now)
    note_manager(actor, party, booking, "no_show", now=now)
    return booking


@transaction.atomic
def edit_booking(
    *, actor: Actor, booking_id: int, changes: Mapping[str, Any], versions: frozenset[int] | None, now: datetime
) -> Booking:
    """Change notes, address, place or estimated cost (columns) of a booking that is not over.

    Raises NotFound, PreconditionFailed (its version is none of `versions`) or InvalidState.
    """
    booking, party = bookings.lock_booking_for(actor, booking_id)
    if versions is not None and booking.version not in versions:
        raise PreconditionFailed
    if not booking.is_open:
        raise InvalidState(current_status=booking.status)
    if not changes:
        return booking
    for name, value in changes.items():
        setattr(booking, name, value)
    booking.version += 1
    booking.updated_at = now
    booking.save(update_fields=[*changes, "version", "updated_at"])
    record_edit(booking, by=actor, now=now)
    news.tell(booking, "edited", previous=booking.status, now=now)
    note_manager(actor, party, booking, "edited", now=now, fields=sorted(changes))
    return booking


@transaction.atomic
def review_booking(*, actor: Actor, booking_id: int, rating: int, comment: str, now: datetime) -> ReviewView:
    """Say what one side thinks of the other after a completed booking, each once. Crew speak for their provider.

    Raises NotFound, Forbidden for managers, InvalidState or AlreadyReviewed.
    """
    booking, party = bookings.lock_booking_for(actor, booking_id)
    if party is Party.MANAGER:
        raise Forbidden("Only the two sides review each other.")
    if booking.status != Status.COMPLETED:
        raise InvalidState(current_status=booking.status)
    sides = [booking.client_id, booking.provider_id]
    author_id, reviewed_id = sides if party is Party.CLIENT else reversed(sides)
    return catalog.record_review(
        author_id=author_id,
        reviewed_id=reviewed_id,
        reference=booking.reference,
        rating=rating,
        comment=comment,
        now=now,
    )


def _refuse_client(party: Party) -> None:
    if party is Party.CLIENT:
        raise Forbidden("Only the provider can say this.")


def note_manager(actor: Actor, party: Party, booking: Booking, what: str, *, now: datetime, **changes: Any) -> None:
    """Keep in the audit what a manager did in the place of a party."""
    if party is Party.MANAGER:
        changes = {"status": booking.status, **changes}
        audit.record(
            actor=actor, action=f"scheduling.booking_{what}", reference=booking.reference, changes=changes, now=now
        )
