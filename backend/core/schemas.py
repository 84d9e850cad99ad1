"""The base of all request and response schemas, and the values that many of them share."""

import re
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, StringConstraints

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""A row's id in a path or a body."""


def _printable(value: object) -> object:
    if isinstance(value, str) and _UNPRINTABLE.search(value):
        raise ValueError("text may not hold NUL or half a character")
    return value


_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")

Text = Annotated[str, BeforeValidator(_printable)]
"""Any text that PostgreSQL can store. Give it a length with `Field(max_length=...)`."""

Line = Annotated[str, StringConstraints(strip_whitespace=True), BeforeValidator(_printable)]
"""One line of text without spaces around it."""


def _within_calendar(at: datetime) -> datetime:
    if not 1970 <= at.year <= 2200:
        raise ValueError("a time between 1970 and 2200 is wanted")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_within_calendar)]
"""A point in time, RFC 3339 with an offset, kept in UTC."""


class In(Schema):
    """Base of what clients send: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Out(Schema):
    """Base of what clients get."""

    model_config = ConfigDict(from_attributes=True)


T = TypeVar("T")


class Page(Out, Generic[T]):
    """A numbered page. `next` and `previous` are addresses, null at the ends."""

    count: int
    next: str | None
    previous: str | None
    results: list[T]


class Feed(Out, Generic[T]):
    """A page of a list that grows at its end. `next` and `previous` are addresses with an opaque cursor."""

    next: str | None
    previous: str | None
    results: list[T]
