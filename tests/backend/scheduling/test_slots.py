"""Opening hours by the clock on the wall, against a model that looks at that clock every quarter of an hour."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.scheduling import slots
from backend.scheduling.slots import STEP, Hours, Period, Wish

DAY, HOUR, QUARTER = timedelta(days=1), timedelta(hours=1), timedelta(minutes=15)

CHANGES = {
    "Europe/Paris": [datetime(2030, 3, 31, 1, tzinfo=UTC), datetime(2030, 10, 27, 1, tzinfo=UTC)],
    "America/New_York": [datetime(2030, 3, 10, 7, tzinfo=UTC), datetime(2030, 11, 3, 6, tzinfo=UTC)],
    "America/Los_Angeles": [datetime(2030, 3, 10, 10, tzinfo=UTC), datetime(2030, 11, 3, 9, tzinfo=UTC)],
    "America/St_Johns": [datetime(2030, 3, 10, 5, 30, tzinfo=UTC), datetime(2030, 11, 3, 4, 30, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2030, 4, 6, 15, tzinfo=UTC), datetime(2030, 10, 5, 15, 30, tzinfo=UTC)],
    "Pacific/Chatham": [datetime(2030, 4, 6, 14, tzinfo=UTC), datetime(2030, 9, 28, 14, tzinfo=UTC)],
    "Africa/Cairo": [datetime(2030, 4, 25, 22, tzinfo=UTC), datetime(2030, 10, 31, 21, tzinfo=UTC)],
    "Atlantic/Azores": [datetime(2030, 3, 31, 1, tzinfo=UTC), datetime(2030, 10, 27, 1, tzinfo=UTC)],
    "Pacific/Apia": [datetime(2011, 12, 30, 10, tzinfo=UTC)],  # there was no 30 December
    "Pacific/Kiritimati": [datetime(1994, 12, 31, 10, tzinfo=UTC)],
}
"""Ten zones and the moments at which their offset changes."""

quarters = st.integers(0, 95).map(lambda index: time(index // 4, index % 4 * 15))


@st.composite
def weeks(draw: st.DrawFn) -> tuple[list[Hours], Period]:
    """Hours of a shop in a zone, and three days around a change of its clock."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = draw(st.sampled_from(CHANGES[zone]))
    hours = []
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted([draw(quarters), draw(quarters)])
        if start == end:
            end = time()
        if draw(st.booleans()):
            day = (change + draw(st.integers(-1, 1)) * DAY).astimezone(ZoneInfo(zone)).date()
            hours.append(Hours(start, end, zone, on=day))
        else:
            hours.append(Hours(start, end, zone, day_of_week=draw(st.integers(0, 6))))
    return hours, (change - 1.5 * DAY, change + 1.5 * DAY)


def is_open(hours: list[Hours], at: datetime) -> bool:
    """What somebody sees who looks at the clock on the wall."""
    for one in hours:
        wall = at.astimezone(ZoneInfo(one.time_zone))
        dated = any(other.on == wall.date() for other in hours)
        fits = one.on == wall.date() if dated else one.day_of_week == wall.weekday()
        if fits and one.start <= wall.time() and (one.end == time() or wall.time() < one.end):
            return True
    return False


