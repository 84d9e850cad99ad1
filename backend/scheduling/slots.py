"""Pure reckoning with time: opening hours by the clock on the wall, and what is free of them.

A provider is open exactly when the clock on their wall says so: an opening from 1:00 to 3:00 is an hour shorter on the
night the clock jumps from 2:00 to 3:00, and what lies in an hour that comes twice is open twice. No day has to have 24
hours, and none has to exist: Samoa had no 30 December 2011.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

Period = tuple[datetime, datetime]
"""Half-open, in UTC."""

STEP = timedelta(minutes=15)
"""Slots begin at every quarter of an hour from the opening on."""
_DAY = timedelta(days=1)
_PROBE = timedelta(hours=6)
"""No zone changes its offset twice within so long (tz database)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hours:
    """An opening: weekly on a day (0 is Monday), or on one date. An `end` of 0:00 is the day's."""

    start: time
    end: time
    time_zone: str
    day_of_week: int | None = None
    on: date | None = None


def merged(periods: Iterable[Period]) -> list[Period]:
    """The same moments, in order, with nothing that overlaps or touches."""
    found: list[Period] = []
    for start, end in sorted(periods):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            if end > found[-1][1]:
                found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def without(periods: Sequence[Period], taken: Sequence[Period]) -> list[Period]:
    """What is left of merged periods without other merged ones."""
    left: list[Period] = []
    index = 0
    for start, end in periods:
        while index < len(taken) and taken[index][1] <= start:
            index += 1
        at, cursor = start, index
        while cursor < len(taken) and taken[cursor][0] < end:
            if at < taken[cursor][0]:
                left.append((at, taken[cursor][0]))
            at = max(at, taken[cursor][1])
            cursor += 1
        if at < end:
            left.append((at, end))
    return left


def covers(periods: Sequence[Period], start: datetime, end: datetime) -> bool:
    """Whether one of the merged periods holds all of this one."""
    return any(opens <= start and end <= closes for opens, closes in periods)


def open_periods(hours: Sequence[Hours], period: Period) -> list[Period]:
    """When the clock on the wall is within the hours, merged. A date with hours of its own has no weekly ones."""
    found: list[Period] = []
    for name in {one.time_zone for one in hours}:
        week: dict[int, list[Hours]] = {}
        dates: dict[date, list[Hours]] = {}
        for one in hours:
            if one.time_zone == name:
                if one.on is not None:
                    dates.setdefault(one.on, []).append(one)
                elif one.day_of_week is not None:
                    week.setdefault(one.day_of_week, []).append(one)
        replaced = {one.on for one in hours if one.on is not None}
        for start, end, offset in offsets(name, period):
            found.extend(_open_at(week, dates, replaced, start, end, offset))
    return merged(found)


def _open_at(
    week: dict[int, list[Hours]],
    dates: dict[date, list[Hours]],
    replaced: set[date],
    start: datetime,
    end: datetime,
    offset: timedelta,
) -> Iterator[Period]:
    """The openings of a time in which the clock on the wall is always so far from UTC's."""
    wall_end = (end + offset).replace(tzinfo=None)
    midnight = datetime.combine((start + offset).date(), time())
    while midnight < wall_end:
        day = midnight.date()
        for one in dates.get(day, ()) if day in replaced else week.get(day.weekday(), ()):
            closing = _DAY if one.end == time() else _since_midnight(one.end)
            opens = (midnight + _since_midnight(one.start)).replace(tzinfo=UTC) - offset
            closes = (midnight + closing).replace(tzinfo=UTC) - offset
            if opens < end and closes > start:
                yield max(opens, start), min(closes, end)
        midnight += _DAY


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond)


def offsets(time_zone: str, period: Period) -> list[tuple[datetime, datetime, timedelta]]:
    """The parts of a period in each of which the zone keeps one offset from UTC."""
    start, end = period
    parts = []
    for change, offset in _changes(time_zone, start.year, end.year):
        if change >= end:
            break
        parts.append((max(change, start), offset))
    # Of the changes before the start only the last one counts.
    while len(parts) > 1 and parts[1][0] <= start:
        parts.pop(0)
    ends = [at for at, _ in parts[1:]] + [end]
    return [(at, until, offset) for (at, offset), until in zip(parts, ends, strict=True) if at < until]


@lru_cache(maxsize=512)
def _changes(time_zone: str, first_year: int, last_year: int) -> list[tuple[datetime, timedelta]]:
    """From when on which offset holds, over whole years and a day at both ends."""
    zone = ZoneInfo(time_zone)

    def offset_at(at: datetime) -> timedelta:
        found = at.astimezone(zone).utcoffset()
        if found is None:
            raise ValueError(f"{time_zone} has no offset")
        return found

    at = datetime(first_year, 1, 1, tzinfo=UTC) - _DAY
    last = datetime(last_year + 1, 1, 1, tzinfo=UTC) + _DAY
    found = [(at, offset_at(at))]
    while at < last:
        after = at + _PROBE
        if offset_at(after) != found[-1][1]:
            low, high = at, after
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                if offset_at(middle) == found[-1][1]:
                    low = middle
                else:
                    high = middle
            found.append((high, offset_at(high)))
        at = after
    return found


@dataclass(frozen=True, slots=True)
class Wish:
    """What a slot must have: its length, the distance from others, and the bounds of its start."""

    duration: timedelta
    before: timedelta
    after: timedelta
    earliest: datetime
    latest: datetime


def free_slots(free: Sequence[Period], blocked: Sequence[Period], wish: Wish) -> list[datetime]:
    """The starts of the slots that lie within one free period each and whose buffers touch nobody's blocked time.

    `free`: merged; a slot begins at whole quarters of an hour from the beginning of its period on. `blocked`: merged,
    the buffers of those bookings included.
    """
    starts: list[datetime] = []
    ends_of_blocked = [end for _, end in blocked]
    for opens, closes in free:
        at = opens
        if at < wish.earliest:
            at = opens + -((opens - wish.earliest) // STEP) * STEP
        latest = min(closes - wish.duration, wish.latest)
        index = bisect_right(ends_of_blocked, at - wish.before)
        while at <= latest:
            while index < len(blocked) and blocked[index][1] <= at - wish.before:
                index += 1
            if index < len(blocked) and blocked[index][0] < at + wish.duration + wish.after:
                past = blocked[index][1] + wish.before
                at += max(1, -((at - past) // STEP)) * STEP
                continue
            starts.append(at)
            at += STEP
    return starts


def any_time(period: Period) -> list[Period]:
    """The openings of who never said when: always, from the first quarter of an hour on."""
    start, end = period
    start = _EPOCH + -((_EPOCH - start) // STEP) * STEP
    return [(start, end)] if start < end else []
