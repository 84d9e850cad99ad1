"""Free slots."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from backend.catalog import public as catalog
from backend.core.errors import invalid_field
from backend.scheduling import slots
from backend.scheduling.selectors import calendars
from backend.scheduling.slots import Wish

LONGEST_PERIOD = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which slots: from when to when, of what. No time zone: the provider's."""

    starts_from: datetime
    starts_before: datetime
    duration: timedelta
    service_id: int | None = None
    resource_id: int | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Free slots in order, their start and end in the zone, each with the chairs that are free then.

    No chairs: the one that every provider starts with is not made yet.
    """

    time_zone: str
    duration: timedelta
    slots: list[tuple[datetime, datetime, list[int]]]


def free_slots_of(provider_id: int, asked: Asked, *, now: datetime) -> Found:
    """Seven queries whatever there is. Raises NotFound for who is no provider, and 422."""
    if not timedelta() < asked.starts_before - asked.starts_from <= LONGEST_PERIOD:
        raise invalid_field("query.to", "62 days at most, and the end comes after the start")
    calendars.must_be_provider(provider_id)
    duration = _duration(provider_id, asked)
    terms = calendars.terms_of(provider_id)
    wish = Wish(
        duration=duration,
        before=terms.before,
        after=terms.after,
        earliest=max(asked.starts_from, now + timedelta(minutes=terms.minimum_notice_minutes)),
        latest=min(asked.starts_before - timedelta(microseconds=1), now + timedelta(days=terms.horizon_days)),
    )
    zone = ZoneInfo(asked.time_zone or terms.time_zone)
    period = (asked.starts_from - timedelta(days=1), asked.starts_before + timedelta(days=1))
    calendar, held = calendars.calendars_of(provider_id, period), calendars.held_of(provider_id, period)
    by_start: dict[datetime, list[int]] = defaultdict(list)
    for chair in calendars.bookable_chairs_of(provider_id, resource_id=asked.resource_id, service_id=asked.service_id):
        taken = slots.merged(held.get(chair, ()))
        for start in slots.free_slots(calendar.free_at(chair), taken, wish):
            by_start[start].append(chair)
    found = [
        # The end is reckoned in UTC: the clock on the wall may jump in between.
        (start.astimezone(zone), (start + duration).astimezone(zone), [chair for chair in by_start[start] if chair])
        for start in sorted(by_start)
    ]
    return Found(zone.key, duration, found)


def _duration(provider_id: int, asked: Asked) -> timedelta:
    if asked.service_id is None:
        return asked.duration
    service = catalog.bookable_service(asked.service_id)
    if service is None or service.is_archived or service.provider_id != provider_id:
        raise invalid_field("query.service", "the provider has no such service")
    return timedelta(minutes=service.duration_minutes)
