"""Prices, distances and times of roadside assistance. Pure: no ORM, no clock, no I/O."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Literal

from backend.core.geo import Point, haversine_m

ServiceType = Literal["towing", "repair"]
VehicleClass = Literal["light", "heavy"]

PRICED_ON_THE_SPOT = frozenset({"repair"})
"""What these cost is known only when they are done; the assistant says it, from the tariff's minimum upwards."""

APPROACH_SPEED_KMH = 40
APPROACH_ROAD_FACTOR = 1.3
"""Roads are so much longer than the straight line: circuity as of Ballou, Rahardja and Sakai (2002)."""

SNAP_KM = 0.5
_KM_PER_DEGREE = 111.195


@dataclass(frozen=True, slots=True)
class Rate:
    """What a tariff charges, in minor units of its currency."""

    base: int
    per_km: int
    minimum: int
    currency: str
    road_factor: Decimal


def road_distance_m(start: Point, end: Point, road_factor: Decimal) -> int:
    """An estimate of the way by road in whole metres: the great circle times the factor, half a metre rounded up."""
    return int((Decimal(haversine_m(start, end)) * road_factor).to_integral_value(ROUND_HALF_UP))


def price(rate: Rate, distance_m: int | None) -> int:
    """Base and kilometres, never below the minimum; half a minor unit is rounded up.

    Without a drop-off (`distance_m` None) nobody knows how far it goes: the base alone, and what was said is charged.
    """
    return max(rate.minimum, rate.base + (rate.per_km * (distance_m or 0) + 500) // 1000)


def price_in_advance(service_type: str, rate: Rate, distance_m: int | None) -> int | None:
    """What the client is told before the work, in minor units; None for what is priced on the spot."""
    return None if service_type in PRICED_ON_THE_SPOT else price(rate, distance_m)


def approach_minutes(distance_m: float) -> int:
    """How long an assistant so far away (straight line) needs to arrive, in whole minutes, at least one."""
    return max(1, math.ceil(distance_m / 1000 * APPROACH_ROAD_FACTOR / APPROACH_SPEED_KMH * 60))


def radius_of_wave_km(radii_km: Sequence[float], wave: int) -> float:
    """The radius of the nth wave (from 1); the last one repeats."""
    return radii_km[min(wave, len(radii_km)) - 1]


def snapped(place: Point) -> Point:
    """The place on a grid of half a kilometre: where an assistant is, for those whom it does not concern closely."""
    step = SNAP_KM / _KM_PER_DEGREE
    lat = max(-90.0, min(90.0, round(place.lat / step) * step))
    wide = step / max(math.cos(math.radians(lat)), 0.01)
    lng = max(-180.0, min(180.0, round(place.lng / wide) * wide))
    return Point(round(lat, 5), round(lng, 5))


def rounded_km(distance_m: float) -> float:
    """Kilometres to the nearest half."""
    return round(distance_m / 1000 / SNAP_KM) * SNAP_KM


def path_length_m(path: Sequence[Point]) -> float:
    """The length of a recorded path, metres."""
    return sum(haversine_m(start, end) for start, end in pairwise(path))
