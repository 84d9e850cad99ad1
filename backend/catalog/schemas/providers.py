"""Providers, their portfolios and the reviews of them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictBool

from backend.accounts.public import PlaceIn
from backend.catalog.models import MAX_COMMENT, MAX_DESCRIPTION, MAX_RADIUS_KM, MAX_TITLE, OWN_RADIUS_KM
from backend.catalog.schemas.listings import LEFT_OUT, ChangeIn, Description, Search, Title, WhenAndWhereIn
from backend.catalog.selectors.search import ProviderSearch
from backend.catalog.selectors.tree import Tree
from backend.core.geo import Point
from backend.core.schemas import Day, Id, In, Line, MoneyIn, Out, QueryIn, Text
from shared_contracts.events import Money as MoneyOut
from shared_contracts.events import Person, Place

_BusinessName = Annotated[Line, Field(max_length=MAX_TITLE, examples=["Haddad & Sons"])]
_BusinessDescription = Annotated[Text, Field(max_length=MAX_DESCRIPTION, examples=["Plumbers since 1987."])]
_Years = Annotated[int | None, Field(ge=0, le=80, examples=[12])]
_LicenseNumber = Annotated[Line, Field(max_length=100, examples=["16-B-0042"])]
_Insurance = Annotated[Text, Field(max_length=1000, examples=["Liability up to 10,000,000 DZD."])]
_ServiceRadius = Annotated[
    int | None,
    Field(ge=1, le=MAX_RADIUS_KM, description=f"Kilometres that I come; null: {OWN_RADIUS_KM}.", examples=[25]),
]


def _without_doubles(ids: list[int]) -> list[int]:
    if len(set(ids)) < len(ids):
        raise ValueError("a category stands here twice")
    return ids


_Categories = Annotated[list[Id], Field(max_length=20, examples=[[]]), AfterValidator(_without_doubles)]


class ProviderIn(In):
    """All of my profile as a provider; what is left out is emptied."""

    business_name: _BusinessName = ""
    business_description: _BusinessDescription = ""
    years_of_experience: _Years = None
    license_number: _LicenseNumber = ""
    insurance_info: _Insurance = ""
    service_radius_km: _ServiceRadius = None
    hourly_rate: MoneyIn | None = None
    categories: _Categories = []
    location: PlaceIn | None = None
    contact_public: Annotated[StrictBool, Field(description="Show my e-mail address and phone number.")] = False

    def values(self) -> dict[str, Any]:
        return _provider_values({name: getattr(self, name) for name in type(self).model_fields})


class ProviderChangeIn(ChangeIn):
    """What changes of my profile as a provider."""

    business_name: _BusinessName = LEFT_OUT
    business_description: _BusinessDescription = LEFT_OUT
    years_of_experience: _Years = None
    license_number: _LicenseNumber = LEFT_OUT
    insurance_info: _Insurance = LEFT_OUT
    service_radius_km: _ServiceRadius = None
    hourly_rate: MoneyIn | None = None
    categories: _Categories = LEFT_OUT
    location: PlaceIn | None = None
    contact_public: StrictBool = LEFT_OUT

    def values(self) -> dict[str, Any]:
        return _provider_values(self.given())


def _provider_values(given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if values.get("location") is not None:
        values["location"] = Point(values["location"].lat, values["location"].lng)
    if values.get("hourly_rate") is not None:
        values["hourly_rate"] = values["hourly_rate"].money("body.hourly_rate")
    return values


class CategoryRefOut(Out):
    id: int
    name: str


class PictureOut(Out):
    """Where a picture is, in two sizes; for a day or two."""

    small: str
    large: str


class PortfolioItemOut(Out):
    """A piece of work that a provider shows."""

    id: int
    title: str
    description: str
    completed_on: date | None
    image: PictureOut
    created_at: datetime


class ReviewOut(Out):
    """What somebody thinks of a provider."""

    id: int
    author: Person
    rating: int
    comment: str
    is_verified: bool = Field(description="They finished a job together.")
    job: str | None = Field(description="The job, such as `booking:7`.")
    is_visible: bool = Field(description="Not yet, while it waits for the other side's.")
    reply: str
    replied_at: datetime | None
    created_at: datetime


class ProviderOut(Out):
    """A provider as anybody sees them."""

    id: int
    name: str
    business_name: str
    business_description: str
    years_of_experience: int | None
    license_number: str
    insurance_info: str
    service_radius_km: int | None = Field(description=f"Kilometres that they come; null: {OWN_RADIUS_KM}.")
    hourly_rate: MoneyOut | None
    city: str
    is_onboarded: bool
    categories: list[CategoryRefOut]
    photo: dict[str, str] | None = Field(description="Where their photo is, by size.")
    average_rating: str | None = Field(examples=["4.80"])
    total_reviews: int
    completed_jobs: int
    distance_km: float | None = Field(description="From `near`.", examples=[2.4])
    portfolio: list[PortfolioItemOut] | None = Field(description="Null in a list without `expand=portfolio`.")
    reviews: list[ReviewOut] | None = Field(description="The latest; null in a list without `expand=reviews`.")
    created_at: datetime


class ProviderDetailOut(ProviderOut):
    """A provider with how they are reached, where they show it."""

    email: str | None = Field(description="Null unless they show it.")
    phone_number: str | None = Field(description="Null unless they show it.")


class MyProviderOut(Out):
    """My profile as a provider."""

    id: int
    business_name: str
    business_description: str
    years_of_experience: int | None
    license_number: str
    insurance_info: str
    service_radius_km: int | None
    hourly_rate: MoneyOut | None
    categories: list[CategoryRefOut]
    location: Place | None
    contact_public: bool
    is_onboarded: bool = Field(description="Complete: name, description, a category and a place.")
    average_rating: str | None
    total_reviews: int
    completed_jobs: int
    version: int


class ProvidersIn(WhenAndWhereIn):
    """Which providers, in which order. What is searched for comes by relevance, else the newest first."""

    search: Search = ""
    categories: Annotated[
        list[Id], Field(max_length=20, description="In one of these, or below. May be repeated.")
    ] = []
    min_years_of_experience: Annotated[int | None, Field(ge=0, le=80)] = None
    min_service_radius_km: Annotated[int | None, Field(ge=0, le=MAX_RADIUS_KM)] = None
    is_onboarded: bool | None = None
    city: Annotated[Line, Field(max_length=100)] = ""
    min_rating: Annotated[float | None, Field(ge=1, le=5)] = None
    expand: Annotated[list[Literal["portfolio", "reviews"]], Field(max_length=2)] = []
    ordering: (
        Literal[
            "business_name",
            "-business_name",
            "years_of_experience",
            "-years_of_experience",
            "created_at",
            "-created_at",
            "rating",
            "-rating",
            "distance",
            "-distance",
        ]
        | None
    ) = None

    def asked(self, now: datetime) -> ProviderSearch:
        return ProviderSearch(
            search=self.search,
            categories=Tree().with_descendants(self.categories) if self.categories else None,
            min_years=self.min_years_of_experience,
            min_radius_km=self.min_service_radius_km,
            is_onboarded=self.is_onboarded,
            city=self.city,
            min_rating=self.min_rating,
            where=self.where(now),
            ordering=self.ordering,
        )


_CompletedOn = Annotated[Day | None, Field(examples=["2025-04-30"])]


class PortfolioFormIn(QueryIn):
    """The fields beside the `image`."""

    title: Title
    description: Description = ""
    completed_on: _CompletedOn = None


class PortfolioChangeIn(ChangeIn):
    """What changes of a piece of work."""

    title: Title = LEFT_OUT
    description: Description = LEFT_OUT
    completed_on: _CompletedOn = None


_Comment = Annotated[Text, Field(max_length=MAX_COMMENT, examples=["Quick and careful."])]


class ReviewIn(In):
    """What I think of a provider."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rating": 5, "comment": "Quick and careful."}]})

    rating: Annotated[int, Field(ge=1, le=5, examples=[5])]
    comment: _Comment = ""
    job: Annotated[
        Line | None,
        Field(max_length=40, description="A job that we finished: the review is verified.", examples=["booking:7"]),
    ] = None


class ReplyIn(In):
    """What I say to a review of me."""

    reply: Annotated[Text, Field(min_length=1, max_length=MAX_COMMENT, examples=["Thank you, gladly again."])]


class ReportIn(In):
    """Why a review should not stand."""

    reason: Annotated[Text, Field(min_length=1, max_length=MAX_COMMENT, examples=["It names my address."])]
