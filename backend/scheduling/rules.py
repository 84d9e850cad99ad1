"""Pure rules of bookings: the provider's terms, fees, reminders, and what the timetable does next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from backend.scheduling.states import Side, Status

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SETTLED_AFTER = timedelta(hours=2)
"""So long after its end a booking may still become a no-show; then the timetable completes it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a provider takes bookings. The defaults are those of who never said anything."""

    time_zone: str = "UTC"
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    minimum_notice_minutes: int = 0
    horizon_days: int = 365
    hold_minutes: int = 15
    """An unanswered request keeps its time for so long, or until the timetable confirms it."""
    auto_confirm_minutes: int | None = None
    """None: by hand; 0: at once; else the timetable does it after so many minutes."""
    free_cancellation_hours: int = 24
    late_fee_percent: int = 0
    no_show_fee_percent: int = 0
    notify_emails: Sequence[str] = ()

    @property
    def before(self) -> timedelta:
        return timedelta(minutes=self.buffer_before_minutes)

    @property
    def after(self) -> timedelta:
        return timedelta(minutes=self.buffer_after_minutes)

    def held_until(self, now: datetime) -> datetime:
        """How long a request that comes now keeps its time."""
        return now + timedelta(minutes=max(self.hold_minutes, self.auto_confirm_minutes or 0))

    def confirms_at(self, now: datetime) -> datetime | None:
        """When the timetable confirms a time that a client proposes now."""
        minutes = self.auto_confirm_minutes
        return None if minutes is None else now + timedelta(minutes=minutes)


def percentage(minor: int | None, percent: int) -> int:
    """That part of a price in minor units, halves up; nothing of no price."""
    return ((minor or 0) * percent + 50) // 100


def free_until(committed_starts_at: datetime | None, free_hours: int) -> datetime | None:
    """Until when (inclusive) the client may cancel for nothing; None: at any time, they are held to nothing."""
    return None if committed_starts_at is None else committed_starts_at - timedelta(hours=free_hours)


def is_late(committed_starts_at: datetime | None, free_hours: int, now: datetime) -> bool:
    """Whether the client's cancelling costs the late fee now."""
    until = free_until(committed_starts_at, free_hours)
    return until is not None and now > until


def committed_after_move(
    committed_starts_at: datetime | None, free_hours: int, *, by: Side, now: datetime
) -> datetime | None:
    """The start that fees are judged against once somebody has moved the booking.

    A client who moves it in time is held to nothing until the new time is confirmed; one who moves it when cancelling
    would cost the fee stays held to the start that they fled from, so moving first and cancelling then saves nothing.
    A provider who moves it sets the client free. Example: confirmed for Friday 10:00, free until 24 hours before. On
    Thursday at 15:00 the client moves it to the Friday after and cancels on Monday: judged against the first Friday
    10:00 that is late. Had they moved it on Thursday at 9:00, cancelling on Monday would have cost nothing.
    """
    if by is Side.CLIENT and is_late(committed_starts_at, free_hours, now):
        return committed_starts_at
    return None


def committed_when_confirmed(committed_starts_at: datetime | None, starts_at: datetime) -> datetime:
    """The start that fees are judged against from a confirmation on: the earliest the client is held to."""
    return starts_at if committed_starts_at is None else min(committed_starts_at, starts_at)


def highest(*prices: int | None) -> int | None:
    """The highest of those prices that there are; None where there is none."""
    return max((price for price in prices if price is not None), default=None)


class Priced(Protocol):
    """What of a booking decides on what calling it off costs."""

    status: str
    starts_at: datetime
    price_minor: int | None
    committed_starts_at: datetime | None
    committed_price_minor: int | None
    free_cancellation_hours: int
    late_fee_percent: int
    no_show_fee_percent: int


def may_cancel(booking: Priced, *, is_client: bool, now: datetime) -> bool:
    """A client cannot call off what has begun: whether they came is the provider's to say."""
    return not (is_client and booking.status == Status.CONFIRMED and booking.starts_at <= now)


def cancellation_fee(booking: Priced, *, by_client: bool, now: datetime) -> int | None:
    """What the client owes if it is called off now, in minor units; None where there is no price."""
    price = price_at_stake(booking)
    if price is None:
        return None
    late = by_client and is_late(booking.committed_starts_at, booking.free_cancellation_hours, now)
    return percentage(price, booking.late_fee_percent if late else 0)


def expiry_fee(booking: Priced, *, now: datetime) -> int | None:
    """What the client owes when nobody confirmed the time that they moved to: what cancelling now would cost.

    Who was held to a start and moved away from it late stays held to it; everybody else owes nothing (None).
    """
    if not is_late(booking.committed_starts_at, booking.free_cancellation_hours, now):
        return None
    return cancellation_fee(booking, by_client=True, now=now)


def no_show_fee(booking: Priced) -> int | None:
    """What the client owes who does not come, in minor units; None where there is no price."""
    price = price_at_stake(booking)
    return None if price is None else percentage(price, booking.no_show_fee_percent)


def price_at_stake(booking: Priced) -> int | None:
    """What fees are reckoned from: another service that is cheaper saves nothing of them while the client is held to
    the start that they fled from."""
    return highest(booking.committed_price_minor, booking.price_minor)


def reminder_at(starts_at: datetime, lead: timedelta, *, known_at: datetime) -> datetime | None:
    """When to remind of a start, unless the booking was confirmed later than that."""
    at = starts_at - lead
    return at if at > known_at else None


class Planned(Protocol):
    """What of a booking decides on the timetable's next step."""

    status: str
    starts_at: datetime
    ends_at: datetime
    holds_slot: bool
    held_until: datetime | None
    confirms_at: datetime | None
    day_reminder_at: datetime | None
    hour_reminder_at: datetime | None


def next_step_at(booking: Planned) -> datetime | None:
    """When the timetable has something to do with a booking next; None: never again."""
    if booking.status == Status.REQUESTED:
        held_until = booking.held_until if booking.holds_slot else None
        steps = [held_until, booking.confirms_at, booking.starts_at]
    elif booking.status == Status.CONFIRMED:
        steps = [booking.day_reminder_at, booking.hour_reminder_at, booking.ends_at + SETTLED_AFTER]
    else:
        return None
    return min(step for step in steps if step is not None)
