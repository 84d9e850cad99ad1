"""Values that travel between the catalogue and other modules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from backend.core.fields import Period


@dataclass(frozen=True, slots=True)
class ReviewView:
    """A review as it was stored. `rating` is 1 to 5; verified ones carry the `reference` of the finished job."""

    id: int
    reviewed_id: int
    author_id: int
    reference: str | None
    rating: int
    comment: str
    is_verified: bool
    is_visible: bool
    """Not yet, where the other side may write too and has not."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OpenCalendar:
    """When one of a provider's calendars can be booked: half-open periods in UTC, a booking anywhere within one.

    `service_ids`: what can be booked there; none named: everything. `notice_minutes`: so long before its start.
    """

    periods: Sequence[Period]
    service_ids: Sequence[int] = ()
    notice_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a provider stands: the average of 1 to 5 with two decimals (None without reviews), and two counts."""

    average_rating: Decimal | None = None
    total_reviews: int = 0
    finished_jobs: int = 0


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A service as those see it who book it; `price_minor` in minor units of `currency`."""

    id: int
    provider_id: int
    title: str
    price_minor: int
    currency: str
    duration_minutes: int
    category_id: int | None
    is_archived: bool
