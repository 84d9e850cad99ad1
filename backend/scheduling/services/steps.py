"""One step of a booking: its state, what follows from it for the timetable and the catalogue, and the news."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from backend.core.actor import Actor
from backend.core.hot import insert
from backend.core.jobs import enqueue
from backend.core.states import transition
from backend.scheduling import rules
from backend.scheduling.models import Booking, StaleOpenings
from backend.scheduling.services import news
from backend.scheduling.states import Status
from shared_contracts.events import BookingChange

COALESCED_FOR = timedelta(seconds=1)


def take(
    booking: Booking,
    *,
    to: Status,
    expect: Collection[str],
    by: Actor | None,
    what: BookingChange,
    now: datetime,
    reason: str = "",
    values: dict[str, Any],
) -> None:
    """Move the booking on and say so. Its row must be locked. Raises InvalidState with the present state."""
    held, planned = booking.holds_slot, booking.next_step_at
    for name, value in {**values, "status": to}.items():
        setattr(booking, name, value)
    booking.plan_next_step()
    previous = transition(
        booking,
        expect=expect,
        to=to,
        by=by,
        now=now,
        reason=reason,
        set={**values, "next_step_at": booking.next_step_at},
    )
    if booking.next_step_at != planned:
        wait_for_next_step(booking, now=now)
    if booking.holds_slot != held or what == "moved":
        openings_changed(booking.provider_id, now=now)
    news.tell(booking, what, previous=previous, reason=reason, now=now)


def when_confirmed(booking: Booking, *, now: datetime) -> dict[str, Any]:
    """The columns of a booking that is confirmed now at its present time."""
    return {
        "holds_slot": True,
        "held_until": None,
        "confirms_at": None,
        "confirmed_at": now,
        "committed_starts_at": rules.committed_when_confirmed(booking.committed_starts_at, booking.starts_at),
        "committed_price_minor": rules.price_at_stake(booking),
        "day_reminder_at": rules.reminder_at(booking.starts_at, rules.DAY, known_at=now),
        "hour_reminder_at": rules.reminder_at(booking.starts_at, rules.HOUR, known_at=now),
    }


OVER: dict[str, Any] = {
    "holds_slot": False,
    "held_until": None,
    "confirms_at": None,
    "day_reminder_at": None,
    "hour_reminder_at": None,
}
"""The columns of a booking that will not take place."""


def wait_for_next_step(booking: Booking, *, now: datetime) -> None:
    """Let the timetable come back at the booking's next step."""
    if booking.next_step_at is not None:
        enqueue("scheduling.take_next_step", now=now, run_at=booking.next_step_at, booking_id=booking.pk)


def openings_changed(provider_id: int, *, now: datetime) -> None:
    """Let the catalogue be told, once for all that changes within a second."""
    insert([StaleOpenings(provider_id=provider_id)])
    enqueue("scheduling.push_openings", now=now, run_at=now + COALESCED_FOR, provider_id=provider_id)
