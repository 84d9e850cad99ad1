"""Bookings, their history, and what calling them off would cost."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from backend.accounts.public import PlaceIn
from backend.core.pagination import PageIn
from backend.core.schemas import Id, In, Instant, Line, MoneyIn, Out, Text
from backend.scheduling.states import Side, Status
from shared_contracts.events import Money as MoneyOut
from shared_contracts.events import Person, Place

Ordering = Literal["starts_at", "-starts_at", "created_at", "-created_at"]


class BookingFiltersIn(PageIn):
    """Which bookings, in which order."""

    status: list[Status] = Field([], max_length=len(Status), description="May be repeated.")
    starts_from: Instant | None = Field(None, alias="from", description="Bookings that begin then or later.")
    starts_before: Instant | None = Field(None, alias="to", description="Bookings that begin earlier.")
    provider: Id | None = None
    service: Id | None = None
    ordering: Ordering = "-starts_at"


Notes = Annotated[Text, Field(max_length=2000, examples=["Please ring twice."])]
Address = Annotated[Line, Field(max_length=500, examples=["12 rue Didouche Mourad, Algiers"])]


class BookingIn(In):
    """A time with a provider, or of a service of theirs, which says how long it lasts and what it costs."""

    provider: Id | None = Field(None, description="Needed without a service.", examples=[1])
    service: Id | None = None
    resource: Id | None = Field(None, description="A chair, room or barber; left out: whichever is least busy.")
    category: Id | None = None
    starts_at: Instant
    ends_at: Instant | None = Field(
        None,
        description="Needed without a service; at most 24 hours after the start.",
        examples=["2030-05-15T10:00:00+01:00"],
    )
    notes: Notes = ""
    address: Address = ""
    location: PlaceIn | None = None
    estimated_cost: MoneyIn | None = Field(None, description="A note; the price is the service's.")


class BookingChangesIn(In):
    """What may be changed of a booking that is not over. What is left out stays."""

    notes: Notes = ""
    address: Address = ""
    location: PlaceIn | None = None
    estimated_cost: MoneyIn | None = None


class CancelIn(In):
    """Why it is called off."""

    reason: Annotated[Text, Field(max_length=500, examples=["I am ill."])] = ""


class RescheduleIn(In):
    """Another time; the end is the service's, or as long after the start as it was."""

    starts_at: Instant
    ends_at: Instant | None = Field(None, examples=["2030-05-15T10:00:00+01:00"])
    service: Id | None = Field(None, description="Another service of the same provider, priced in the same currency.")
    resource: Id | None = Field(None, description="Another chair; left out: the same.")


class BookingReviewIn(In):
    """What one side thinks of the other."""

    rating: Annotated[int, Field(ge=1, le=5, examples=[5])]
    comment: Annotated[Text, Field(max_length=2000, examples=["On time, and a fine cut."])] = ""


class BookingReviewOut(Out):
    """The review as it was kept."""

    id: int
    booking_id: int
    author: Person
    reviewed: Person
    rating: int
    comment: str
    is_visible: bool = Field(description="From when both sides have written theirs, or 14 days have passed.")
    created_at: datetime


class BookingPartyOut(Person):
    """A side of a booking."""

    phone_number: str | None = Field(
        description="For the other side, once it is confirmed, and for managers; else null.", examples=["+213550123456"]
    )


class BookedResourceOut(Out):
    id: int
    name: str
    user_id: int | None = Field(description="The crew member who works there.")


class BookedServiceOut(Out):
    id: int
    title: str


class BookingOut(Out):
    """A booking."""

    id: int
    status: Status
    version: int
    client: BookingPartyOut
    provider: BookingPartyOut
    resource: BookedResourceOut
    service: BookedServiceOut | None = Field(description="Null when only a time was booked.")
    category_id: int | None
    starts_at: datetime
    ends_at: datetime
    proposed_by: Side = Field(description="Who proposed the present time: the other side confirms it.")
    held_until: datetime | None = Field(description="Until then nobody else can take the time of a request.")
    price: MoneyOut | None = Field(description="The service's, as it was when it was booked.")
    estimated_cost: MoneyOut | None
    notes: str
    address: str
    location: Place | None
    free_cancellation_until: datetime | None = Field(
        description="The client cancels for nothing until then; null: at any time."
    )
    fee: MoneyOut | None = Field(
        description="What a late cancellation, a no-show, or a late move that nobody confirmed costs the client."
    )
    reason: str = Field(description="Why it was cancelled.")
    confirmed_at: datetime | None
    rescheduled_at: datetime | None
    cancelled_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class MoveOut(Out):
    """From when and where to when and where."""

    from_starts_at: datetime
    from_ends_at: datetime
    from_resource_id: int
    to_starts_at: datetime
    to_ends_at: datetime
    to_resource_id: int


class BookingStepOut(Out):
    """One step in the life of a booking."""

    version: int
    from_status: str = Field(description="Empty for the first.")
    to_status: str
    by: Person | None = Field(description="Null for the timetable.")
    reason: str
    moved: MoveOut | None = Field(description="When it was moved with this step.")
    at: datetime


class ConsequenceOut(Out):
    """What an act would mean now."""

    allowed: bool
    fee: MoneyOut | None = Field(description="What the client would owe; null without a price.")


class PreviewOut(Out):
    """What each act would cost now, if the one who asks did it."""

    free_cancellation_until: datetime | None
    cancel: ConsequenceOut
    reschedule: ConsequenceOut = Field(
        description="Moving costs nothing. A client who moves when cancelling would cost a fee still owes that fee, of "
        "the higher of the two prices, if they cancel afterwards or nobody confirms the new time; not if the provider "
        "declines it."
    )
    no_show: ConsequenceOut
