"""Categories and services, and the filters of place and time."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from backend.catalog.models import MAX_DESCRIPTION, MAX_MINUTES, MAX_RADIUS_KM, MAX_TITLE, OWN_RADIUS_KM
from backend.catalog.selectors.places import Where
from backend.catalog.selectors.search import ServiceSearch
from backend.catalog.selectors.tree import Tree
from backend.core.geo import read_near
from backend.core.pagination import PageIn
from backend.core.schemas import Id, In, Instant, Line, MoneyIn, Near, Out, Text
from shared_contracts.events import Money as MoneyOut

LEFT_OUT: Any = Field(default_factory=lambda: None)
"""The default of a field that may be left out, but not be null: read it from `model_fields_set` only."""


class ChangeIn(In):
    """Base of changes: a field that is left out stays as it is."""

    def given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


_Name = Annotated[Line, Field(min_length=1, max_length=100, examples=["Plumbing"])]
_About = Annotated[Text, Field(max_length=1000, examples=["Pipes, taps and drains."])]
_Parent = Annotated[Id | None, Field(description="The category above it; null for one at the top.", examples=[None])]


class CategoryIn(In):
    """A category of what is offered."""

    name: _Name
    description: _About = ""
    parent_id: _Parent = None


class CategoryChangeIn(ChangeIn):
    """What changes of a category; moved, what stands below it moves along."""

    name: _Name = LEFT_OUT
    description: _About = LEFT_OUT
    parent_id: _Parent = None


class CategoriesIn(PageIn):
    """Which categories."""

    parent_id: Annotated[Id | None, Field(description="Those right below this one.")] = None


class CategoryOut(Out):
    """A category of what is offered."""

    id: int
    name: str
    description: str
    parent_id: int | None
    depth: int = Field(description="1 at the top, at most 4.")


Title = Annotated[Line, Field(min_length=1, max_length=MAX_TITLE, examples=["Leaking tap repaired"])]
Description = Annotated[Text, Field(max_length=MAX_DESCRIPTION, examples=["Parts up to 2,000 DZD are included."])]
_Minutes = Annotated[int, Field(ge=1, le=MAX_MINUTES, examples=[60])]
_Category = Annotated[Id | None, Field(examples=[None])]


class ServiceIn(In):
    """A service that I offer."""

    title: Title
    description: Description = ""
    price: MoneyIn
    duration_minutes: _Minutes = 60
    category: _Category = None

    def values(self) -> dict[str, Any]:
        return _service_values(self, set(type(self).model_fields))


class ServiceChangeIn(In):
    """What changes of a service of mine; a field that is left out stays as it is."""

    title: Title = LEFT_OUT
    description: Description = LEFT_OUT
    price: MoneyIn = LEFT_OUT
    duration_minutes: _Minutes = LEFT_OUT
    category: _Category = None

    def values(self) -> dict[str, Any]:
        return _service_values(self, self.model_fields_set)


def _service_values(given: ServiceIn | ServiceChangeIn, names: set[str]) -> dict[str, Any]:
    values = {name: getattr(given, name) for name in names}
    if "price" in values:
        values["price"] = given.price.money("body.price")
    if "category" in values:
        values["category_id"] = values.pop("category")
    return values


class ServiceOut(Out):
    """Something that a provider does for a price."""

    id: int
    title: str
    description: str
    price: MoneyOut
    duration_minutes: int
    category: int | None
    provider: "ServiceProviderOut"
    distance_km: float | None = Field(description="From `near`, to the provider's place.", examples=[2.4])
    created_at: datetime
    updated_at: datetime


class ServiceProviderOut(Out):
    """Whose service it is."""

    id: int
    name: str = Field(description="Their business's, or their own.")
    average_rating: str | None = Field(examples=["4.80"])
    total_reviews: int


_PriceFilter = Annotated[
    Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?$")] | None,
    Field(description="In the currency's unit.", examples=["1500.00"]),
]
_Radius = Annotated[float | None, Field(gt=0, le=MAX_RADIUS_KM, description="Needs `near`.", examples=[10])]
_NearIn = Annotated[
    Near | None,
    Field(
        description=f"`lat,lng`: providers who come there, because it is within their own radius; that of who does not "
        f"say is {OWN_RADIUS_KM} km.",
        examples=["36.7538,3.0588"],
        max_length=50,
    ),
]
Search = Annotated[
    Line,
    Field(
        max_length=200,
        description='Words (the last one may be a beginning), `"a phrase"`, `-not`. Accents and small typing errors do '
        "not matter.",
        examples=["leaking tap"],
    ),
]


class WhenAndWhereIn(PageIn):
    """The filters of place and time."""

    near: _NearIn = None
    radius_km: _Radius = None
    free_from: Annotated[
        Instant | None,
        Field(
            description="With `free_to`: providers of whom one calendar can be booked for all of this period, with "
            "the buffers and the notice that they want; and services that fit into it and are done there. Changes show "
            "within seconds."
        ),
    ] = None
    free_to: Instant | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.free_from is None) != (self.free_to is None):
            raise ValueError("free_from and free_to go together")
        if self.free_from is not None and self.free_to is not None and not self.free_from < self.free_to:
            raise ValueError("free_from is before free_to")
        if self.near is None and (self.radius_km is not None or "distance" in str(getattr(self, "ordering", ""))):
            raise ValueError("a radius, or an order by distance, needs near")
        return self

    def where(self, now: datetime) -> Where:
        """The place and the time as the search takes them."""
        free = (self.free_from, self.free_to) if self.free_from and self.free_to else None
        return Where(near=read_near(self.near) if self.near else None, radius_km=self.radius_km, free=free, now=now)


class ServicesIn(WhenAndWhereIn):
    """Which services, in which order. What is searched for comes by relevance, else the newest first."""

    search: Search = ""
    category: Annotated[list[Id], Field(max_length=20, description="With all below it. May be repeated.")] = []
    provider: Id | None = None
    min_price: _PriceFilter = None
    max_price: _PriceFilter = None
    ordering: (
        Literal["price", "-price", "created_at", "-created_at", "rating", "-rating", "distance", "-distance"] | None
    ) = None

    def asked(self, now: datetime) -> ServiceSearch:
        return ServiceSearch(
            search=self.search,
            categories=Tree().with_descendants(self.category) if self.category else None,
            provider_id=self.provider,
            min_price=_thousandths(self.min_price),
            max_price=_thousandths(self.max_price),
            where=self.where(now),
            ordering=self.ordering,
        )


def _thousandths(price: str | None) -> int | None:
    return None if price is None else int(Decimal(price) * 1000)
