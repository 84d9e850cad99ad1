"""Bookings: who may see which, and what the services lock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.hot import HotQuery, as_model, columns_of
from backend.scheduling.models import Booking, Move, Resource
from backend.scheduling.states import OPEN, Party

LONGEST_SPAN = timedelta(days=3)
"""Longer than the longest booking with both buffers: so far before a moment a booking that touches it begins."""
ENDS_OF_BLOCKED = ("blocked__startswith", "blocked__endswith")
"""What a booking takes, as two moments: a range would be read in Python."""


def party_of(actor: Actor, booking: Booking) -> Party:
    """What this person is to a booking; its resource must be loaded. Raises NotFound. No query."""
    if actor.id == booking.client_id:
        return Party.CLIENT
    if actor.id in {booking.provider_id, booking.resource.user_id}:
        return Party.PROVIDER
    if actor.is_manager:
        return Party.MANAGER
    raise NotFound


def get_booking_for(actor: Actor, booking_id: int) -> tuple[Booking, Party]:
    """A booking and what this person is to it. Raises NotFound. One query."""
    booking = Booking.objects.select_related("resource").filter(pk=booking_id).first()
    if booking is None:
        raise NotFound
    return booking, party_of(actor, booking)


def lock_booking_for(actor: Actor, booking_id: int) -> tuple[Booking, Party]:
    """The same, locked against other changes. Raises NotFound. Two queries."""
    get_booking_for(actor, booking_id)
    booking = lock_booking(booking_id)
    if booking is None:
        raise NotFound
    return booking, party_of(actor, booking)


def lock_booking(booking_id: int) -> Booking | None:
    """One query."""
    rows = Booking.objects.select_related("resource").select_for_update(no_key=True, of=("self",))
    return rows.filter(pk=booking_id).first()


def lock_booking_and_calendars(booking_id: int, *, other_resource_ids: Collection[int] = ()) -> Booking | None:
    """The booking, after the calendars that it takes or is to take: that is the order of all locks here.

    Two queries more for every time that somebody moved it to another calendar meanwhile.
    """
    resource_id = Booking.objects.filter(pk=booking_id).values_list("resource_id", flat=True).first()
    while resource_id is not None:
        lock_resources({resource_id, *other_resource_ids})
        booking = lock_booking(booking_id)
        if booking is None or booking.resource_id == resource_id:
            return booking
        resource_id = booking.resource_id
    return None


_LOCKED = HotQuery(
    lambda resources: (
        Resource.objects.select_for_update(no_key=True)
        .filter(pk__any=resources, deleted_at=None)
        .order_by("pk")
        .values_list(*columns_of(Resource))
    ),
    resources=list,
)


def lock_resources(resource_ids: Collection[int]) -> list[Resource]:
    """Those of them that still take bookings, locked in order of id. One compiled query."""
    locked = (as_model(Resource, row) for row in _LOCKED.rows(resources=sorted(set(resource_ids))))
    return [resource for resource in locked if resource.is_active]


_HELD = HotQuery(
    lambda resource, booking, since, until: (
        Booking.objects.filter(resource_id=resource, holds_slot=True, starts_at__gt=since, starts_at__lt=until)
        .exclude(pk=booking)
        .order_by("starts_at")
        .values_list(*ENDS_OF_BLOCKED)
    ),
    resource=int,
    booking=int,
    since=datetime,
    until=datetime,
)


def is_taken(resource_id: int, start: datetime, end: datetime, *, but_for: int = 0) -> bool:
    """Whether a booking other than this one holds part of the blocked time. One compiled query."""
    rows = _HELD.rows(resource=resource_id, booking=but_for, since=start - LONGEST_SPAN, until=end + LONGEST_SPAN)
    return any(begins < end and start < ends for begins, ends in rows)


@dataclass(frozen=True, slots=True)
class BookingFilters:
    """Which bookings, in which order. Times bound the start, half-open."""

    statuses: Sequence[str] = ()
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    provider_id: int | None = None
    service_id: int | None = None
    ordering: str = "-starts_at"


def list_bookings_for(actor: Actor, filters: BookingFilters) -> QuerySet[Booking]:
    """One's own as client, as provider and at the chair one works at; all of them for managers."""
    backwards = "-" if filters.ordering.startswith("-") else ""
    rows = Booking.objects.select_related("resource").order_by(filters.ordering, f"{backwards}id")
    if not actor.is_manager:
        rows = rows.filter(Q(client_id=actor.id) | Q(provider_id=actor.id) | Q(resource__user_id=actor.id))
    if filters.statuses:
        rows = rows.filter(status__in=filters.statuses)
    for name, value in (
        ("starts_at__gte", filters.starts_from),
        ("starts_at__lt", filters.starts_before),
        ("provider_id", filters.provider_id),
        ("service_id", filters.service_id),
    ):
        if value is not None:
            rows = rows.filter(**{name: value})
    return rows


def moves_of(booking_id: int, versions: Collection[int]) -> dict[int, Move]:
    """The changes of time behind these lines of a booking's history. One query."""
    return {move.version: move for move in Move.objects.filter(booking_id=booking_id, version__in=versions)}


def people_of(booking_id: int) -> frozenset[int] | None:
    """Who may talk about a booking; None: there is none. One query."""
    booking = Booking.objects.select_related("resource").filter(pk=booking_id).first()
    if booking is None:
        return None
    crew = [] if booking.resource.user_id is None else [booking.resource.user_id]
    return frozenset([booking.client_id, booking.provider_id, *crew])


def has_bookings_ahead(resource_id: int) -> bool:
    return Booking.objects.filter(resource_id=resource_id, status__in=OPEN).exists()
