"""What the operations of roadside assistance take and give. Shapes only: the rules are the services'."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, WithJsonSchema

from backend.accounts.public import AssistantFieldsIn, PlaceIn
from backend.core.geo import Point
from backend.core.pagination import PageIn
from backend.core.schemas import Amount, Currency, Id, In, Instant, Line, MoneyIn, Near, Out, Text
from backend.dispatch.rules import ServiceType, VehicleClass
from backend.dispatch.states import OfferStatus, Status
from shared_contracts.events import Money as MoneyOut
from shared_contracts.events import Person, Place


def point(place: Place) -> Point:
    return Point(place.lat, place.lng)


def point_or_none(place: Place | None) -> Point | None:
    return None if place is None else point(place)


class QuoteIn(In):
    """What it would cost: a service, from where to where, for which class of vehicle."""

    service_type: ServiceType
    pickup: PlaceIn
    dropoff: PlaceIn | None = None
    vehicle_class: VehicleClass = "light"


class QuoteOut(Out):
    """A price that holds until `expires_at`. Without a drop-off the distance is unknown and the base is charged."""

    id: int
    service_type: ServiceType
    vehicle_class: VehicleClass
    pickup: Place
    dropoff: Place | None
    distance_km: float | None = Field(examples=[12.61])
    estimated: bool = Field(
        description="Whether the distance is estimated from the straight line; else it is that of a route by road."
    )
    price: MoneyOut | None = Field(description="Null for what is priced on the spot.")
    minimum_price: MoneyOut
    expires_at: datetime


class AssistanceIn(In):
    """What help is needed where. With a `quote_id` its price is kept; what is asked must be what was quoted."""

    pickup: PlaceIn
    service_type: ServiceType | None = Field(
        None, description="Left out: as quoted, else any assistant, priced by the service of the one who comes."
    )
    dropoff: PlaceIn | None = None
    vehicle_class: VehicleClass | None = Field(None, description="Left out: as quoted, else light.")
    vehicle_type: Annotated[Line, Field(max_length=100, examples=["Renault Symbol"])] = ""
    note: Annotated[Text, Field(max_length=1000, examples=["Left lane, hazard lights on."])] = ""
    quote_id: Id | None = None


class OwnOfferOut(Out):
    """How the job was offered to the one who reads it."""

    status: OfferStatus
    distance_km: float
    eta_minutes: int
    wave: int
    offered_at: datetime
    answered_at: datetime | None


class PartyOut(Person):
    """A side of a job."""

    phone_number: str | None = Field(
        description="For the other side, from acceptance on, and for managers; else null.", examples=["+213550123456"]
    )


class AssistanceOut(Out):
    """A roadside job."""

    id: int
    status: Status
    version: int
    client: PartyOut
    assistant: PartyOut | None
    service_type: ServiceType | None = Field(description="Null while any service will do and nobody has accepted.")
    vehicle_class: VehicleClass
    vehicle_type: str
    pickup: Place
    dropoff: Place | None
    note: str
    distance_km: float | None = Field(description="From pickup to drop-off by road.", examples=[12.61])
    estimated: bool = Field(
        description="Whether the distance is estimated from the straight line; else it is that of a route by road."
    )
    total_price: MoneyOut | None = Field(description="Null until what is priced on the spot is done.")
    minimum_price: MoneyOut | None
    quote_id: int | None
    conversation_id: int | None = Field(description="Null until an assistant accepts.")
    rating: int | None
    offer: OwnOfferOut | None = Field(description="For an assistant who was asked in the present round.")
    expires_at: datetime = Field(description="When the search for an assistant ends.")
    requested_at: datetime
    accepted_at: datetime | None
    ongoing_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    updated_at: datetime


class NearbyOut(Out):
    """An assistant who was asked at once; the distance is rounded to a tenth of a kilometre."""

    assistant_id: int
    distance_km: float
    eta_minutes: int


class RequestOut(Out):
    """The job, and who was asked at once, nearest first. More are asked every few seconds until somebody accepts."""

    assistance: AssistanceOut
    nearby_assistants: list[NearbyOut]


class AssistanceFiltersIn(PageIn):
    """Which jobs, in which order."""

    status: list[Status] = Field([], max_length=len(Status), description="May be repeated.")
    ordering: Literal["created_at", "-created_at"] = "-created_at"


class StatusIn(In):
    """Where a job goes from here."""

    status: Literal["ongoing", "completed", "canceled"]
    reason: Annotated[Text, Field(max_length=500, examples=["The engine runs again."])] = ""
    total_price: MoneyIn | None = Field(None, description="With `completed`, for what is priced on the spot.")
    reoffer: bool | None = Field(
        None, description="An assistant who cancels before `ongoing`: offer the job to others (true), or end it."
    )


class RatingIn(In):
    """What the client thinks of the work."""

    rating: Annotated[int, Field(ge=1, le=5, examples=[5])]
    comment: Annotated[Text, Field(max_length=2000, examples=["Quick and careful."])] = ""


class RatingOut(Out):
    """The rating as it was kept."""

    assistance_id: int
    rating: int
    comment: str
    created_at: datetime


class TrackPointOut(Out):
    lat: float
    lng: float
    speed: float | None = Field(description="Metres per second.")
    at: datetime


class TrackOut(Out):
    """Where the assistant drove since accepting the job, and how long its parts took, in seconds."""

    points: list[TrackPointOut]
    distance_km: float
    waiting_s: float | None = Field(description="From the request to its acceptance.")
    approach_s: float | None = Field(description="From acceptance to arrival.")
    work_s: float | None = Field(description="From arrival to the end.")


class StateChangeOut(Out):
    """One step in the life of a job; `by` is null for the timetable."""

    version: int
    from_status: str
    to_status: str
    by: Person | None
    reason: str
    at: datetime


class OfferOut(Out):
    assistant: Person
    distance_km: float
    eta_minutes: int
    status: OfferStatus
    offered_at: datetime
    answered_at: datetime | None


class LeftOutOut(Out):
    assistant: Person
    distance_km: float
    reason: str = Field(
        description="The first of: asked_before, own_request, busy, wrong_service, wrong_vehicle, wrong_category, "
        "licence_expired, stale_position.",
        examples=["busy"],
    )


class WaveOut(Out):
    """One search: who was asked, and the nearest who were not."""

    round: int
    wave: int
    radius_km: float
    at: datetime
    offers: list[OfferOut]
    left_out: list[LeftOutOut]


class TraceOut(Out):
    """How a job was offered, from its first wave on."""

    assistance_id: int
    status: Status
    waves: list[WaveOut]


RoadFactor = Annotated[
    Decimal,
    Field(ge=1, le=5, max_digits=4, decimal_places=2, examples=["1.30"]),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^([1-4](\.[0-9]{1,2})?|5(\.0{1,2})?)$",
            "examples": ["1.30"],
            "title": "Road factor",
        }
    ),
]


class TariffIn(In):
    """What a service costs from a moment on; amounts are decimal strings in `currency`."""

    service_type: ServiceType
    vehicle_class: VehicleClass
    base: Amount
    per_km: Amount
    minimum: Amount
    currency: Currency
    road_factor: RoadFactor = Decimal("1.30")
    valid_from: Instant | None = Field(None, description="Left out: from now on.")


class TariffOut(Out):
    """What a service costs from a moment on. Repair is priced on the spot, from the minimum upwards."""

    id: int
    service_type: ServiceType
    vehicle_class: VehicleClass
    base: str = Field(examples=["1500.00"])
    per_km: str = Field(examples=["50.00"])
    minimum: str = Field(examples=["1500.00"])
    currency: str = Field(examples=["DZD"])
    road_factor: RoadFactor
    valid_from: datetime


class AssistantFiltersIn(PageIn):
    """Which assistants on duty."""

    near: Annotated[
        Near | None,
        Field(max_length=50, description="Measured from here: lat,lng.", examples=["36.7538,3.0588"]),
    ] = None
    radius_km: Annotated[float, Field(ge=0.5, le=100)] = 10
    service_type: ServiceType | None = None


class ListedAssistantOut(Out):
    """An assistant on duty. Place and distance are rounded to half a kilometre, unless you have a job together."""

    assistant: Person
    service_type: ServiceType
    vehicle_class: VehicleClass
    location: Place
    distance_km: float | None
    exact: bool
    average_rating: str | None = Field(examples=["4.80"])
    total_reviews: int


class DutyIn(In):
    """On duty or off."""

    is_active: bool


class MyAssistantIn(AssistantFieldsIn):
    """What changes of vehicle and licence; a field that is left out stays as it is."""


class DrivingLicenseOut(Out):
    category: str
    number: str
    expires_on: date


class MyAssistantOut(Out):
    """An assistant as they see themselves."""

    id: int
    is_active: bool = Field(description="On duty.")
    service_type: ServiceType
    vehicle_type: str
    vehicle_class: VehicleClass
    driving_license: DrivingLicenseOut
    vehicle_registration_number: str
    location: Place | None
    located_at: datetime | None
    on_the_map: bool = Field(description="Whether the position is fresh enough for offers.")
    average_rating: str | None = Field(examples=["4.80"])
    total_reviews: int


class LocationIn(PlaceIn):
    """Where I am."""

    heading: float | None = Field(None, ge=0, le=360, description="Degrees clockwise from north.")
    speed: float | None = Field(None, ge=0, le=150, description="Metres per second.")
    accuracy: float | None = Field(None, ge=0, le=100_000, description="Metres.")
    at: Instant | None = Field(None, description="When it was measured; now when left out.")
