"""Places on the earth: distance, and the projection in which the nearest are found by an index."""

import re
from dataclasses import dataclass
from math import asin, cos, log, pi, radians, sin, sqrt, tan

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius R1 of the GRS 80 ellipsoid."""
MERCATOR_MAX_LATITUDE = 85.05
"""Beyond it the projection runs away; nobody waits for a tow truck there."""


@dataclass(frozen=True, slots=True)
class Point:
    """WGS 84 degrees."""

    lat: float
    lng: float


_COORDINATES = re.compile(r"(-?[0-9]{1,2}(?:\.[0-9]{1,15})?),(-?[0-9]{1,3}(?:\.[0-9]{1,15})?)")


def read_near(text: str) -> Point:
    """The place that `lat,lng` names. Raises ValueError."""
    match = _COORDINATES.fullmatch(text)
    if match is None or abs(float(match[1])) > 90 or abs(float(match[2])) > 180:
        raise ValueError("lat,lng in degrees is wanted, such as 36.7538,3.0588")
    return Point(float(match[1]), float(match[2]))


def haversine_m(a: Point, b: Point) -> float:
    """Great-circle distance in metres (Sinnott 1984). Within 0.5 % of the ellipsoid's."""
    half = (
        sin(radians(b.lat - a.lat) / 2) ** 2
        + cos(radians(a.lat)) * cos(radians(b.lat)) * sin(radians(b.lng - a.lng) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half)))


def project(point: Point) -> tuple[float, float]:
    """Spherical Mercator, metres. Conformal: around any place it is the plane, only larger by `1 / cos(lat)`."""
    lat = max(-MERCATOR_MAX_LATITUDE, min(MERCATOR_MAX_LATITUDE, point.lat))
    return EARTH_RADIUS_M * radians(point.lng), EARTH_RADIUS_M * log(tan(pi / 4 + radians(lat) / 2))


def projected_radius(point: Point, radius_m: float) -> float:
    """How large a circle on the map must be to hold all within `radius_m` of the place: scaled by its far edge."""
    edge = min(MERCATOR_MAX_LATITUDE, abs(point.lat) + radius_m / EARTH_RADIUS_M * 180 / pi)
    return radius_m / cos(radians(edge))


WORLD_WIDTH = 2 * pi * EARTH_RADIUS_M
"""The map's width: a circle over the date line is asked for once more, one world further."""
