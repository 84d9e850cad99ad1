"""What the timetable does with a booking when its moment has come."""

from datetime import datetime

from backend.scheduling import rules
from backend.scheduling.errors import SlotTaken
from backend.scheduling.models import Booking
from backend.scheduling.selectors import bookings
from backend.scheduling.services import news, steps
from backend.scheduling.services.booking import confirm_by_policy
from backend.scheduling.services.claims import claiming
from backend.scheduling.services.progress import complete, retake
from backend.scheduling.states import Status


def take_next_step(*, booking_id: int, now: datetime) -> None:
    """Do all that has come due: let go of a time, confirm, expire, remind, complete. Doing it twice is doing it once.

    After an outage each step is done once, in order; nobody is reminded of what has begun.
    """
    claiming(lambda: _take_steps(booking_id, now))


def _take_steps(booking_id: int, now: datetime) -> None:
    booking = bookings.lock_booking_and_calendars(booking_id)
    while booking is not None and booking.next_step_at is not None and booking.next_step_at <= now:
        if booking.status == Status.REQUESTED:
            _answer(booking, now)
        elif booking.status == Status.CONFIRMED:
            _accompany(booking, now)
        else:
            _save(booking, now)


def _answer(booking: Booking, now: datetime) -> None:
    """The next step of a request that nobody answered."""
    if booking.starts_at <= now:
        steps.take(
            booking,
            to=Status.EXPIRED,
            expect={Status.REQUESTED},
            by=None,
            what="expired",
            now=now,
            values={**steps.OVER, "fee_minor": rules.expiry_fee(booking, now=now)},
        )
    elif booking.confirms_at is not None and booking.confirms_at <= now:
        _confirm(booking, now)
    else:
        # Its time may be booked by others; it still stands, and confirming it takes the time again.
        booking.holds_slot = False
        steps.openings_changed(booking.provider_id, now=now)
        _save(booking, now)


def _confirm(booking: Booking, now: datetime) -> None:
    try:
        retake(booking)
        claiming(lambda: confirm_by_policy(booking, now=now))
    except SlotTaken:
        booking.refresh_from_db()
        booking.confirms_at = None
        _save(booking, now)


def _accompany(booking: Booking, now: datetime) -> None:
    """The next step of a confirmed booking."""
    if booking.ends_at + rules.SETTLED_AFTER <= now:
        complete(booking, by=None, now=now)
        return
    begun = booking.starts_at <= now
    if booking.day_reminder_at is not None and booking.day_reminder_at <= now:
        booking.day_reminder_at = None
        if not begun:
            news.remind(booking, "day", now=now)
    if booking.hour_reminder_at is not None and booking.hour_reminder_at <= now:
        booking.hour_reminder_at = None
        if not begun:
            news.remind(booking, "hour", now=now)
    _save(booking, now)


def _save(booking: Booking, now: datetime) -> None:
    """Keep what changes no state and is shown to nobody, and wait for the step after it."""
    booking.plan_next_step()
    booking.save(update_fields=["holds_slot", "confirms_at", "day_reminder_at", "hour_reminder_at", "next_step_at"])
    if booking.next_step_at is not None and booking.next_step_at > now:
        steps.wait_for_next_step(booking, now=now)
