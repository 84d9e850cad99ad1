"""Booking a time: which chair, whether it is open and free, on what terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.range import TimestamptzRange

from backend.accounts import public as accounts
from backend.catalog import public as catalog
from backend.core.actor import PROVIDERS, Actor
from backend.core.errors import invalid_field
from backend.core.geo import Point
from backend.core.hot import insert
from backend.core.money import Money
from backend.core.states import record_birth
from backend.scheduling import slots
from backend.scheduling.errors import NotAvailable, SlotTaken
from backend.scheduling.models import LONGEST_BOOKING, Booking, Resource
from backend.scheduling.rules import Terms
from backend.scheduling.selectors import bookings, calendars
from backend.scheduling.services import news, steps
from backend.scheduling.services.claims import claiming
from backend.scheduling.services.resources import first_resource
from backend.scheduling.states import Side, Status


@dataclass(frozen=True, slots=True)
class Service:
    """What is booked: its price and length are the service's own. Of no service in particular: nothing but a time."""

    id: int | None = None
    title: str = ""
    price: Money | None = None
    duration: timedelta | None = None
    category_id: int | None = None


ANYTHING = Service()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client wishes to book. A provider or a service of theirs; None as resource: whichever is least busy."""

    starts_at: datetime
    ends_at: datetime | None = None
    provider_id: int | None = None
    service_id: int | None = None
    resource_id: int | None = None
    category_id: int | None = None
    notes: str = ""
    address: str = ""
    location: Point | None = None
    estimated_cost: Money | None = None


def book(*, actor: Actor, wanted: Wanted, now: datetime) -> Booking:
    """Book a time with a provider. Where their policy says so, it is confirmed at once.

    Raises SlotTaken, NotAvailable (with the `reason`), or 422 for what cannot be booked at all.
    """
    return claiming(lambda: _book(actor, wanted, now))


def _book(actor: Actor, wanted: Wanted, now: datetime) -> Booking:
    service, provider_id = what_is_wanted(wanted.service_id, wanted.provider_id)
    if provider_id == actor.id:
        raise invalid_field("body.provider", "nobody books with themselves")
    require_provider(provider_id)
    if wanted.category_id is not None and not catalog.is_category(wanted.category_id):
        raise invalid_field("body.category", "there is no such category")
    accounts.hold_active([actor.id, provider_id])
    start, end = period_of(wanted.starts_at, wanted.ends_at, service, now=now)
    terms = calendars.terms_of(provider_id)
    resource = claim_resource(
        provider_id, terms, start, end, resource_id=wanted.resource_id, service_id=service.id, now=now, checked=True
    )
    location = wanted.location
    booking = Booking(
        status=Status.REQUESTED,
        client_id=actor.id,
        provider_id=provider_id,
        resource=resource,
        **service_columns(service, wanted.category_id),
        estimated_cost_minor=wanted.estimated_cost.minor if wanted.estimated_cost else None,
        estimated_cost_currency=wanted.estimated_cost.currency if wanted.estimated_cost else "",
        starts_at=start,
        ends_at=end,
        blocked=blocked_by(start, end, terms),
        holds_slot=True,
        proposed_by=Side.CLIENT,
        notes=wanted.notes,
        address=wanted.address,
        lat=location.lat if location else None,
        lng=location.lng if location else None,
        free_cancellation_hours=terms.free_cancellation_hours,
        late_fee_percent=terms.late_fee_percent,
        no_show_fee_percent=terms.no_show_fee_percent,
        held_until=terms.held_until(now),
        confirms_at=terms.confirms_at(now),
        created_at=now,
        updated_at=now,
    )
    booking.plan_next_step()
    insert([booking])
    record_birth(booking, by=actor, now=now)
    steps.openings_changed(provider_id, now=now)
    news.tell(booking, "requested", previous="", now=now)
    if terms.auto_confirm_minutes == 0:
        confirm_by_policy(booking, now=now)
    else:
        steps.wait_for_next_step(booking, now=now)
    return booking


def confirm_by_policy(booking: Booking, *, now: datetime) -> None:
    """What the client proposed is confirmed without anybody's doing."""
    steps.take(
        booking,
        to=Status.CONFIRMED,
        expect={Status.REQUESTED},
        by=None,
        what="confirmed",
        now=now,
        values=steps.when_confirmed(booking, now=now),
    )


def what_is_wanted(service_id: int | None, provider_id: int | None) -> tuple[Service, int]:
    """The service and whose it is. Raises 422 for neither, or for two that do not belong together."""
    if service_id is None:
        if provider_id is None:
            raise invalid_field("body.provider", "a provider or a service is wanted")
        return ANYTHING, provider_id
    found = catalog.bookable_service(service_id)
    if found is None or found.is_archived:
        raise invalid_field("body.service", "there is no such service")
    if provider_id not in {None, found.provider_id}:
        raise invalid_field("body.service", "this service is another provider's")
    price = Money(found.price_minor, found.currency)
    duration = timedelta(minutes=found.duration_minutes)
    return Service(found.id, found.title, price, duration, found.category_id), found.provider_id


