"""What scheduling holds of a person: bookings as either side, hours, chairs, terms, the calendar's link."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from backend.core import personal_data
from backend.core.personal_data import Obstacle, Part
from backend.scheduling.models import Availability, Booking, CalendarLink, Policy, Resource, StaleOpenings, TimeOff
from backend.scheduling.states import OPEN


def _bookings_of(user_id: int) -> Q:
    return Q(client_id=user_id) | Q(provider_id=user_id)


def obstacles(user_id: int) -> Sequence[Obstacle]:
    """Bookings that are not over. One query."""
    ahead = Booking.objects.filter(_bookings_of(user_id), status__in=OPEN).order_by("starts_at").values_list("pk")
    numbers = ", ".join(str(pk) for (pk,) in ahead[:10])
    return [Obstacle("open_bookings", f"Cancel or finish these bookings first: {numbers}.")] if numbers else []


def export(user_id: int) -> Iterator[Part]:
    """Six queries."""
    columns = [field.attname for field in Booking._meta.concrete_fields if field.attname != "blocked"]
    bookings = Booking.objects.filter(_bookings_of(user_id)).order_by("id").values(*columns)
    yield Part(name="scheduling/bookings.json", rows=bookings.iterator(chunk_size=500))
    for name, model in (("availability", Availability), ("time_off", TimeOff), ("resources", Resource)):
        yield Part(name=f"scheduling/{name}.json", rows=_rows_of(model, user_id))
    yield Part(name="scheduling/booking_policy.json", rows=_rows_of(Policy, user_id))


def _rows_of(model: Any, provider_id: int) -> Iterator[Mapping[str, Any]]:
    rows: Iterator[Mapping[str, Any]] = model.objects.filter(provider_id=provider_id).order_by("pk").values().iterator()
    return rows


def erase(*, user_id: int, now: datetime) -> None:
    """What was written down goes; that there was a booking stays with the other side's history."""
    Booking.objects.filter(client_id=user_id).update(notes="", address="", lat=None, lng=None, reason="")
    for model in (Availability, TimeOff, Policy, StaleOpenings):
        model._base_manager.filter(provider_id=user_id).delete()
    Resource.objects.filter(provider_id=user_id).update(
        name="", user_id=None, is_active=False, is_first=False, deleted_at=now, updated_at=now
    )
    Resource.objects.filter(user_id=user_id).update(user_id=None, updated_at=now)
    CalendarLink.objects.filter(pk=user_id).delete()


def register() -> None:
    """Called once when the apps are ready."""
    personal_data.holds("scheduling", obstacles=obstacles, export=export, erase=erase)
