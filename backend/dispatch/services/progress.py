"""From acceptance to the end: arrival, completion and its price, cancelling, giving back, rating."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.catalog import public as catalog
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import Forbidden, InvalidState, invalid_field
from backend.core.money import Money
from backend.core.outbox import emit_all
from backend.core.states import transition
from backend.dispatch import rules, selectors
from backend.dispatch.errors import AlreadyRated
from backend.dispatch.models import Assistance
from backend.dispatch.services import news, waves
from backend.dispatch.states import MAY, Party, Status
from backend.messaging import public as messaging
from shared_contracts.events import MemberRemoved
from shared_contracts.rooms import assistance_room, assistant_room


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody asks to become of a job. `reoffer` None: given back if it can be, else over."""

    to: Status
    reason: str = ""
    total_price: Money | None = None
    reoffer: bool | None = None


@transaction.atomic
def change_status(*, actor: Actor, assistance_id: int, change: Change, now: datetime) -> Assistance:
    """Move a job on. Who may do what from where is `states.MAY`.

    Raises NotFound, Forbidden, InvalidState, or 422 for a price or a `reoffer` where there can be none.
    """
    assistance, party = selectors.get_assistance_for(actor, assistance_id, lock=True)
    if change.to not in MAY[party]:
        raise Forbidden("Clients may only cancel." if party is Party.CLIENT else None)
    before = assistance.status
    if _gives_back(assistance, party, change):
        _give_back(assistance, actor, change, now)
    else:
        _move(assistance, actor, party, change, now)
    if party is Party.MANAGER:
        audit.record(
            actor=actor,
            action="dispatch.status_changed",
            reference=assistance.reference,
            changes={"status": [before, assistance.status], "reason": change.reason},
            now=now,
        )
    return assistance


def _gives_back(assistance: Assistance, party: Party, change: Change) -> bool:
    if change.reoffer is not None and (change.to != Status.CANCELED or party is Party.CLIENT):
        raise invalid_field("body.reoffer", "only an assistant who cancels can give the job back")
    if change.to != Status.CANCELED:
        return False
    if change.reoffer is None:
        return party is Party.ASSISTANT and assistance.status == Status.ACCEPTED
    return change.reoffer


def _move(assistance: Assistance, actor: Actor, party: Party, change: Change, now: datetime) -> None:
    """One step forward, or the end."""
    transition(
        assistance,
        expect=MAY[party][change.to],
        to=change.to,
        set={**_stamp(change.to, now), **_final_price(assistance, change)},
        by=actor,
        now=now,
        reason=change.reason,
    )
    people = selectors.named(assistance.client_id, assistance.assistant_id)
    news.say_in_conversation(assistance.conversation_id, to=change.to, assistant_id=assistance.assistant_id, now=now)
    facts = [news.status_changed(assistance, people, reason=change.reason, now=now)]
    if change.to == Status.CANCELED:
        facts.append(news.withdrawn(assistance, waves.close_offers(assistance, now=now), "canceled"))
        if assistance.conversation_id is not None:
            messaging.close_conversation(conversation_id=assistance.conversation_id, now=now)
    emit_all(facts, now=now)
    if change.to == Status.COMPLETED:
        catalog.record_finished_work(
            provider_id=assistance.taken_by,
            client_id=assistance.client_id,
            reference=assistance.reference,
            both_sides_review=False,
            now=now,
        )


def _give_back(assistance: Assistance, actor: Actor, change: Change, now: datetime) -> None:
    """Start another round without the assistant who had it; what was theirs in the job is theirs no longer."""
    if assistance.status != Status.ACCEPTED:
        raise InvalidState(current_status=assistance.status)
    former_id, conversation_id = assistance.taken_by, assistance.conversation_id
    reopened: dict[str, Any] = {
        "assistant_id": None,
        "accepted_at": None,
        "conversation_id": None,
        "assistant_added_event_id": None,
        "round": assistance.round + 1,
        "requested_at": now,
        "expires_at": waves.round_end(now),
    }
    if assistance.requested_service is None:
        # An estimate rests on the tariff of the service; a route does not.
        distance_m = None if assistance.estimated else assistance.distance_m
        reopened |= {"service_type": None, "distance_m": distance_m, "total_price": None, "minimum_price": None}
    transition(
        assistance,
        expect={Status.ACCEPTED},
        to=Status.REQUESTED,
        set=reopened,
        by=actor,
        now=now,
        reason=change.reason,
    )
    people = selectors.named(assistance.client_id, former_id)
    if conversation_id is not None:
        news.say_in_conversation(conversation_id, to=Status.REQUESTED, assistant_id=former_id, now=now)
        messaging.close_conversation(conversation_id=conversation_id, now=now)
    status, rooms = news.status_changed(assistance, people, reason=change.reason, now=now)
    told: list[news.Fact] = [
        (MemberRemoved(user=people[former_id]), [assistance_room(assistance.pk)]),
        (status, [*rooms, assistant_room(former_id)]),
    ]
    waves.begin_round(assistance, client=people[assistance.client_id], told=told, now=now)


def _stamp(to: Status, now: datetime) -> dict[str, datetime]:
    return {"ongoing_at" if to == Status.ONGOING else "finished_at": now}


def _final_price(assistance: Assistance, change: Change) -> dict[str, int]:
    """What is priced on the spot gets its price with completion, by default the minimum; nothing else takes one."""
    on_the_spot = assistance.service_type in rules.PRICED_ON_THE_SPOT
    given = change.total_price
    if given is not None and not (on_the_spot and change.to == Status.COMPLETED):
        raise invalid_field("body.total_price", "only completing what is priced on the spot takes a price")
    if not on_the_spot or change.to != Status.COMPLETED:
        return {}
    minimum = assistance.minimum_price or 0
    if given is None:
        return {"total_price": minimum}
    if given.currency != assistance.currency:
        raise invalid_field("body.total_price.currency", f"the tariff is in {assistance.currency}")
    if given.minor < minimum:
        raise invalid_field("body.total_price.amount", f"at least {Money(minimum, assistance.currency)}")
    return {"total_price": given.minor}


@transaction.atomic
def rate_assistance(*, actor: Actor, assistance_id: int, rating: int, comment: str, now: datetime) -> Assistance:
    """Review the assistant of a finished job, once. Raises NotFound, Forbidden, InvalidState or AlreadyRated."""
    assistance, party = selectors.get_assistance_for(actor, assistance_id, lock=True)
    if party not in {Party.CLIENT, Party.MANAGER}:
        raise Forbidden("Only the client rates.")
    if assistance.status != Status.COMPLETED:
        raise InvalidState(current_status=assistance.status)
    if assistance.rating is not None:
        raise AlreadyRated
    assistance.rating = rating
    assistance.save(update_fields=["rating"])
    catalog.record_review(
        author_id=assistance.client_id,
        reviewed_id=assistance.taken_by,
        reference=assistance.reference,
        rating=rating,
        comment=comment,
        now=now,
    )
    if party is Party.MANAGER:
        audit.record(
            actor=actor,
            action="dispatch.rated",
            reference=assistance.reference,
            changes={"rating": rating},
            now=now,
        )
    return assistance