def require_provider(provider_id: int) -> None:
    """Raises 422 for who is no provider. One query."""
    if PROVIDERS.isdisjoint(accounts.roles_of([provider_id]).get(provider_id, ())):
        raise invalid_field("body.provider", "there is no such provider")


def period_of(
    starts_at: datetime,
    ends_at: datetime | None,
    service: Service,
    *,
    now: datetime,
    otherwise: timedelta | None = None,
) -> tuple[datetime, datetime]:
    """From when to when. A service says how long; else `ends_at`, else `otherwise`. Raises 422."""
    if starts_at <= now:
        raise invalid_field("body.starts_at", "this time has passed")
    duration = service.duration or (ends_at - starts_at if ends_at else otherwise)
    if duration is None:
        raise invalid_field("body.ends_at", "without a service, an end is wanted")
    if ends_at is not None and ends_at != starts_at + duration:
        raise invalid_field("body.ends_at", "the service lasts longer or shorter; leave the end out")
    if duration <= timedelta():
        raise invalid_field("body.ends_at", "the end comes after the start")
    if duration > LONGEST_BOOKING:
        raise invalid_field("body.ends_at", "a booking lasts 24 hours at most")
    return starts_at, starts_at + duration


def claim_resource(
    provider_id: int,
    terms: Terms,
    start: datetime,
    end: datetime,
    *,
    resource_id: int | None,
    service_id: int | None,
    now: datetime,
    checked: bool,
    but_for: int = 0,
) -> Resource:
    """The chair that this booking takes, locked, and free for it as far as can be seen.

    `checked`: only within the provider's hours, notice and horizon; a provider who moves a booking may do without.
    Raises SlotTaken, NotAvailable, or 422 for a chair that is not the provider's.
    """
    found = _candidates(provider_id, resource_id, service_id, now=now)
    if checked:
        _check_distance(terms, start, now=now)
        found = _open_ones(provider_id, found, start, end)
    blocked = start - terms.before, end + terms.after
    held = calendars.held_of(provider_id, blocked) if not but_for else {}
    free = [one for one in found if not calendars.is_touched(held.get(one.pk, ()), *blocked)]
    for candidate in sorted(free, key=lambda one: (calendars.load_on(held.get(one.pk, ()), start), one.pk)):
        # Its row stays locked: who comes second sees what the first one did.
        for resource in bookings.lock_resources([candidate.pk]):
            if not bookings.is_taken(resource.pk, *blocked, but_for=but_for):
                return resource
    raise SlotTaken


def _candidates(provider_id: int, resource_id: int | None, service_id: int | None, *, now: datetime) -> list[Resource]:
    chairs = calendars.chairs_of(provider_id) or first_resource(provider_id, now=now)
    found = [one for one in chairs if one.is_active]
    if resource_id is not None:
        found = [one for one in found if one.pk == resource_id]
        if not found:
            raise invalid_field("body.resource", "the provider has no such calendar")
    found = [one for one in found if not one.service_ids or service_id is None or service_id in one.service_ids]
    if not found:
        raise NotAvailable("Nobody there does this.", reason="closed")
    return found


def _check_distance(terms: Terms, start: datetime, *, now: datetime) -> None:
    if start < now + timedelta(minutes=terms.minimum_notice_minutes):
        raise NotAvailable("The provider wants to know earlier.", reason="too_soon")
    if start > now + timedelta(days=terms.horizon_days):
        raise NotAvailable("The provider takes no bookings so far ahead.", reason="too_far")


def _open_ones(provider_id: int, found: Sequence[Resource], start: datetime, end: datetime) -> list[Resource]:
    """Those whose hours hold the whole booking. Raises NotAvailable when there are none."""
    day = timedelta(days=1)
    calendar = calendars.calendars_of(provider_id, (start - day, end + day))
    open_ = [
        one for one in found if not calendar.hours_of(one.pk) or slots.covers(calendar.open_at(one.pk), start, end)
    ]
    if not open_:
        raise NotAvailable("The provider is closed then.", reason="closed")
    working = [one for one in open_ if not calendars.is_touched(calendar.off_at(one.pk), start, end)]
    if not working:
        raise NotAvailable("The provider has time off then.", reason="time_off")
    return working


def blocked_by(start: datetime, end: datetime, terms: Terms) -> TimestamptzRange:
    """What a booking takes of its chair: its time and the buffers of the moment."""
    return TimestamptzRange(start - terms.before, end + terms.after, "[)")


def service_columns(service: Service, category_id: int | None) -> dict[str, Any]:
    return {
        "service_id": service.id,
        "service_title": service.title,
        "category_id": category_id or service.category_id,
        "price_minor": service.price.minor if service.price else None,
        "currency": service.price.currency if service.price else "",
    }
