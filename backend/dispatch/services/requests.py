"""Asking: what it would cost, and asking for help."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.errors import invalid_field
from backend.core.geo import Point
from backend.core.hot import insert_once
from backend.core.states import record_birth
from backend.dispatch import rules, selectors
from backend.dispatch.errors import OpenRequestExists, QuoteExpired
from backend.dispatch.matching import Nearby
from backend.dispatch.models import Assistance, Quote
from backend.dispatch.services import news, waves
from backend.dispatch.states import Status
from shared_contracts.events import MemberAdded, Person
from shared_contracts.rooms import assistance_room


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for. None: any service; the quote's vehicle class, else light; no drop-off; no quote; no
    route (`routed_m`, metres), so that the distance is estimated."""

    pickup: Point
    service_type: str | None = None
    dropoff: Point | None = None
    vehicle_class: str | None = None
    vehicle_type: str = ""
    note: str = ""
    quote_id: int | None = None
    routed_m: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it went out: the job, and who was asked at once, nearest first."""

    assistance: Assistance
    client: accounts.ContactView
    nearby: list[Nearby]


@transaction.atomic
def quote_assistance(
    *,
    actor: Actor,
    service_type: str,
    vehicle_class: str,
    pickup: Point,
    dropoff: Point | None,
    now: datetime,
    routed_m: int | None = None,
) -> Quote:
    """Say what it would cost, and keep to it for `QUOTE_MINUTES`, as often as they ask. Raises TariffMissing.

    `routed_m` is the way by road in metres; without it the distance is estimated.
    """
    accounts.hold_active([actor.id])
    return Quote.objects.create(
        user_id=actor.id,
        service_type=service_type,
        **_where(pickup, dropoff),
        **price_of(service_type, vehicle_class, pickup, dropoff, routed_m=routed_m, at=now),
        created_at=now,
        expires_at=now + timedelta(minutes=environment().quote_minutes),
    )


def price_of(
    service_type: str, vehicle_class: str, pickup: Point, dropoff: Point | None, *, routed_m: int | None, at: datetime
) -> dict[str, Any]:
    """The columns that say what it costs by the tariff of that moment. Raises TariffMissing.

    The distance is that of the route, in metres, or estimated where there is none.
    """
    rate = selectors.tariff_at(service_type, vehicle_class, at).rate
    distance_m = routed_m
    if routed_m is None and dropoff is not None:
        distance_m = rules.road_distance_m(pickup, dropoff, rate.road_factor)
    return {
        "vehicle_class": vehicle_class,
        "distance_m": distance_m,
        "estimated": routed_m is None,
        "total_price": rules.price_in_advance(service_type, rate, distance_m),
        "minimum_price": rate.minimum,
        "currency": rate.currency,
    }


@transaction.atomic(savepoint=False)
def request_assistance(*, actor: Actor, wanted: Wanted, now: datetime) -> Request:
    """Ask for help; the first offers go out in the same transaction.

    Raises OpenRequestExists (with its id), QuoteExpired, TariffMissing, or 422 for a quote of something else.
    """
    contact = accounts.hold_contact(actor.id)
    quote = None if wanted.quote_id is None else _take_quote(actor, wanted.quote_id, wanted, now)
    service_type = quote.service_type if quote else wanted.service_type
    assistance = Assistance(
        status=Status.REQUESTED,
        client_id=actor.id,
        requested_service=service_type,
        service_type=service_type,
        vehicle_type=wanted.vehicle_type,
        note=wanted.note,
        quote=quote,
        **_where(wanted.pickup, wanted.dropoff),
        **_price(quote, service_type, wanted, now),
        requested_at=now,
        expires_at=waves.round_end(now),
        created_at=now,
        updated_at=now,
    )
    # One open request each: that is what the database would refuse.
    if not insert_once(assistance):
        raise OpenRequestExists(assistance_id=selectors.open_request_of(actor.id))
    record_birth(assistance, by=actor, now=now)
    client = Person(id=actor.id, name=contact.name)
    told: list[news.Fact] = [
        (MemberAdded(user=client), [assistance_room(assistance.pk)]),
        news.status_changed(assistance, {actor.id: client}, reason="", now=now),
    ]
    return Request(assistance, contact, waves.begin_round(assistance, client=client, told=told, now=now))


def _take_quote(actor: Actor, quote_id: int, wanted: Wanted, now: datetime) -> Quote:
    """The quote given back, if it is this person's, still holds, and is for the same thing."""
    quote = Quote.objects.filter(pk=quote_id, user_id=actor.id).first()
    if quote is None:
        raise invalid_field("body.quote_id", "this is no quote of yours")
    for name, quoted, asked in (
        ("service_type", quote.service_type, wanted.service_type or quote.service_type),
        ("vehicle_class", quote.vehicle_class, wanted.vehicle_class or quote.vehicle_class),
        ("pickup", quote.pickup, wanted.pickup),
        ("dropoff", quote.dropoff, wanted.dropoff),
    ):
        if quoted != asked:
            raise invalid_field(f"body.{name}", "the quote is for another one")
    if quote.expires_at <= now:
        raise QuoteExpired
    return quote


def _price(quote: Quote | None, service_type: str | None, wanted: Wanted, now: datetime) -> dict[str, Any]:
    if quote is not None:
        names = ("vehicle_class", "distance_m", "estimated", "total_price", "minimum_price", "currency")
        return {name: getattr(quote, name) for name in names}
    vehicle_class = wanted.vehicle_class or "light"
    if service_type is None:
        routed_m = wanted.routed_m
        return {"vehicle_class": vehicle_class, "distance_m": routed_m, "estimated": routed_m is None}
    return price_of(service_type, vehicle_class, wanted.pickup, wanted.dropoff, routed_m=wanted.routed_m, at=now)


def _where(pickup: Point, dropoff: Point | None) -> dict[str, float | None]:
    return {
        "pickup_lat": pickup.lat,
        "pickup_lng": pickup.lng,
        "dropoff_lat": dropoff.lat if dropoff else None,
        "dropoff_lng": dropoff.lng if dropoff else None,
    }
