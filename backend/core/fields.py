"""Columns of PostgreSQL's own types that Django does not know; none of them needs an extension."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from psycopg.types.multirange import TimestamptzMultirange
from psycopg.types.range import TimestamptzRange

Position = tuple[float, float]
Period = tuple[datetime, datetime]
"""From its first moment up to, and without, its last."""

if TYPE_CHECKING:
    _PointField = models.Field[Position | None, Position | None]
    _PeriodsField = models.Field[Sequence[Period] | None, Sequence[Period] | None]
else:
    _PointField = _PeriodsField = models.Field


class PointField(_PointField):
    """`point`: metres on the spherical Mercator map (`core.geo.project`), as (x, y). GiST finds the nearest."""

    description = "a point of the plane"

    def db_type(self, connection: Any) -> str:
        return "point"

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else f"({value[0]!r},{value[1]!r})"

    def from_db_value(self, value: Any, *_: Any) -> Position | None:
        if value is None:
            return None
        x, y = value.strip("()").split(",")
        return float(x), float(y)


class PeriodsField(_PeriodsField):
    """`tstzmultirange`: half-open periods in UTC, which PostgreSQL keeps apart and in order."""

    description = "periods of time"

    def db_type(self, connection: Any) -> str:
        return "tstzmultirange"

    def get_prep_value(self, value: Any) -> Any:
        if value is None:
            return None
        return TimestamptzMultirange([TimestamptzRange(start, end, "[)") for start, end in value])

    def from_db_value(self, value: Any, *_: Any) -> list[Period] | None:
        return None if value is None else [(one.lower, one.upper) for one in value]
