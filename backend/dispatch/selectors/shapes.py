"""Rows as the API shows them, with the names that belong to them: so many queries whatever the number of rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from backend.accounts import public as accounts
from backend.catalog import public as catalog
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.geo import Point
from backend.core.models import StateChange
from backend.core.money import Money
from backend.dispatch.models import Assistance, DispatchAssistant, Offer, Quote, Tariff
from backend.dispatch.rules import path_length_m
from backend.dispatch.schemas import (
    AssistanceOut,
    DrivingLicenseOut,
    LeftOutOut,
    ListedAssistantOut,
    MyAssistantOut,
    OfferOut,
    OwnOfferOut,
    PartyOut,
    QuoteOut,
    StateChangeOut,
    TariffOut,
    TraceOut,
    TrackOut,
    TrackPointOut,
    WaveOut,
)
from backend.dispatch.selectors.directory import Listed
from backend.dispatch.selectors.jobs import Trace, list_offers_to, list_track
from backend.dispatch.selectors.people import named
from backend.dispatch.states import TAKEN, Status
from shared_contracts.events import Money as MoneyOut
from shared_contracts.events import Person, Place


def show_assistance(actor: Actor, assistance: Assistance) -> AssistanceOut:
    """Two queries."""
    return show_assistances(actor, [assistance])[0]


def show_request(actor: Actor, assistance: Assistance, client: accounts.ContactView) -> AssistanceOut:
    """A job as its client has just asked for it, which is nobody's yet. No query."""
    return _assistance(actor, assistance, {client.id: client}, None)


def show_assistances(actor: Actor, rows: Sequence[Assistance]) -> list[AssistanceOut]:
    """Two queries."""
    contacts = accounts.contacts([id_ for row in rows for id_ in (row.client_id, row.assistant_id) if id_ is not None])
    offers = list_offers_to(actor, rows)
    return [_assistance(actor, row, contacts, offers.get(row.pk)) for row in rows]


def _assistance(
    actor: Actor, row: Assistance, contacts: Mapping[int, accounts.ContactView], offer: Offer | None
) -> AssistanceOut:
    may_call = actor.is_manager or _brought_together(actor, row)

    def party(user_id: int) -> PartyOut:
        contact = contacts[user_id]
        return PartyOut(id=user_id, name=contact.name, phone_number=contact.phone_number if may_call else None)

    return AssistanceOut(
        id=row.pk,
        client=party(row.client_id),
        assistant=None if row.assistant_id is None else party(row.assistant_id),
        pickup=_place(row.pickup),
        dropoff=_place_or_none(row.dropoff),
        distance_km=_km(row.distance_m),
        total_price=_money(row.money(row.total_price)),
        minimum_price=_money(row.money(row.minimum_price)),
        offer=None if offer is None else OwnOfferOut(**_own_offer(offer)),
        **_columns(row, "status", "version", "service_type", "vehicle_class", "vehicle_type", "note", "quote_id"),
        **_columns(
            row, "conversation_id", "rating", "estimated", "expires_at", "requested_at", "accepted_at", "ongoing_at"
        ),
        **_columns(row, "finished_at", "created_at", "updated_at"),
    )


def _brought_together(actor: Actor, row: Assistance) -> bool:
    """Whether this person has, or had until its good end, the job with the other side."""
    return row.status in TAKEN | {Status.COMPLETED} and actor.id in {row.client_id, row.assistant_id}


def _own_offer(offer: Offer) -> dict[str, Any]:
    columns = _columns(offer, "eta_minutes", "status", "wave", "offered_at", "answered_at")
    return {"distance_km": offer.distance_m / 1000, **columns}


def show_quote(quote: Quote) -> QuoteOut:
    return QuoteOut(
        id=quote.pk,
        pickup=_place(quote.pickup),
        dropoff=_place_or_none(quote.dropoff),
        distance_km=_km(quote.distance_m),
        price=_money(quote.money(quote.total_price)),
        minimum_price=Money(quote.minimum_price or 0, quote.currency).out(),
        **_columns(quote, "service_type", "vehicle_class", "estimated", "expires_at"),
    )


def show_tariff(tariff: Tariff) -> TariffOut:
    return TariffOut(
        id=tariff.pk,
        base=str(Money(tariff.base, tariff.currency)),
        per_km=str(Money(tariff.per_km, tariff.currency)),
        minimum=str(Money(tariff.minimum, tariff.currency)),
        **_columns(tariff, "service_type", "vehicle_class", "currency", "road_factor", "valid_from"),
    )