def moments(period: Period, step: timedelta = QUARTER) -> list[datetime]:
    return [period[0] + index * step for index in range((period[1] - period[0]) // step)]


class TestOpenPeriods:
    @settings(max_examples=100, deadline=None)
    @given(weeks())
    def test_are_when_the_clock_on_the_wall_says_so(self, week: tuple[list[Hours], Period]) -> None:
        """D4 in ten zones. Seen red with an opening's ends turned to UTC by `fold=0` alone: an hour that comes twice is
        open once."""
        hours, period = week
        found = slots.open_periods(hours, period)
        assert found == slots.merged(found)
        seen = [at for at in moments(period) if is_open(hours, at)]
        assert seen == [at for at in moments(period) if any(start <= at < end for start, end in found)]

    def test_lose_the_hour_that_is_left_out(self) -> None:
        hours = [Hours(time(1), time(4), "Europe/Paris", day_of_week=6)]
        day = (datetime(2030, 3, 30, 12, tzinfo=UTC), datetime(2030, 3, 31, 12, tzinfo=UTC))
        midnight = datetime(2030, 3, 31, tzinfo=UTC)
        assert slots.open_periods(hours, day) == [(midnight, midnight + 2 * HOUR)]

    def test_have_the_hour_twice_that_comes_twice(self) -> None:
        hours = [Hours(time(2), time(2, 30), "Europe/Paris", day_of_week=6)]
        day = (datetime(2030, 10, 26, 12, tzinfo=UTC), datetime(2030, 10, 27, 12, tzinfo=UTC))
        first = datetime(2030, 10, 27, tzinfo=UTC)
        assert slots.open_periods(hours, day) == [
            (first, first + 30 * timedelta(minutes=1)),
            (first + HOUR, first + 1.5 * HOUR),
        ]

    def test_know_that_half_an_hour_can_be_missing(self) -> None:
        hours = [Hours(time(), time(), "Australia/Lord_Howe", on=date(2030, 10, 6))]
        around = (datetime(2030, 10, 4, tzinfo=UTC), datetime(2030, 10, 8, tzinfo=UTC))
        ((start, end),) = slots.open_periods(hours, around)
        assert end - start == 23.5 * HOUR

    def test_know_that_a_whole_day_can_be_missing(self) -> None:
        hours = [Hours(time(), time(), "Pacific/Apia", day_of_week=4)]  # Fridays
        december = (datetime(2011, 12, 25, tzinfo=UTC), datetime(2012, 1, 5, tzinfo=UTC))
        assert slots.open_periods(hours, december) == []

    def test_are_a_day_apart_at_the_two_ends_of_the_world(self) -> None:
        period = (datetime(2030, 5, 13, tzinfo=UTC), datetime(2030, 5, 20, tzinfo=UTC))
        kiritimati = slots.open_periods([Hours(time(), time(), "Pacific/Kiritimati", day_of_week=3)], period)
        samoa = slots.open_periods([Hours(time(), time(), "Pacific/Pago_Pago", day_of_week=3)], period)
        thursday = datetime(2030, 5, 16, tzinfo=UTC)
        assert kiritimati == [(thursday - 14 * HOUR, thursday + 10 * HOUR)]
        assert samoa == [(thursday + 11 * HOUR, thursday + 35 * HOUR)]


periods = st.lists(
    st.tuples(st.integers(0, 96), st.integers(1, 20)).map(
        lambda pair: (_at(pair[0]), _at(pair[0] + pair[1])),
    ),
    max_size=6,
)


def _at(quarter: int) -> datetime:
    return datetime(2030, 5, 16, tzinfo=UTC) + quarter * QUARTER


class TestPeriods:
    @settings(deadline=None)
    @given(periods, periods)
    def test_without_others_are_what_is_left(self, some: list[Period], others: list[Period]) -> None:
        left = slots.without(slots.merged(some), slots.merged(others))
        assert left == slots.merged(left)
        for at in moments((_at(0), _at(120))):
            inside = any(start <= at < end for start, end in some) and not any(
                start <= at < end for start, end in others
            )
            assert inside is any(start <= at < end for start, end in left)


class TestFreeSlots:
    @settings(max_examples=200, deadline=None)
    @given(periods, periods, st.integers(1, 8), st.integers(0, 3), st.integers(0, 3), st.integers(0, 40))
    def test_are_all_that_fit_and_nothing_else(
        self, free: list[Period], taken: list[Period], length: int, before: int, after: int, earliest: int
    ) -> None:
        """Seen red when what ended is passed by without the buffer before the next."""
        free, taken = slots.merged(free), slots.merged(taken)
        wish = Wish(length * QUARTER, before * QUARTER, after * QUARTER, _at(earliest), _at(110))

        def fits(at: datetime) -> bool:
            end = at + wish.duration
            return (
                wish.earliest <= at <= wish.latest
                and any(opens <= at and end <= closes for opens, closes in free)
                and not any(start < end + wish.after and at - wish.before < stop for start, stop in taken)
            )

        assert slots.free_slots(free, taken, wish) == [at for at in moments((_at(0), _at(120)), STEP) if fits(at)]

    def test_begin_at_quarters_from_the_opening_on(self) -> None:
        opening = datetime(2030, 5, 16, 9, 10, tzinfo=UTC)
        wish = Wish(HOUR, timedelta(), timedelta(), opening + timedelta(minutes=1), opening + DAY)
        found = slots.free_slots([(opening, opening + 2 * HOUR)], [], wish)
        assert [f"{at:%H:%M}" for at in found] == ["09:25", "09:40", "09:55", "10:10"]


class TestAnyTime:
    @pytest.mark.parametrize(("minute", "start"), [(0, 0), (1, 15), (15, 15), (59, 60)])
    def test_begins_with_a_quarter(self, minute: int, start: int) -> None:
        hour = datetime(2030, 5, 16, 9, tzinfo=UTC)
        period = (hour + timedelta(minutes=minute), hour + DAY)
        assert slots.any_time(period) == [(hour + timedelta(minutes=start), hour + DAY)]
