"""What other modules may have of scheduling: ids and plain values in, frozen dataclasses out."""

from datetime import datetime, time, timedelta

from backend.core.actor import Actor, Role
from backend.scheduling.rules import Terms
from backend.scheduling.selectors.calendars import notify_emails_of
from backend.scheduling.services import booking, hours, progress, resources
from backend.scheduling.services.booking import Wanted
from backend.scheduling.services.hours import WantedHours
from backend.scheduling.services.resources import Chair

__all__ = ["notify_emails_of", "open_demo_shop"]

_CHAIRS = ("Window chair", "Middle chair", "Back chair")
_DAYS = (0, 1, 2, 3, 5, 6)
_MINUTES = 45


def open_demo_shop(*, provider_id: int, client_id: int, time_zone: str, now: datetime) -> None:
    """A barbershop of three chairs, open from Saturday to Thursday, with a booking at each of them the day after
    tomorrow; two of the three are confirmed.
    """
    owner = Actor(id=provider_id, roles=frozenset({Role.CONTRACTOR}), session_id=0)
    client = Actor(id=client_id, roles=frozenset({Role.CLIENT}), session_id=0)
    terms = Terms(time_zone=time_zone, buffer_after_minutes=15, late_fee_percent=50, no_show_fee_percent=100)
    hours.set_terms(actor=owner, terms=terms, now=now)
    first, *_ = resources.resources_of(provider_id=provider_id, now=now)
    resources.update_resource(actor=owner, resource_id=first.pk, changes={"name": _CHAIRS[0]}, now=now)
    for name in _CHAIRS[1:]:
        resources.add_resource(actor=owner, chair=Chair(name), now=now)
    start = (now + timedelta(days=2)).replace(hour=10, minute=0, second=0, microsecond=0)
    for index in range(len(_CHAIRS)):
        wish = Wanted(
            starts_at=start, ends_at=start + timedelta(minutes=_MINUTES), provider_id=provider_id, notes="Short, please"
        )
        booked = booking.book(actor=client, wanted=wish, now=now)
        if index:
            progress.confirm_booking(actor=owner, booking_id=booked.pk, now=now)
    # The hours come last: the day after tomorrow may be a Friday.
    for day in _DAYS:
        opening = WantedHours(time(9), time(19), day_of_week=day)
        hours.add_hours(actor=owner, hours=opening, now=now)