def show_track(assistance: Assistance) -> TrackOut:
    """One query."""
    points = list_track(assistance)
    return TrackOut(
        points=[TrackPointOut(lat=one.lat, lng=one.lng, speed=one.speed, at=one.at) for one in points],
        distance_km=round(path_length_m([Point(one.lat, one.lng) for one in points]) / 1000, 2),
        waiting_s=_seconds(assistance.requested_at, assistance.accepted_at),
        approach_s=_seconds(assistance.accepted_at, assistance.ongoing_at),
        work_s=_seconds(assistance.ongoing_at, assistance.finished_at),
    )


def show_history(changes: Sequence[StateChange]) -> list[StateChangeOut]:
    """One query."""
    people = named(*(change.by_id for change in changes))
    return [
        StateChangeOut(
            by=None if change.by_id is None else people.get(change.by_id),
            **_columns(change, "version", "from_status", "to_status", "reason", "at"),
        )
        for change in changes
    ]


def show_trace(trace: Trace) -> TraceOut:
    """One query."""
    people = named(*trace.user_ids)
    return TraceOut(
        assistance_id=trace.assistance.pk,
        **_columns(trace.assistance, "status"),
        waves=[
            WaveOut(
                round=wave.round,
                wave=wave.number,
                radius_km=wave.radius_m / 1000,
                at=wave.at,
                offers=[_offer(offer, people) for offer in offers],
                left_out=[
                    LeftOutOut(
                        assistant=people[one["assistant_id"]],
                        distance_km=one["distance_m"] / 1000,
                        reason=one["reason"],
                    )
                    for one in wave.left_out
                    if one["assistant_id"] in people
                ],
            )
            for wave, offers in trace.waves
        ],
    )


def _offer(offer: Offer, people: Mapping[int, Person]) -> OfferOut:
    columns = _columns(offer, "eta_minutes", "status", "offered_at", "answered_at")
    return OfferOut(assistant=people[offer.assistant_id], distance_km=offer.distance_m / 1000, **columns)


def show_listed(listed: Sequence[Listed]) -> list[ListedAssistantOut]:
    """Two queries."""
    ids = [one.assistant_id for one in listed]
    people, standings = named(*ids), catalog.standings_of(ids)
    return [
        ListedAssistantOut(
            assistant=people[one.assistant_id],
            **_columns(one, "service_type", "vehicle_class"),
            location=_place(one.place),
            distance_km=one.distance_km,
            exact=one.is_exact,
            average_rating=_stars(standings[one.assistant_id].average_rating),
            total_reviews=standings[one.assistant_id].total_reviews,
        )
        for one in listed
    ]


def show_me_as_assistant(actor: Actor, *, now: datetime) -> MyAssistantOut:
    """Three queries. Raises NotFound for who is no assistant any more."""
    profile = accounts.assistant_of(actor.id)
    row = DispatchAssistant.objects.filter(pk=actor.id).first() or DispatchAssistant(pk=actor.id)
    standing = catalog.standings_of([actor.id])[actor.id]
    fresh_after = now - timedelta(seconds=environment().position_fresh_seconds)
    return MyAssistantOut(
        id=actor.id,
        is_active=row.on_duty,
        **_columns(profile, "service_type", "vehicle_type", "vehicle_class", "vehicle_registration_number"),
        driving_license=DrivingLicenseOut(
            category=profile.licence_category, number=profile.licence_number, expires_on=profile.licence_expires_on
        ),
        location=_place_or_none(row.place),
        located_at=row.located_at,
        on_the_map=bool(row.on_duty and row.place and row.fresh_at and row.fresh_at >= fresh_after),
        average_rating=_stars(standing.average_rating),
        total_reviews=standing.total_reviews,
    )


def _place(point: Point) -> Place:
    return Place(lat=point.lat, lng=point.lng)


def _place_or_none(point: Point | None) -> Place | None:
    return None if point is None else _place(point)


def _columns(row: object, *names: str) -> dict[str, Any]:
    """What is shown as it is kept."""
    return {name: getattr(row, name) for name in names}


def _money(amount: Money | None) -> MoneyOut | None:
    return None if amount is None else amount.out()


def _stars(average: Decimal | None) -> str | None:
    return None if average is None else str(average)


def _km(metres: int | None) -> float | None:
    return None if metres is None else metres / 1000


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 1)
