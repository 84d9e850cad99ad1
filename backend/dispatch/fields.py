"""The column of positions, by the name under which the first migration knows it."""

from backend.core.fields import PointField

__all__ = ["PointField"]
