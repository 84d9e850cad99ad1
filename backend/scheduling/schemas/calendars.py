"""Opening hours, times off, chairs, terms, free slots and the calendar's link."""

from datetime import date, datetime, time
from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from backend.accounts.public import Email
from backend.core import schemas
from backend.core.pagination import PageIn
from backend.core.schemas import Id, In, Instant, Line, Out, QueryIn, Text


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("a name of the IANA time zone database is wanted, such as Africa/Algiers")
    return name


Zone = Annotated[
    Line,
    Field(max_length=64, description="IANA time zone.", examples=["Africa/Algiers"]),
    AfterValidator(_known_zone),
]


WallTime = Annotated[
    str,
    Field(
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9](:00)?$",
        description="Hours and minutes by the clock on the wall.",
        examples=["09:30"],
    ),
]


def _within_calendar(day: date) -> date:
    if not 1970 <= day.year <= 2200:
        raise ValueError("a date between 1970 and 2200 is wanted")
    return day


Day = Annotated[schemas.Day, AfterValidator(_within_calendar), Field(examples=["2030-05-16"])]


class AvailabilityFiltersIn(PageIn):
    """Whose hours; left out: one's own."""

    provider: Id | None = None


class OpeningHoursIn(In):
    """When bookings may be: every week on a day, or on one date, whose hours replace the weekly ones of that day."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"day_of_week": 0, "start_time": "09:30", "end_time": "17:00", "time_zone": "Africa/Algiers"},
                {"date": "2030-05-16", "start_time": "09:30", "end_time": "12:00"},
            ]
        }
    )

    day_of_week: Annotated[int | None, Field(ge=0, le=6, description="0 is Monday.", examples=[0])] = None
    date: Day | None = None
    start_time: WallTime
    end_time: Annotated[WallTime, Field(description="00:00 is the end of the day.", examples=["17:00"])]
    time_zone: Zone | None = Field(None, description="Left out: that of the booking policy.")
    is_recurring: bool | None = Field(None, description="Every week (true), or on one date (false).")
    resource: Id | None = Field(None, description="One chair alone; its own hours replace those of the shop.")

    @model_validator(mode="after")
    def _check(self) -> "OpeningHoursIn":
        if (self.day_of_week is None) is (self.date is None):
            raise ValueError("either day_of_week or date is wanted")
        if self.is_recurring is not None and self.is_recurring is not (self.date is None):
            raise ValueError("a day_of_week comes again, a date does not")
        if self.ends <= self.starts and self.ends != time():
            raise ValueError("the end comes after the start")
        return self

    @property
    def starts(self) -> time:
        return time.fromisoformat(self.start_time)

    @property
    def ends(self) -> time:
        return time.fromisoformat(self.end_time)


class OpeningHoursOut(Out):
    """Opening hours."""

    id: int
    version: int
    provider_id: int
    resource_id: int | None
    day_of_week: int | None
    date: date | None
    start_time: str = Field(examples=["09:30"])
    end_time: str = Field(examples=["17:00"])
    time_zone: str
    is_recurring: bool


class TimeOffIn(In):
    """A period without bookings; those that there are stay."""

    starts_at: Instant
    ends_at: Annotated[Instant, Field(examples=["2030-05-22T09:30:00+01:00"])]
    reason: Annotated[Text, Field(max_length=200, examples=["Holidays"])] = ""
    resource: Id | None = Field(None, description="One chair alone.")


class TimeOffOut(Out):
    id: int
    resource_id: int | None
    starts_at: datetime
    ends_at: datetime
    reason: str


Name = Annotated[Line, Field(min_length=1, max_length=100, examples=["Chair 1"])]
Services = Annotated[list[Id], Field(max_length=100, description="What can be done here; none named: everything.")]


class ResourceIn(In):
    """A chair, a room, a barber: whatever one booking at a time takes."""

    name: Name
    is_active: bool = True
    services: Services = []
    user: Id | None = Field(None, description="A crew member, who acts as provider on its bookings.")


class ResourceChangesIn(In):
    """What is left out stays."""

    name: Name = ""
    is_active: bool = True
    services: Services = []
    user: Id | None = None


class ResourceOut(Out):
    id: int
    provider_id: int
    name: str
    is_active: bool
    services: list[int]
    user_id: int | None


Minutes = Annotated[int, Field(ge=0, le=240)]
Percent = Annotated[int, Field(ge=0, le=100)]


class PolicyIn(In):
    """On what terms bookings are taken. What is left out gets its default."""

    time_zone: Zone = "UTC"
    buffer_before_minutes: Minutes = 0
    buffer_after_minutes: Minutes = 0
    minimum_notice_minutes: Annotated[int, Field(ge=0, le=60 * 24 * 90)] = 0
    horizon_days: Annotated[int, Field(ge=1, le=730)] = 365
    hold_minutes: Annotated[int, Field(ge=1, le=60 * 24)] = Field(
        15, description="So long an unanswered request keeps its time."
    )
    auto_confirm_minutes: Annotated[int | None, Field(ge=0, le=60 * 24)] = Field(
        None, description="null: by hand; 0: at once; n: the timetable does it after n minutes."
    )
    free_cancellation_hours: Annotated[int, Field(ge=0, le=24 * 90)] = 24
    late_fee_percent: Percent = 0
    no_show_fee_percent: Percent = 0
    notify_emails: Annotated[list[Email], Field(max_length=10)] = []


class PolicyOut(Out):
    """On what terms a provider takes bookings."""

    version: int
    time_zone: str
    buffer_before_minutes: int
    buffer_after_minutes: int
    minimum_notice_minutes: int
    horizon_days: int
    hold_minutes: int
    auto_confirm_minutes: int | None
    free_cancellation_hours: int
    late_fee_percent: int
    no_show_fee_percent: int
    notify_emails: list[str]


class SlotFiltersIn(QueryIn):
    """Which slots. At most 62 days."""

    starts_from: Instant | None = Field(None, alias="from", description="Left out: now.")
    starts_before: Instant | None = Field(None, alias="to", description="Left out: a week later.")
    service: Id | None = None
    resource: Id | None = None
    duration_minutes: Annotated[int, Field(ge=5, le=1440)] = Field(60, description="Without a service.")
    time_zone: Zone | None = Field(None, description="In which the slots are told; left out: the provider's.")


class SlotOut(Out):
    starts_at: datetime = Field(examples=["2030-05-16T09:00:00+01:00"])
    ends_at: datetime = Field(examples=["2030-05-16T09:30:00+01:00"])
    resources: list[int] = Field(
        description="The chairs that are free then; empty as long as nobody has looked at the provider's first one."
    )


class SlotsOut(Out):
    """Free slots in order, told in one time zone."""

    time_zone: str
    duration_minutes: int
    slots: list[SlotOut]


class CalendarLinkOut(Out):
    """The secret address of one's bookings as an iCalendar feed: who has it can read them."""

    url: str = Field(examples=["/api/v1/calendars/3f9c0a.ics"])
    renewed_at: datetime
