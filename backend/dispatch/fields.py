"""A column of PostgreSQL's own type `point`: it needs no extension, and GiST finds the nearest through it."""

from typing import TYPE_CHECKING, Any

from django.db import models

Position = tuple[float, float]

if TYPE_CHECKING:
    _Field = models.Field[Position | None, Position | None]
else:
    _Field = models.Field


class PointField(_Field):
    """Metres on the spherical Mercator map (`core.geo.project`), as the pair (x, y)."""

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
