"""What dispatch tells the world: its events, made from rows and names."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from backend.core.geo import Point
from backend.dispatch.models import Assistance, Offer
from backend.dispatch.states import Status
from backend.messaging import public as messaging
from shared_contracts.events import (
    AssistanceOffered,
    AssistanceStatus,
    AssistanceWithdrawn,
    Event,
    Person,
    Place,
)
from shared_contracts.rooms import assistance_room, assistant_room

WithdrawalReason = Literal["accepted_by_another", "canceled", "expired"]
Fact = tuple[Event, list[str]]
"""An event and the rooms that carry it."""


_SENTENCES = {
    Status.ACCEPTED: "The assistant is on the way.",
    Status.ONGOING: "The assistant is there.",
    Status.COMPLETED: "The job is done.",
    Status.CANCELED: "The job was called off.",
    Status.REQUESTED: "The assistant has given the job back.",
}


def place(point: Point) -> Place:
    return Place(lat=point.lat, lng=point.lng)


def status_changed(assistance: Assistance, people: Mapping[int, Person], *, reason: str, now: datetime) -> Fact:
    """To the job's room, and to its assistant's own: their other devices are not in the job's room."""
    total_price = assistance.money(assistance.total_price)
    rooms = [assistance_room(assistance.pk)]
    if assistance.assistant_id is not None:
        rooms.append(assistant_room(assistance.assistant_id))
    return AssistanceStatus(
        assistance_id=assistance.pk,
        version=assistance.version,
        status=assistance.status,
        client=people[assistance.client_id],
        assistant=None if assistance.assistant_id is None else people[assistance.assistant_id],
        conversation_id=assistance.conversation_id,
        total_price=None if total_price is None else total_price.out(),
        reason=reason,
        at=now,
    ), rooms


def offered(assistance: Assistance, offer: Offer, client: Person) -> Fact:
    total_price = assistance.money(assistance.total_price)
    return AssistanceOffered(
        assistance_id=assistance.pk,
        version=assistance.version,
        service_type=assistance.requested_service,
        vehicle_class=assistance.vehicle_class,
        vehicle_type=assistance.vehicle_type,
        pickup=place(assistance.pickup),
        dropoff=None if assistance.dropoff is None else place(assistance.dropoff),
        distance_km=offer.distance_m / 1000,
        eta_minutes=offer.eta_minutes,
        price=None if total_price is None else total_price.out(),
        client=client,
        note=assistance.note,
        wave=offer.wave,
        expires_at=assistance.expires_at,
    ), [assistant_room(offer.assistant_id)]


def withdrawn(assistance: Assistance, assistant_ids: list[int], reason: WithdrawalReason) -> Fact:
    rooms = [assistant_room(assistant_id) for assistant_id in assistant_ids]
    return AssistanceWithdrawn(assistance_id=assistance.pk, version=assistance.version, reason=reason), rooms


def say_in_conversation(conversation_id: int | None, *, to: Status, assistant_id: int | None, now: datetime) -> None:
    """Note in the job's conversation, where there is one, what became of the job; `requested`: it was given back.

    Apps know it by its code, `assistance.accepted` and the like. Nobody is named: a note outlives accounts.
    """
    if conversation_id is None:
        return
    code = "given_back" if to is Status.REQUESTED else to.value
    messaging.send_system_message(
        conversation_id=conversation_id,
        code=f"assistance.{code}",
        text=_SENTENCES[to],
        parameters={} if assistant_id is None else {"assistant_id": str(assistant_id)},
        now=now,
    )
