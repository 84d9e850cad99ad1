"""A booking from the wish to the review."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.catalog.errors import AlreadyReviewed
from backend.core import auth, clock, etags
from backend.core.errors import Forbidden, InvalidState, PreconditionFailed
from backend.core.geo import Point
from backend.core.idempotency import idempotent
from backend.core.money import Money
from backend.core.openapi import problems
from backend.core.pagination import PageIn, paginate
from backend.core.schemas import Id, MoneyIn, Page
from backend.core.states import history_of
from backend.scheduling.endpoints.router import router
from backend.scheduling.errors import NotAvailable, OwnProposal, SlotTaken, TooEarly, TooLate
from backend.scheduling.schemas.bookings import (
    BookingChangesIn,
    BookingFiltersIn,
    BookingIn,
    BookingOut,
    BookingReviewIn,
    BookingReviewOut,
    BookingStepOut,
    CancelIn,
    PreviewOut,
    RescheduleIn,
)
from backend.scheduling.selectors import bookings, shapes
from backend.scheduling.selectors.bookings import BookingFilters
from backend.scheduling.services import booking as booking_
from backend.scheduling.services import moving, progress
from backend.scheduling.services.booking import Wanted
from backend.scheduling.services.moving import NewTime

ONE = "/bookings/{booking_id}/"


@router.get("/bookings/", response=Page[BookingOut], auth=auth.any_user, operation_id="listBookings")
def list_bookings(request: HttpRequest, filters: Query[BookingFiltersIn]) -> dict[str, Any]:
    """My bookings: as client, as provider, and at the chair I work at. Managers see all."""
    actor = auth.actor(request)
    asked = BookingFilters(
        statuses=filters.status,
        starts_from=filters.starts_from,
        starts_before=filters.starts_before,
        provider_id=filters.provider,
        service_id=filters.service,
        ordering=filters.ordering,
    )
    page = paginate(request, bookings.list_bookings_for(actor, asked), filters)
    return {**page, "results": shapes.show_bookings(actor, page["results"])}


@router.post(
    "/bookings/",
    response={201: BookingOut},
    auth=auth.client,
    operation_id="createBooking",
    openapi_extra=problems(SlotTaken, NotAvailable),
)
@decorate_view(idempotent)
def create_booking(request: HttpRequest, payload: BookingIn) -> Status[BookingOut]:
    """Book a time. Of many who want the same, one gets it; the others get `slot_taken`.

    It is a request until the provider confirms it, or at once a booking where their policy says so. A request keeps its
    time for some minutes (`held_until`). The price is the service's; `estimated_cost` is only a note.
    """
    actor = auth.actor(request)
    wanted = Wanted(
        starts_at=payload.starts_at,
        ends_at=payload.ends_at,
        provider_id=payload.provider,
        service_id=payload.service,
        resource_id=payload.resource,
        category_id=payload.category,
        notes=payload.notes,
        address=payload.address,
        location=None if payload.location is None else Point(payload.location.lat, payload.location.lng),
        estimated_cost=_money(payload.estimated_cost),
    )
    booked = booking_.book(actor=actor, wanted=wanted, now=clock.now())
    return Status(201, shapes.show_booking(actor, booked))


def _money(given: MoneyIn | None) -> Money | None:
    return None if given is None else given.money("body.estimated_cost")


@router.get(ONE, response=BookingOut, auth=auth.any_user, operation_id="readBooking")
def read_booking(request: HttpRequest, response: HttpResponse, booking_id: Id) -> BookingOut:
    """One booking: for its client, its provider, and who works at its chair."""
    actor = auth.actor(request)
    booking, _ = bookings.get_booking_for(actor, booking_id)
    etags.tag(response, booking.version)
    return shapes.show_booking(actor, booking)


@router.patch(
    ONE,
    response=BookingOut,
    auth=auth.any_user,
    operation_id="updateBooking",
    openapi_extra=problems(InvalidState, PreconditionFailed),
)
def update_booking(
    request: HttpRequest, booking_id: Id, payload: BookingChangesIn, if_match: etags.IfMatch = None
) -> BookingOut:
    """Change notes, address, place or estimated cost of a booking that is not over."""
    actor = auth.actor(request)
    edited = progress.edit_booking(
        actor=actor,
        booking_id=booking_id,
        changes=_columns(payload),
        versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )
    return shapes.show_booking(actor, edited)


def _columns(payload: BookingChangesIn) -> dict[str, Any]:
    """The columns of what was sent."""
    given: dict[str, Any] = {name: getattr(payload, name) for name in payload.model_fields_set & {"notes", "address"}}
    if "location" in payload.model_fields_set:
        place = payload.location
        given |= {"lat": place.lat if place else None, "lng": place.lng if place else None}
    if "estimated_cost" in payload.model_fields_set:
        cost = _money(payload.estimated_cost)
        given |= {
            "estimated_cost_minor": cost.minor if cost else None,
            "estimated_cost_currency": cost.currency if cost else "",
        }
    return given


@router.delete(
    ONE,
    response={204: None},
    auth=auth.any_user,
    operation_id="deleteBooking",
    openapi_extra=problems(InvalidState, TooLate),
)
def delete_booking(request: HttpRequest, booking_id: Id) -> Status[None]:
    """Call a booking off, like `cancel` without a reason. What is over cannot be deleted."""
    progress.cancel_booking(actor=auth.actor(request), booking_id=booking_id, reason="", now=clock.now())
    return Status(204, None)


@router.post(
    "/bookings/{booking_id}/confirm/",
    response=BookingOut,
    auth=auth.any_user,
    operation_id="confirmBooking",
    openapi_extra=problems(OwnProposal, SlotTaken, TooLate, InvalidState),
)
@decorate_view(idempotent)
def confirm_booking(request: HttpRequest, booking_id: Id) -> BookingOut:
    """Agree to the time that the other side proposed. A manager may, for either side.

    A request whose `held_until` has passed takes its time again; who was faster meanwhile has it (`slot_taken`).
    """
    actor = auth.actor(request)
    return shapes.show_booking(actor, progress.confirm_booking(actor=actor, booking_id=booking_id, now=clock.now()))


@router.post(
    "/bookings/{booking_id}/unconfirm/",
    response=BookingOut,
    auth=auth.any_user,
    operation_id="unconfirmBooking",
    openapi_extra=problems(Forbidden, TooLate, InvalidState),
)
@decorate_view(idempotent)
def unconfirm_booking(request: HttpRequest, booking_id: Id) -> BookingOut:
    """Take a confirmation back, as the provider, before it begins: the booking is a request again."""
    actor = auth.actor(request)
    return shapes.show_booking(actor, progress.unconfirm_booking(actor=actor, booking_id=booking_id, now=clock.now()))


@router.post(
    "/bookings/{booking_id}/cancel/",
    response=BookingOut,
    auth=auth.any_user,
    operation_id="cancelBooking",
    openapi_extra=problems(InvalidState, TooLate),
)
@decorate_view(idempotent)
def cancel_booking(request: HttpRequest, booking_id: Id, payload: CancelIn) -> BookingOut:
    """Call a booking off. A client who does so after `free_cancellation_until` owes the `fee`.

    `GET /bookings/{booking_id}/cancellation-preview/` tells it before. A client cannot cancel what has begun.
    """
    actor = auth.actor(request)
    cancelled = progress.cancel_booking(actor=actor, booking_id=booking_id, reason=payload.reason, now=clock.now())
    return shapes.show_booking(actor, cancelled)


@router.post(
    "/bookings/{booking_id}/reschedule/",
    response=BookingOut,
    auth=auth.any_user,
    operation_id="rescheduleBooking",
    openapi_extra=problems(SlotTaken, NotAvailable, TooLate, InvalidState),
)
@decorate_view(idempotent)
def reschedule_booking(request: HttpRequest, booking_id: Id, payload: RescheduleIn) -> BookingOut:
    """Move a booking to another time. What a client moves is a request again; what a provider moves stays as it was.

    Moving does not help against a late fee. Example: confirmed for Friday 10:00, free until 24 hours before. Moved on
    Thursday at 15:00 to the Friday after and cancelled on Monday, it costs the late fee, for Thursday at 15:00 was too
    late for the first Friday. Moved on Thursday at 9:00, it costs nothing. Who is moved by the provider owes nothing.
    Nor does a cheaper service help: the fee is taken of the higher price. If nobody confirms what was moved too late,
    it costs the same when it expires; if the provider declines it by cancelling, it costs nothing.
    """
    actor = auth.actor(request)
    time = NewTime(
        starts_at=payload.starts_at,
        ends_at=payload.ends_at,
        service_id=payload.service,
        resource_id=payload.resource,
    )
    moved = moving.reschedule_booking(actor=actor, booking_id=booking_id, time=time, now=clock.now())
    return shapes.show_booking(actor, moved)


@router.post(
    "/bookings/{booking_id}/complete/",
    response=BookingOut,
    auth=auth.any_user,
    operation_id="completeBooking",
    openapi_extra=problems(Forbidden, TooEarly, InvalidState),
)
@decorate_view(idempotent)
def complete_booking(request: HttpRequest, booking_id: Id) -> BookingOut:
    """Say that the work is done, as the provider, from its start on. Two hours after the end the timetable does."""
    actor = auth.actor(request)
    return shapes.show_booking(actor, progress.complete_booking(actor=actor, booking_id=booking_id, now=clock.now()))


@router.post(
    "/bookings/{booking_id}/no-show/",
    response=BookingOut,
    auth=auth.any_user,
    operation_id="recordNoShow",
    openapi_extra=problems(Forbidden, TooEarly, TooLate, InvalidState),
)
@decorate_view(idempotent)
def record_no_show(request: HttpRequest, booking_id: Id) -> BookingOut:
    """Say that the client did not come, as the provider: from its start on, until two hours after its end."""
    actor = auth.actor(request)
    return shapes.show_booking(actor, progress.record_no_show(actor=actor, booking_id=booking_id, now=clock.now()))


@router.post(
    "/bookings/{booking_id}/reviews/",
    response={201: BookingReviewOut},
    auth=auth.any_user,
    operation_id="reviewBooking",
    openapi_extra=problems(Forbidden, InvalidState, AlreadyReviewed),
)
@decorate_view(idempotent)
def review_booking(request: HttpRequest, booking_id: Id, payload: BookingReviewIn) -> Status[BookingReviewOut]:
    """Review the other side of a completed booking, once. Both reviews show when both are written, or after 14 days."""
    review = progress.review_booking(
        actor=auth.actor(request),
        booking_id=booking_id,
        rating=payload.rating,
        comment=payload.comment,
        now=clock.now(),
    )
    return Status(201, shapes.show_review(review, booking_id))


@router.get(
    "/bookings/{booking_id}/cancellation-preview/",
    response=PreviewOut,
    auth=auth.any_user,
    operation_id="previewCancellation",
)
def preview_cancellation(request: HttpRequest, booking_id: Id) -> PreviewOut:
    """What cancelling, rescheduling or a no-show would cost now, before anything is done."""
    booking, party = bookings.get_booking_for(auth.actor(request), booking_id)
    return shapes.show_preview(booking, party, now=clock.now())


@router.get(
    "/bookings/{booking_id}/history/",
    response=Page[BookingStepOut],
    auth=auth.any_user,
    operation_id="listBookingHistory",
)
def list_history(request: HttpRequest, booking_id: Id, filters: Query[PageIn]) -> dict[str, Any]:
    """Every step in the life of a booking: who, when, from what to what, why, and where it was moved.

    A change of notes, address, place or estimated cost is a step from a state to the same.
    """
    booking, _ = bookings.get_booking_for(auth.actor(request), booking_id)
    page = paginate(request, history_of(booking), filters)
    return {**page, "results": shapes.show_steps(booking, page["results"])}
