"""Which providers come to a place, and are free in a period: conditions on `catalog_provider AS p`."""

from dataclasses import dataclass, field
from typing import Any

from backend.catalog.models import MAX_RADIUS_KM, OWN_RADIUS_KM
from backend.core.fields import Period
from backend.core.geo import EARTH_RADIUS_M, WORLD_WIDTH, Point, project, projected_radius

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
    """A place to come to, within a radius, in a period; each may be left out."""

    near: Point | None = None
    radius_km: float | None = None
    free: Period | None = None

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
            found.add(
                "NOT EXISTS (SELECT FROM catalog_openings AS o WHERE o.provider_id = p.user_id"
                " AND NOT o.periods @> tstzrange(%s, %s))",
                *self.free,
            )
        return found


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
