"""Which providers come to a place, and are free in a period: conditions on `catalog_provider AS p`."""

# ruff: noqa: S608 - every part of the statements is written here; values travel apart from them

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backend.catalog.models import MAX_RADIUS_KM, OWN_RADIUS_KM
from backend.core.fields import Period
from backend.core.geo import EARTH_RADIUS_M, WORLD_WIDTH, Point, project, projected_radius

_MINUTE = timedelta(minutes=1)
_NO_NOTICE = 2**31 - 1
UNTOLD_HORIZON = timedelta(days=365)
"""How far ahead those can be booked of whom nothing was ever told: scheduling's terms of who never said anything."""
_DISTANCE = f"""
(2 * {EARTH_RADIUS_M} * asin(least(1, sqrt(
    power(sin(radians(p.lat - %s) / 2), 2)
    + cos(radians(%s)) * cos(radians(p.lat)) * power(sin(radians(p.lng - %s) / 2), 2)
))))
"""
"""Metres, as `core.geo.haversine_m`."""


@dataclass
class Conditions:
    """Parts of a WHERE clause and their values, in order."""

    texts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, text: str, *values: Any) -> None:
        self.texts.append(text)
        self.values += values

    @property
    def sql(self) -> str:
        return " AND ".join(self.texts) or "true"


@dataclass(frozen=True, slots=True)
class Where:
    """A place to come to, within a radius, in a period; each may be left out.

    Free is who has a calendar that can be booked for all of the period.
    """

    near: Point | None = None
    radius_km: float | None = None
    free: Period | None = None
    now: datetime | None = None
    """The moment of asking, for the notice that providers want; None: however late it is."""

    def conditions(self) -> Conditions:
        """That a provider's place is within both radii, and that one of their openings holds the period."""
        found = Conditions()
        if self.near is not None:
            reach = 1000 * min(self.radius_km or MAX_RADIUS_KM, MAX_RADIUS_KM)
            circles = [f"p.position <@ '{circle}'::circle" for circle in _circles(self.near, reach)]
            found.add(f"({' OR '.join(circles)})")
            distance, values = distance_from(self.near)
            found.add(f"{distance} <= least(%s, 1000 * coalesce(p.service_radius_km, {OWN_RADIUS_KM}))", *values, reach)
        if self.free is not None:
            is_free, values = self._is_free(self.free)
            calendars = "(SELECT o.provider_id FROM catalog_calendar_openings AS o WHERE"
            if self.now is not None and self.free[0] > self.now + UNTOLD_HORIZON:
                found.add(f"p.user_id IN {calendars} {is_free})", *values)
            else:
                # Not by groups: most have one calendar, and who is free at it, or was never told of, is free.
                found.add(
                    f"(p.user_id NOT IN {calendars} o.place = 0 AND NOT ({is_free}))"
                    f" OR p.user_id IN {calendars} o.place > 0 AND {is_free}))",
                    *values,
                    *values,
                )
            if self.now is not None and self.free[0] <= self.now:
                found.add("false")
        return found

    def conditions_of_services(self) -> Conditions:
        """What is more of `catalog_service AS s`: that it fits into the period, and is done at a calendar free then."""
        found = Conditions()
        if self.free is not None:
            found.add("s.duration_minutes <= %s", (self.free[1] - self.free[0]) // _MINUTE)
            is_free, values = self._is_free(self.free)
            found.add(
                "(s.provider_id NOT IN (SELECT provider_id FROM catalog_calendar_openings"
                " WHERE NOT service_ids = '{}')"
                " OR EXISTS (SELECT FROM catalog_calendar_openings AS o WHERE o.provider_id = s.provider_id"
                f" AND (o.service_ids = '{{}}' OR s.id = ANY(o.service_ids)) AND {is_free}))",
                *values,
            )
        return found

    def _is_free(self, period: Period) -> tuple[str, list[Any]]:
        """Whether the calendar `o` can be booked for all of the period."""
        notice = _NO_NOTICE if self.now is None else (period[0] - self.now) // _MINUTE
        return "o.notice_minutes <= %s AND o.periods @> tstzrange(%s, %s)", [notice, *period]


def distance_from(place: Point) -> tuple[str, list[Any]]:
    """The distance of a provider in metres, and its values."""
    return _DISTANCE, [place.lat, place.lat, place.lng]


def _circles(place: Point, reach: float) -> list[str]:
    """The circle on the map; near the date line the same one once more, a world further."""
    x, y = project(place)
    radius = projected_radius(place, reach)
    shifts = [0.0]
    if abs(x) + radius > WORLD_WIDTH / 2:
        shifts.append(-WORLD_WIDTH if x > 0 else WORLD_WIDTH)
    return [f"<({x + shift!r},{y!r}),{radius!r}>" for shift in shifts]
