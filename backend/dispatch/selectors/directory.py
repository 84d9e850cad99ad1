"""The assistants on duty, as others see them: roughly where they are, exactly for the parties of a job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.geo import Point, haversine_m, project, projected_radius
from backend.dispatch.matching import centres, fetch_nearest_first
from backend.dispatch.models import Assistance
from backend.dispatch.rules import rounded_km, snapped
from backend.dispatch.states import TAKEN

MAX_LISTED = 500
"""Nobody calls the five hundredth."""
SNAP_MARGIN_M = 1000
"""Rounding a place and then its distance moves it by less than this."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An assistant on duty. Without a place to measure from there is no distance; `is_exact` only for who may know."""

    assistant_id: int
    service_type: str
    vehicle_class: str
    place: Point
    distance_km: float | None
    is_exact: bool


def list_assistants(
    actor: Actor, *, near: Point | None, radius_km: float, service_type: str | None, now: datetime
) -> list[Listed]:
    """Those on duty with a fresh position, nearest first (by id without `near`), at most 500. Two queries.

    Strangers are measured from the rounded place: neither distance, order nor the circle's edge tells more than it.
    """
    partners = _partners(actor)
    rows = _rows(near, radius_km * 1000 + SNAP_MARGIN_M, service_type, now)
    listed = [_listed(row, near, is_exact=actor.is_manager or row[0] in partners) for row in rows]
    within = [one for one in listed if one.distance_km is None or one.distance_km <= radius_km]
    return sorted(within, key=lambda one: (one.distance_km or 0, one.assistant_id))


Row = tuple[int, str, str, float, float]


def _listed(row: Row, near: Point | None, *, is_exact: bool) -> Listed:
    assistant_id, service_type, vehicle_class, lat, lng = row
    place = Point(lat, lng) if is_exact else snapped(Point(lat, lng))
    distance = None if near is None else haversine_m(near, place)
    if distance is not None:
        distance = round(distance / 1000, 2) if is_exact else rounded_km(distance)
    return Listed(assistant_id, service_type, vehicle_class, place, distance, is_exact)


def _partners(actor: Actor) -> set[int]:
    """The assistants whose client this person is right now, and oneself."""
    jobs = Assistance.objects.filter(Q(client_id=actor.id), status__in=TAKEN)
    return {actor.id, *jobs.values_list("assistant_id", flat=True)}


_COLUMNS = "SELECT a.user_id, a.service_type, a.vehicle_class, a.lat, a.lng FROM dispatch_assistant a"
_SHOWN = (
    "a.on_duty AND a.position IS NOT NULL AND a.fresh_at >= %(fresh_after)s"
    " AND a.service_type = COALESCE(%(service)s, a.service_type)"
)


def _rows(near: Point | None, radius_m: float, service_type: str | None, now: datetime) -> Sequence[Row]:
    if near is None:
        statement = f"{_COLUMNS} WHERE {_SHOWN} ORDER BY a.user_id LIMIT {MAX_LISTED}"
    else:
        reach = projected_radius(near, radius_m)
        statement = " UNION ALL ".join(
            f"({_COLUMNS} WHERE {_SHOWN} AND a.position <@ circle(point({x!r}, {y!r}), {reach!r})"
            f" ORDER BY a.position <-> point({x!r}, {y!r}) LIMIT {MAX_LISTED})"
            for x, y in centres(project(near), reach)
        )
    fresh_after = now - timedelta(seconds=environment().position_fresh_seconds)
    rows: Sequence[Row] = fetch_nearest_first(statement, {"fresh_after": fresh_after, "service": service_type})
    return rows
