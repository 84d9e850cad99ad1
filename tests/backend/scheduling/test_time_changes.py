"""Bookings around the two nights on which the clock on the wall jumps, with our own clock moved over them."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backend.scheduling.services import hours
from backend.scheduling.services.hours import WantedHours
from tests.backend.scheduling.conftest import DAY, HOUR, Shop
from tests.conftest import Moment
from tests.support.api import Api

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "America/Santiago",
    "Africa/Cairo",
)


def changes(zone: ZoneInfo) -> list[datetime]:
    """The moments of 2030 from which on the zone has another offset, to the quarter of an hour."""
    at, found = datetime(2030, 1, 1, tzinfo=UTC), []
    offset = at.astimezone(zone).utcoffset()
    while at.year == 2030:
        at += timedelta(minutes=15)
        if at.astimezone(zone).utcoffset() != offset:
            offset = at.astimezone(zone).utcoffset()
            found.append(at)
    return found


class TestBookingOverAChange:
    @pytest.mark.parametrize("name", ZONES)
    def test_is_at_its_hour_and_reminded_of_to_the_minute(self, db: None, at: Moment, api: Api, name: str) -> None:
        """Both changes of the year. Seen red with the offset of the period's beginning kept to its end."""
        zone = ZoneInfo(name)
        moments = changes(zone)
        assert len(moments) == 2
        for change in moments:
            at.now = (change - 2 * DAY).replace(minute=30)
            shop = Shop(at)
            shop.terms(time_zone=name, horizon_days=30)
            for day in range(7):
                wanted = WantedHours(time(0), time(8), day_of_week=day, time_zone=name)
                hours.add_hours(actor=shop.provider.actor, hours=wanted, now=at.now)
            period: dict[str, Any] = {
                "from": (change + HOUR / 2).isoformat(),
                "to": (change + 3 * DAY).isoformat(),
                "duration_minutes": 60,
            }
            path = f"/providers/{shop.provider.id}/slots/"
            before = api.get(path, **period).body["slots"]
            starts = [datetime.fromisoformat(slot["starts_at"]) for slot in before]
            last = next(one for one in starts if one.hour == 7 and one > change + 25 * HOUR)
            assert (last.minute, last.utcoffset()) == (0, last.astimezone(zone).utcoffset())
            client = shop.client()
            booking = shop.confirm(shop.book(client, last))
            at.now = change - timedelta(minutes=1)
            shop.tick(booking)
            at.now = change + timedelta(minutes=1)
            shop.tick(booking)
            after = api.get(path, **period).body["slots"]
            taken = {slot["starts_at"] for slot in before} - {slot["starts_at"] for slot in after}
            quarters = [last - step * timedelta(minutes=15) for step in range(4)]
            assert taken == {one.isoformat().replace("+00:00", "Z") for one in quarters}
            at.now = last - DAY - timedelta(seconds=1)
            shop.tick(booking)
            assert shop.told(client, "booking.reminder") == []
            at.now = last - DAY
            shop.tick(booking)
            at.now = last - HOUR
            shop.tick(booking)
            assert [one["lead"] for one in shop.told(client, "booking.reminder")] == ["day", "hour"]
            at.now = last + 3 * HOUR
            assert shop.tick(booking).status == "completed"

    def test_lasts_as_long_as_it_should_over_the_night(self, db: None, at: Moment) -> None:
        """Four hours are four hours, on the short night and on the long one."""
        for start in (datetime(2030, 3, 30, 23, tzinfo=UTC), datetime(2030, 10, 26, 23, tzinfo=UTC)):
            at.now = start - DAY
            shop = Shop(at)
            shop.terms(time_zone="Europe/Berlin")
            booking = shop.book(starts_at=start, ends_at=start + 4 * HOUR)
            assert booking.ends_at - booking.starts_at == 4 * HOUR
            wall = ZoneInfo("Europe/Berlin")
            assert booking.ends_at.astimezone(wall).hour in {5, 4}
