"""Answering an offer: exactly one assistant gets the job."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from backend.core.actor import Actor
from backend.core.errors import Problem
from backend.core.outbox import emit, emit_all
from backend.core.states import transition
from backend.dispatch import selectors
from backend.dispatch.errors import AlreadyAccepted, AssistantBusy, LicenceExpired, NotOnDuty, OfferGone, violates
from backend.dispatch.matching import obstacle_at_claim
from backend.dispatch.models import ONE_OPEN_JOB, Assistance, Offer
from backend.dispatch.services import news
from backend.dispatch.services.requests import price_of
from backend.dispatch.services.waves import close_offers
from backend.dispatch.states import OfferStatus, Status
from backend.messaging import public as messaging
from shared_contracts.events import MemberAdded
from shared_contracts.rooms import assistance_room

_REFUSALS: dict[str, type[Problem]] = {
    "off_duty": NotOnDuty,
    "busy": AssistantBusy,
    "licence_expired": LicenceExpired,
}
_LOST_TO_SOMEONE = frozenset({Status.ACCEPTED, Status.ONGOING, Status.COMPLETED})


def accept_assistance(*, actor: Actor, assistance_id: int, now: datetime) -> Assistance:
    """Give the job to this assistant; exactly one of many callers wins, and asking again does the winner no harm.

    Raises NotFound (never offered), AlreadyAccepted, OfferGone, AssistantBusy, NotOnDuty or LicenceExpired.
    """
    status, holder_id = selectors.standing_of_offered(actor, assistance_id)
    if status == Status.REQUESTED:
        try:
            with transaction.atomic():
                return _accept(actor, assistance_id, now)
        except AlreadyAccepted:
            status, holder_id = selectors.standing_of_offered(actor, assistance_id)
        except IntegrityError as error:
            if not violates(error, ONE_OPEN_JOB):
                raise
            raise AssistantBusy from None
    if status != Status.ACCEPTED or holder_id != actor.id:
        raise _gone(status)
    return Assistance.objects.get(pk=assistance_id)


def _accept(actor: Actor, assistance_id: int, now: datetime) -> Assistance:
    offer = selectors.hold_offer_to(actor, assistance_id)
    assistance = offer.assistance
    if assistance.status != Status.REQUESTED:
        raise AlreadyAccepted
    if offer.status != OfferStatus.OPEN:
        raise OfferGone
    obstacle, service_type = obstacle_at_claim(assistance, assistant_id=actor.id, now=now)
    if obstacle is not None:
        raise _REFUSALS.get(obstacle, OfferGone)
    transition(
        assistance,
        expect={Status.REQUESTED},
        where={"round": offer.round},
        to=Status.ACCEPTED,
        set={"assistant_id": actor.id, "accepted_at": now, **_terms(assistance, service_type)},
        by=actor,
        now=now,
        otherwise=AlreadyAccepted,
    )
    _settle(assistance, now=now)
    return assistance


def _settle(assistance: Assistance, *, now: datetime) -> None:
    """What follows from an acceptance: the room, the conversation, the others' offers, the news."""
    winner_id = assistance.taken_by
    parties = [assistance.client_id, winner_id]
    others = close_offers(assistance, now=now, winner_id=winner_id)
    people = selectors.named(*parties)
    joined = MemberAdded(user=people[winner_id])
    (added_event_id,) = emit(joined, rooms=[assistance_room(assistance.pk)], now=now)
    assistance.assistant_added_event_id = added_event_id
    conversation = messaging.open_conversation(actor=None, subject=assistance.reference, user_ids=parties, now=now)
    assistance.conversation_id = conversation.id
    assistance.save(update_fields=["assistant_added_event_id", "conversation_id"])
    news.say_in_conversation(conversation.id, to=Status.ACCEPTED, assistant_id=winner_id, now=now)
    emit_all(
        [
            news.status_changed(assistance, people, reason="", now=now),
            news.withdrawn(assistance, others, "accepted_by_another"),
        ],
        now=now,
    )


@transaction.atomic
def decline_assistance(*, actor: Actor, assistance_id: int, now: datetime) -> Assistance:
    """Say no to an open offer; saying it twice is saying it once. Raises NotFound, AlreadyAccepted or OfferGone."""
    offer = selectors.get_offer_to(actor, assistance_id)
    declined = Offer.objects.filter(pk=offer.pk, status=OfferStatus.OPEN).update(
        status=OfferStatus.DECLINED, answered_at=now
    )
    if not declined and offer.status != OfferStatus.DECLINED:
        raise _gone(offer.assistance.status)
    return offer.assistance


def _terms(assistance: Assistance, service_type: str) -> dict[str, Any]:
    """Where the service was left open, the winner's, priced by the tariff of the moment it was asked for."""
    if assistance.requested_service is not None:
        return {}
    price = price_of(
        service_type,
        assistance.vehicle_class,
        assistance.pickup,
        assistance.dropoff,
        routed_m=None if assistance.estimated else assistance.distance_m,
        at=assistance.created_at,
    )
    return {"service_type": service_type, **price}


def _gone(status: str | None) -> Problem:
    return (AlreadyAccepted if status in _LOST_TO_SOMEONE else OfferGone)(current_status=status)
