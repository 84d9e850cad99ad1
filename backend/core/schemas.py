"""The base of all request and response schemas, and the values that many of them share."""

import re
from datetime import UTC, date, datetime
from functools import cache
from typing import Annotated, Any, Generic, LiteralString, Self, TypeVar

from ninja import Schema
from ninja.schema import DjangoGetter
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from backend.core.errors import invalid_field
from backend.core.geo import read_near
from backend.core.money import Money

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


def _written_out(value: object) -> object:
    if isinstance(value, str) and not _DATE_FIRST.match(value):
        raise ValueError("a time is written as in RFC 3339, such as 2030-05-15T09:30:00+01:00")
    return value


_DATE_FIRST = re.compile("[0-9]{4}-")

Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    AfterValidator(_within_calendar),
    Field(examples=["2030-05-15T09:30:00+01:00"]),
]
"""A point in time, RFC 3339 with an offset, kept in UTC."""


def _without_time(value: object) -> object:
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("a date is written as in RFC 3339, such as 2030-05-15")
    return value


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")

Day = Annotated[date, BeforeValidator(_without_time)]
"""A date, RFC 3339; a number is none, nor is a midnight."""


class QueryIn(Schema):
    """Base of what clients send in an address, where everything is text: unknown fields, NaN, infinity are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class In(Schema):
    """Base of bodies: unknown fields, NaN, infinity and values of another JSON type are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _run_root_validator(cls, values: Any, handler: ModelWrapValidatorHandler[Self], _info: ValidationInfo) -> Self:
        """Ninja would read a body once more as if it were an object with attributes, and each object in it twice."""
        return handler(values)

    @field_validator("*", mode="before")
    @classmethod
    def _check_json_type(cls, value: object, info: ValidationInfo) -> object:
        """Pydantic would read true as 1, "1" as 1 and 1 as a moment of 1970: the document promises otherwise."""
        wanted = _json_types(cls).get(info.field_name or "", frozenset())
        if value is not None and wanted and not wanted & _json_types_of(value):
            code = next(code for kind, code in _CODES.items() if kind in wanted)
            raise PydanticCustomError(code, "JSON type wanted here: {types}", {"types": ", ".join(sorted(wanted))})
        return value


_CODES: dict[str, LiteralString] = {
    "object": "object_type",
    "array": "list_type",
    "string": "string_type",
    "number": "float_type",
    "integer": "int_type",
    "boolean": "bool_type",
}


@cache
def _json_types(schema: type[In]) -> dict[str, frozenset[str]]:
    """Of each field: the JSON types that the document allows; none where it leaves the type open."""
    document = schema.model_json_schema()

    def types(node: dict[str, Any]) -> frozenset[str]:
        if "$ref" in node:
            return types(document["$defs"][node["$ref"].rpartition("/")[2]])
        if "anyOf" in node:
            return frozenset().union(*map(types, node["anyOf"]))
        return frozenset([node["type"]]) if "type" in node else frozenset()

    return {name: types(node) for name, node in document["properties"].items()}


def _json_types_of(value: object) -> frozenset[str]:
    match value:
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"integer", "number"} if value.is_integer() else {"number"})
        case str():
            return frozenset({"string"})
        case list():
            return frozenset({"array"})
        case _:
            return frozenset({"object"})


Amount = Annotated[
    str,
    # A billion a kilometre, all around the earth, is still a number that the database can keep.
    Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?$", description="A decimal string.", examples=["1500.00"]),
]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.", examples=["DZD"])]


class MoneyIn(In):
    """An amount of money."""

    amount: Amount
    currency: Currency

    def money(self, field: str) -> Money:
        """Raises a 422 about this field for more decimals than the currency has."""
        try:
            return Money.parse(self.amount, self.currency)
        except ValueError as error:
            raise invalid_field(f"{field}.amount", str(error)) from None


def _coordinates(text: str) -> str:
    read_near(text)
    return text


Near = Annotated[str, AfterValidator(_coordinates)]
"""A place in an address, read with `geo.read_near`."""


class Out(Schema):
    """Base of what clients get."""

    model_config = ConfigDict(from_attributes=True)

    @model_validator(mode="wrap")
    @classmethod
    def _run_root_validator(cls, values: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Named values are taken as they are: only an object has attributes for Ninja to look through."""
        if isinstance(values, dict) and not cls._ninja_resolvers:
            return handler(values)
        return handler(DjangoGetter(values, cls, info.context))


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
