"""Offers go out in waves: the first with the request itself, the next by timers, until somebody accepts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from backend.core.environment import environment
from backend.core.hot import insert
from backend.core.jobs import Planned
from backend.core.outbox import emit_all
from backend.core.states import transition
from backend.dispatch import rules, selectors
from backend.dispatch.matching import Nearby, Search
from backend.dispatch.models import Assistance, Offer, Wave
from backend.dispatch.services import news
from backend.dispatch.services.news import Fact
from backend.dispatch.states import OfferStatus, Status
from shared_contracts.events import Person


def begin_round(assistance: Assistance, *, client: Person, told: Sequence[Fact], now: datetime) -> list[Nearby]:
    """Tell this much of it, and start the search: the round's end as a timer, and its first wave.

    Returns who was asked, nearest first.
    """
    its = {"assistance_id": assistance.pk, "round": assistance.round}
    end: Planned = ("dispatch.expire_request", assistance.expires_at, its)
    return _send_wave(assistance, number=1, client=client, told=told, planned=[end], now=now)


def round_end(now: datetime) -> datetime:
    return now + timedelta(minutes=environment().request_minutes)


@transaction.atomic(savepoint=False)
def offer_next_wave(*, assistance_id: int, round: int, wave: int, now: datetime) -> None:  # noqa: A002 - the job's argument
    """Ask the assistants of the next wave, unless the round is over or this wave went out already.

    After an outage it may come due together with the round's end: then nobody is asked in vain.
    """
    assistance = selectors.lock_searching(assistance_id, round_=round)
    if assistance is None or assistance.expires_at <= now:
        return
    if Wave.objects.filter(assistance=assistance, round=round, number=wave).exists():
        return
    client = selectors.named(assistance.client_id)[assistance.client_id]
    _send_wave(assistance, number=wave, client=client, now=now)


@transaction.atomic(savepoint=False)
def expire_request(*, assistance_id: int, round: int, now: datetime) -> None:  # noqa: A002 - the job's argument
    """End a round that nobody accepted in."""
    assistance = selectors.lock_searching(assistance_id, round_=round)
    if assistance is None:
        return
    transition(assistance, expect={Status.REQUESTED}, to=Status.EXPIRED, set={"finished_at": now}, by=None, now=now)
    asked = close_offers(assistance, now=now)
    people = selectors.named(assistance.client_id)
    emit_all(
        [
            news.status_changed(assistance, people, reason="", now=now),
            news.withdrawn(assistance, asked, "expired"),
        ],
        now=now,
    )


def close_offers(assistance: Assistance, *, now: datetime, winner_id: int | None = None) -> list[int]:
    """Close the round's open offers: the winner's as accepted, the others as withdrawn. Returns the others' ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dispatch_offer SET answered_at = %s,"
            " status = CASE WHEN assistant_id IS NOT DISTINCT FROM %s THEN 'accepted' ELSE 'withdrawn' END"
            " WHERE assistance_id = %s AND status = 'open' RETURNING assistant_id",
            [now, winner_id, assistance.pk],
        )
        return sorted(assistant_id for (assistant_id,) in cursor.fetchall() if assistant_id != winner_id)


def _send_wave(
    assistance: Assistance,
    *,
    number: int,
    client: Person,
    told: Sequence[Fact] = (),
    planned: Sequence[Planned] = (),
    now: datetime,
) -> list[Nearby]:
    """Offer the job to the nearest who may take it, and keep how the search went. The job's row must be locked.

    What else is `told` and `planned` at this moment is written with the offers' news and the next wave's timer.
    """
    settings = environment()
    radius_km = rules.radius_of_wave_km([float(radius) for radius in settings.wave_radii_km], number)
    search = Search.of(assistance, radius_km=radius_km, now=now, fresh_seconds=settings.position_fresh_seconds)
    found = search.nearest(settings.wave_size)
    # A full wave passed by those nearer than its last; one that is not passed by everyone in the circle.
    passed_by = search.left_out(found[-1].distance_m if len(found) == settings.wave_size else search.radius_m)
    wave = Wave(
        assistance=assistance,
        round=assistance.round,
        number=number,
        radius_m=round(search.radius_m),
        left_out=[
            {"assistant_id": one.assistant_id, "distance_m": one.distance_m, "reason": one.reason} for one in passed_by
        ],
        at=now,
    )
    insert([wave])
    offers = [_offer(assistance, one, number=number, now=now) for one in found]
    insert(offers)
    again_at = now + timedelta(seconds=settings.wave_seconds)
    if again_at < assistance.expires_at:
        its = {"assistance_id": assistance.pk, "round": assistance.round, "wave": number + 1}
        planned = [*planned, ("dispatch.offer_next_wave", again_at, its)]
    emit_all([*told, *(news.offered(assistance, offer, client) for offer in offers)], planned=planned, now=now)
    return found


def _offer(assistance: Assistance, one: Nearby, *, number: int, now: datetime) -> Offer:
    return Offer(
        assistance=assistance,
        assistant_id=one.assistant_id,
        round=assistance.round,
        wave=number,
        distance_m=one.distance_m,
        eta_minutes=one.eta_minutes,
        status=OfferStatus.OPEN,
        offered_at=now,
    )
