"""The two reads that phones repeat all the time, a job and the first page of one's jobs, in one statement each.

They are for the parties of a job who are no managers; everyone else is shown it the ordinary way. What is shown is what
`shapes.show_assistance` shows, byte for byte: the tests compare them.
"""

import re
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.db.models import Count, F, FilteredRelation, Q, QuerySet, Window

from backend.accounts import public as accounts
from backend.core.actor import MANAGERS
from backend.core.fast_lane import Asked, Found, HotRead, serve
from backend.core.hot import HotQuery, Row, is_one_of
from backend.core.money import Money
from backend.dispatch.models import Assistance, Offer
from backend.dispatch.states import TAKEN, OfferStatus, Status

PAGE_SIZE = 20
_OWN = (
    *("id", "status", "version", "client_id", "assistant_id", "service_type", "vehicle_class", "vehicle_type"),
    *("pickup_lat", "pickup_lng", "dropoff_lat", "dropoff_lng", "note", "distance_m", "total_price", "minimum_price"),
    *("currency", "quote_id", "conversation_id", "rating", "expires_at", "requested_at", "accepted_at", "ongoing_at"),
    *("finished_at", "created_at", "updated_at", "estimated"),
)
_PARTIES = ("client__name", "client__phone_number", "assistant__name", "assistant__phone_number")
_OFFER = ("status", "distance_m", "eta_minutes", "wave", "offered_at", "answered_at")
_COLUMNS = (*_OWN, *_PARTIES, *(f"own_offer__{name}" for name in _OFFER))
_SHOWS_NUMBERS = TAKEN | {Status.COMPLETED}

_encode = msgspec.json.Encoder().encode


def _mine(user: int, session: int, now: datetime, *, or_also: Q) -> QuerySet[Assistance]:
    """The jobs of this person, who must be signed in with this session."""
    return Assistance.objects.filter(
        Q(client_id=user) | Q(assistant_id=user) | or_also,
        accounts.is_signed_in(user_id=user, session_id=session, now=now, without_roles=MANAGERS),
    ).annotate(
        own_offer=FilteredRelation("offers", condition=Q(offers__assistant_id=user, offers__round=F("round"))),
    )


_DETAIL = HotQuery(
    lambda job, user, session, now: _mine(user, session, now, or_also=Q()).filter(pk=job).values_list(*_COLUMNS),
    job=int,
    user=int,
    session=int,
    now=datetime,
)


@cache
def _first_page(statuses: int) -> HotQuery:
    """The newest of one's jobs in so many states, each with how many there are."""

    def build(user: int, session: int, now: datetime, **wanted: str) -> Any:
        on_offer = Offer.objects.filter(assistant_id=user, status=OfferStatus.OPEN)
        rows = _mine(user, session, now, or_also=is_one_of("pk", on_offer, "assistance_id"))
        rows = rows.filter(status__in=list(wanted.values())) if wanted else rows
        return rows.order_by("-id").values_list(*_COLUMNS, Window(Count("*")))[:PAGE_SIZE]

    names = [f"status_{number}" for number in range(statuses)]
    return HotQuery(build, user=int, session=int, now=datetime, **dict.fromkeys(names, str))


def read_detail(asked: Asked) -> Found | None:
    """A job of mine."""
    if asked.query:
        return None
    row = _DETAIL.row(job=asked.id, user=asked.user_id, session=asked.session_id, now=asked.now)
    return None if row is None else Found(_encode(_shown(row, asked.user_id)), version=row[2])


def read_first_page(asked: Asked) -> Found | None:
    """The first page of my jobs, of any states, newest first, if there are any."""
    pairs = parse_qsl(asked.query, keep_blank_values=True)
    statuses = [value for _, value in pairs]
    if any(name != "status" for name, _ in pairs) or len(set(statuses) & set(Status)) != len(pairs):
        return None
    wanted = {f"status_{number}": status for number, status in enumerate(statuses)}
    rows = _first_page(len(statuses)).rows(user=asked.user_id, session=asked.session_id, now=asked.now, **wanted)
    if not rows:
        return None
    count = rows[0][-1]
    following = f"{asked.path}?{urlencode([*pairs, ('page', '2')])}" if count > PAGE_SIZE else None
    results = [_shown(row, asked.user_id) for row in rows]
    return Found(_encode({"count": count, "next": following, "previous": None, "results": results}))


def _shown(row: Row, reader_id: int) -> dict[str, Any]:
    """An `AssistanceOut` as it is encoded, from `_COLUMNS`."""
    (id_, status, version, client_id, assistant_id, service_type, vehicle_class, vehicle_type) = row[:8]
    (pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, note, distance_m, total_price, minimum_price) = row[8:16]
    currency, quote_id, conversation_id, rating, expires_at, requested_at, accepted_at, ongoing_at = row[16:24]
    finished_at, created_at, updated_at, estimated = row[24:28]
    client_name, client_phone, assistant_name, assistant_phone = row[28:32]
    if status not in _SHOWS_NUMBERS or reader_id not in {client_id, assistant_id}:
        client_phone = assistant_phone = None
    return {
        "id": id_,
        "status": status,
        "version": version,
        "client": {"id": client_id, "name": client_name, "phone_number": client_phone},
        "assistant": None
        if assistant_id is None
        else {"id": assistant_id, "name": assistant_name, "phone_number": assistant_phone},
        "service_type": service_type,
        "vehicle_class": vehicle_class,
        "vehicle_type": vehicle_type,
        "pickup": {"lat": pickup_lat, "lng": pickup_lng},
        "dropoff": None if dropoff_lat is None else {"lat": dropoff_lat, "lng": dropoff_lng},
        "note": note,
        "distance_km": None if distance_m is None else distance_m / 1000,
        "estimated": estimated,
        "total_price": _money(total_price, currency),
        "minimum_price": _money(minimum_price, currency),
        "quote_id": quote_id,
        "conversation_id": conversation_id,
        "rating": rating,
        "offer": None if row[32] is None else _offer(*row[32:38]),
        "expires_at": expires_at,
        "requested_at": requested_at,
        "accepted_at": accepted_at,
        "ongoing_at": ongoing_at,
        "finished_at": finished_at,
        "created_at": created_at,
        "updated_at": updated_at,
    }


def _offer(
    status: str, distance_m: int, eta_minutes: int, wave: int, offered_at: datetime, answered_at: datetime | None
) -> dict[str, Any]:
    return {
        "status": status,
        "distance_km": distance_m / 1000,
        "eta_minutes": eta_minutes,
        "wave": wave,
        "offered_at": offered_at,
        "answered_at": answered_at,
    }


def _money(minor: int | None, currency: str) -> dict[str, str] | None:
    return None if minor is None else {"amount": str(Money(minor, currency)), "currency": currency}


def take_the_fast_lane() -> None:
    """Called once when the apps are ready."""
    base = "api/v1/assistance/"
    serve(HotRead(re.compile(f"/{base}([1-9][0-9]{{0,17}})/"), f"{base}<assistance_id>/", read_detail))
    serve(HotRead(re.compile(f"/{base}"), base, read_first_page))
