"""What dispatch holds of a person: where they asked for help, where they worked, and where they were."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Round

from backend.core import personal_data
from backend.core.jobs import enqueue
from backend.core.money import Money
from backend.core.personal_data import Obstacle, Part, rows_of
from backend.dispatch.models import Assistance, DispatchAssistant, Offer, Quote, TrackPoint
from backend.dispatch.selectors import named
from backend.dispatch.services.duty import forget_assistant
from backend.dispatch.states import OPEN

PLACES = ("pickup_lat", "pickup_lng", "dropoff_lat", "dropoff_lng")
PRICE = ("total_price", "minimum_price", "currency")
JOB = (
    *("id", "status", "service_type", "vehicle_class", "vehicle_type", "distance_m", "rating"),
    *("created_at", "requested_at", "accepted_at", "ongoing_at", "finished_at"),
)
POSITION = ("on_duty", "lat", "lng", "heading", "speed", "accuracy", "located_at")
OFFER = ("assistance_id", "round", "wave", "distance_m", "eta_minutes", "status", "offered_at", "answered_at")


def obstacles(user_id: int) -> list[Obstacle]:
    mine = Q(client_id=user_id) | Q(assistant_id=user_id)
    jobs = Assistance.objects.filter(mine, status__in=OPEN).order_by("pk")
    return [
        Obstacle("open_assistance", f"Roadside job {pk} is {status}: finish or cancel it.")
        for pk, status in jobs.values_list("pk", "status")
    ]


def export(user_id: int) -> Iterator[Part]:
    """Of the other side of a job its name, which was shown with it; not what they noted, nor how to reach them."""

    def part(name: str, rows: Iterator[dict[str, Any]]) -> Part:
        return Part(name=f"dispatch/{name}.json", rows=rows)

    asked = rows_of(Assistance.objects.filter(client_id=user_id), *JOB, *PLACES, *PRICE, "note", "assistant_id")
    worked = rows_of(Assistance.objects.filter(assistant_id=user_id), *JOB, *PLACES, *PRICE, "client_id")
    quotes = rows_of(Quote.objects.filter(user_id=user_id), "id", "service_type", *PLACES, *PRICE, "created_at")
    yield part("requests", (_named(_priced(row), "assistant") for row in asked))
    yield part("jobs", (_named(_priced(row), "client") for row in worked))
    yield part("quotes", map(_priced, quotes))
    yield part("offers", rows_of(Offer.objects.filter(assistant_id=user_id), *OFFER))
    yield part("position", rows_of(DispatchAssistant.objects.filter(pk=user_id), *POSITION))
    track = TrackPoint.objects.filter(assistance__assistant_id=user_id, at__gte=F("assistance__accepted_at"))
    yield part("track", rows_of(track, "assistance_id", "lat", "lng", "speed", "at"))


def _priced(row: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts as the API writes them."""
    currency = row["currency"]
    amounts = ("total_price", "minimum_price")
    return {
        name: str(Money(value, currency)) if name in amounts and value is not None else value
        for name, value in row.items()
    }


def _named(row: dict[str, Any], other: str) -> dict[str, Any]:
    user_id = row.pop(f"{other}_id")
    return {**row, other: None if user_id is None else named(user_id)[user_id].name}


def erase(*, user_id: int, now: datetime) -> None:
    """Off duty and off the map. Jobs stay, for their other side and for the books: where the person asked for help is
    kept to a hundredth of a degree, about a kilometre, without their note and what they said of their vehicle."""
    forget_assistant(user_id=user_id, now=now)
    Quote.objects.filter(user_id=user_id).delete()
    Assistance.objects.filter(client_id=user_id).update(
        note="", vehicle_type="", **{place: Round(F(place) * 100) / 100 for place in PLACES}
    )
    enqueue("dispatch.forget_tracks", now=now, user_id=user_id)


personal_data.holds("dispatch", obstacles=obstacles, export=export, erase=erase)
