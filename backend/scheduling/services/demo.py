"""Calendars for the demo: a barbershop with bookings ahead, and a town of shops that had customers before.

Of what is over nobody is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db import transaction
from psycopg.types.range import TimestamptzRange

from backend.catalog import public as catalog
from backend.core.actor import Actor, Role
from backend.core.models import StateChange
from backend.core.money import Money
from backend.scheduling.models import Availability, Booking, Policy, Resource
from backend.scheduling.rules import SETTLED_AFTER, Terms
from backend.scheduling.services import booking, hours, openings, progress, resources
from backend.scheduling.services.booking import Wanted
from backend.scheduling.services.hours import WantedHours
from backend.scheduling.services.resources import FIRST_NAME, Chair
from backend.scheduling.states import Side, Status

_CHAIRS = ("Window chair", "Middle chair", "Back chair")
_DAYS = (0, 1, 2, 3, 5, 6)
_MINUTES = 45


def open_demo_shop(*, provider_id: int, client_id: int, time_zone: str, now: datetime) -> None:
    """A barbershop of three chairs, open from Saturday to Thursday, with a booking at each of them the day after
    tomorrow; two of the three are confirmed.
    """
    owner = Actor(id=provider_id, roles=frozenset({Role.CONTRACTOR}), session_id=0)
    client = Actor(id=client_id, roles=frozenset({Role.CLIENT}), session_id=0)
    terms = Terms(time_zone=time_zone, buffer_after_minutes=15, late_fee_percent=50, no_show_fee_percent=100)
    hours.set_terms(actor=owner, terms=terms, now=now)
    first, *_ = resources.resources_of(provider_id=provider_id, now=now)
    resources.update_resource(actor=owner, resource_id=first.pk, changes={"name": _CHAIRS[0]}, now=now)
    for name in _CHAIRS[1:]:
        resources.add_resource(actor=owner, chair=Chair(name), now=now)
    start = (now + timedelta(days=2)).replace(hour=10, minute=0, second=0, microsecond=0)
    for index in range(len(_CHAIRS)):
        wish = Wanted(
            starts_at=start, ends_at=start + timedelta(minutes=_MINUTES), provider_id=provider_id, notes="Short, please"
        )
        booked = booking.book(actor=client, wanted=wish, now=now)
        if index:
            progress.confirm_booking(actor=owner, booking_id=booked.pk, now=now)
    # The hours come last: the day after tomorrow may be a Friday.
    for day in _DAYS:
        opening = WantedHours(time(9), time(19), day_of_week=day)
        hours.add_hours(actor=owner, hours=opening, now=now)


_WEEK = ((0, 1, 2, 3, 5, 6), (0, 1, 2, 3, 4), (1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5, 6))
_OPENS = (time(8), time(9), time(10), time(14))
_CLOSES = (time(16), time(17), time(19), time(21))
_HORIZON_DAYS = 60


@transaction.atomic
def open_demo_calendars(*, provider_ids: Sequence[int], time_zone: str, now: datetime) -> None:
    """One chair each, hours that differ from shop to shop, and the catalogue knows when they are free.

    Every third confirms at once, every third after ten minutes, the others by hand.
    """
    made = {"created_at": now, "updated_at": now}
    Resource.objects.bulk_create(
        [Resource(provider_id=pk, name=FIRST_NAME, is_first=True, **made) for pk in provider_ids]
    )
    Policy.objects.bulk_create(
        [_policy(pk, index, time_zone=time_zone, now=now) for index, pk in enumerate(provider_ids)]
    )
    Availability.objects.bulk_create(
        [
            Availability(
                provider_id=pk,
                day_of_week=day,
                start_time=_OPENS[index % len(_OPENS)],
                end_time=_CLOSES[index % len(_CLOSES)],
                time_zone=time_zone,
                **made,
            )
            for index, pk in enumerate(provider_ids)
            for day in _WEEK[index % len(_WEEK)]
        ]
    )
    for pk in provider_ids:
        catalog.set_openings(provider_id=pk, calendars=openings.openings_of(pk, now=now), now=now)


def _policy(provider_id: int, index: int, *, time_zone: str, now: datetime) -> Policy:
    terms = Terms(
        time_zone=time_zone,
        horizon_days=_HORIZON_DAYS,
        buffer_after_minutes=15 * (index % 2),
        auto_confirm_minutes=(0, 10, None)[index % 3],
        late_fee_percent=50,
        no_show_fee_percent=100,
    )
    values = {name: getattr(terms, name) for name in Terms.__dataclass_fields__}
    return Policy(provider_id=provider_id, **{**values, "notify_emails": []}, updated_at=now)


@dataclass(frozen=True, slots=True)
class DemoVisit:
    """A booking of long ago that took place. No two of a provider's may touch each other."""

    client_id: int
    provider_id: int
    service_id: int
    service_title: str
    price: Money
    starts_at: datetime
    minutes: int


@transaction.atomic
def record_demo_visits(*, visits: Sequence[DemoVisit]) -> list[str]:
    """Completed bookings with their histories, at the providers' first chairs. Returns their references, in order."""
    chairs = dict(
        Resource.objects.filter(is_first=True, provider_id__in={one.provider_id for one in visits}).values_list(
            "provider_id", "pk"
        )
    )
    bookings = Booking.objects.bulk_create([_visit(one, chairs[one.provider_id]) for one in visits])
    StateChange.objects.bulk_create(
        [
            StateChange(
                reference=one.reference,
                version=version,
                from_status=before,
                to_status=after,
                by_id=by_id,
                at=at or one.created_at,
            )
            for one in bookings
            for version, (before, after, by_id, at) in enumerate(
                (
                    ("", Status.REQUESTED, one.client_id, one.created_at),
                    (Status.REQUESTED, Status.CONFIRMED, one.provider_id, one.confirmed_at),
                    (Status.CONFIRMED, Status.COMPLETED, None, one.completed_at),
                ),
                1,
            )
        ]
    )
    return [one.reference for one in bookings]


def _visit(visit: DemoVisit, resource_id: int) -> Booking:
    ends_at = visit.starts_at + timedelta(minutes=visit.minutes)
    asked_at, done_at = visit.starts_at - timedelta(days=3), ends_at + SETTLED_AFTER
    return Booking(
        status=Status.COMPLETED,
        version=3,
        client_id=visit.client_id,
        provider_id=visit.provider_id,
        resource_id=resource_id,
        service_id=visit.service_id,
        service_title=visit.service_title,
        price_minor=visit.price.minor,
        currency=visit.price.currency,
        starts_at=visit.starts_at,
        ends_at=ends_at,
        blocked=TimestamptzRange(visit.starts_at, ends_at, "[)"),
        holds_slot=True,
        proposed_by=Side.CLIENT,
        free_cancellation_hours=24,
        late_fee_percent=50,
        no_show_fee_percent=100,
        committed_starts_at=visit.starts_at,
        confirmed_at=asked_at + timedelta(hours=1),
        completed_at=done_at,
        created_at=asked_at,
        updated_at=done_at,
    )
