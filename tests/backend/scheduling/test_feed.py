"""The iCalendar feed, read by a strict reader and by a calendar that subscribes to it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from backend.accounts.models import User
from backend.scheduling import feed
from backend.scheduling.models import Booking
from backend.scheduling.services import progress
from tests.backend.scheduling.conftest import DAY, HOUR, Shop
from tests.support.api import Api
from tests.support.icalendar import Calendar, NoCalendar, read
from tests.support.people import Member

HOSTILE = (
    "plain",
    "; , \\ : \" ' = ^n",
    "\\n \\; \\\\",
    "BEGIN:VEVENT\r\nEND:VEVENT\nEND:VCALENDAR\r",
    "a\x01b\x1fc\x7f\td",
    "é" * 74,
    "x" * 73 + "😀" * 40,
    "👩‍👩‍👧‍👦" * 20,
    "\u202eright to left\u202c محمد \u2028\u2029\u0085\ufeff",
    " leading and trailing ",
    "\n\n\n",
)


@pytest.fixture
def client(shop: Shop) -> Member:
    return shop.client()


class TestReader:
    @pytest.mark.parametrize(
        ("broken", "by"),
        [
            (b"\r\n", b"\n"),
            (b"END:VCALENDAR\r\n", b""),
            (b"DTSTAMP:", b"X-STAMP:"),
            (b"UID:", b"UID:a,b"),
            (b"Z\r\n", b"\r\n"),
            (b"SEQUENCE:0", b"SEQUENCE:-1"),
            (b"STATUS:CONFIRMED", b"STATUS:OK"),
            (b"SUMMARY:", b"SUMMARY:" + b"x" * 70),
            (b"SUMMARY:", b"SUMMARY\x01:"),
            (b"END:VEVENT", b"END:VTODO"),
            (b"VERSION:2.0\r\n", b"VERSION:2.0\r\nVERSION:2.0\r\n"),
        ],
    )
    def test_refuses_what_bends_a_rule(self, broken: bytes, by: bytes) -> None:
        at = datetime(2030, 5, 16, 10, tzinfo=UTC)
        entry = feed.Entry(1, 1, "CONFIRMED", at, at + HOUR, at, at, "Cut", "", "", None)
        written = feed.write([entry], name="Mine")
        assert len(read(written).inside) == 1
        assert broken in written
        with pytest.raises(NoCalendar):
            read(written.replace(broken, by))


class TestFeed:
    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_is_valid_whatever_people_write(self, hostile: str) -> None:
        """Seen red with the backslash left out of what is escaped."""
        at = datetime(2030, 5, 16, 10, tzinfo=UTC)
        entry = feed.Entry(7, 3, "CANCELLED", at, at + HOUR, at, at, hostile, hostile, hostile, (-33.4, 179.999))
        calendar = read(feed.write([entry, *_more(at)], name=hostile))
        event = calendar.inside[0].properties
        shown = hostile.replace("\r\n", "\n").replace("\r", "\n")
        shown = "".join(one for one in shown if one == "\n" or not (ord(one) < 32 or ord(one) == 127))
        assert (event["SUMMARY"], event.get("DESCRIPTION"), event.get("LOCATION")) == (shown, shown, shown)
        assert (event["UID"], event["SEQUENCE"], event["DTSTART"]) == ("booking-7@callout", 2, at)
        assert calendar.properties["X-WR-CALNAME"] == shown

    def test_updates_what_a_calendar_has(self, shop: Shop, api: Api, client: Member) -> None:
        """One event a booking, whatever happens to it; each change is a new SEQUENCE."""
        mine, theirs = Calendar(), Calendar()
        paths = [_path(api, member) for member in (client, shop.provider)]

        def refresh() -> None:
            for calendar, path in zip((mine, theirs), paths, strict=True):
                calendar.refresh(Client().get(path).content)
                calendar.refresh(Client().get(path).content)

        User.objects.filter(pk=client.id).update(name=HOSTILE[3])
        booking = shop.book(client, notes="a")
        refresh()
        other = shop.book(client, shop.tomorrow + DAY)
        steps: tuple[Callable[[], object], ...] = (
            lambda: shop.confirm(booking),
            lambda: progress.edit_booking(
                actor=client.actor, booking_id=booking.pk, changes={"notes": "b"}, versions=None, now=shop.now
            ),
            lambda: shop.move(booking, client, shop.tomorrow + 2 * DAY),
            lambda: shop.confirm(booking),
            lambda: shop.move(booking, shop.provider, shop.tomorrow + 3 * DAY),
            lambda: progress.unconfirm_booking(actor=shop.provider.actor, booking_id=booking.pk, now=shop.now),
            lambda: shop.cancel(other, client),
        )
        for step in steps:
            shop.at.forward(minutes=1)
            step()
            refresh()
        for calendar in (mine, theirs):
            shown = {
                uid: (event.properties["STATUS"], event.properties["SEQUENCE"], event.properties["DTSTART"])
                for uid, event in calendar.events.items()
            }
            assert shown == {
                f"booking-{booking.pk}@callout": ("TENTATIVE", 6, shop.tomorrow + 3 * DAY),
                f"booking-{other.pk}@callout": ("CANCELLED", 1, shop.tomorrow + DAY),
            }

    def test_goes_on_when_the_timetable_moves_a_booking(self, shop: Shop, api: Api, client: Member) -> None:
        calendar, path = Calendar(), _path(api, client)
        late, done = shop.book(client), shop.confirm(shop.book(client, shop.tomorrow + 2 * HOUR))
        calendar.refresh(Client().get(path).content)
        shop.at.now = done.ends_at + 3 * HOUR
        for booking in (late, done):
            shop.tick(booking)
        calendar.refresh(Client().get(path).content)
        found = {uid: event.properties["STATUS"] for uid, event in calendar.events.items()}
        assert found == {f"booking-{late.pk}@callout": "CANCELLED", f"booking-{done.pk}@callout": "CONFIRMED"}
        shop.at.forward(days=91)
        assert read(Client().get(path).content).inside == []
        assert Booking.objects.count() == 2


def _path(api: Api, member: Member) -> str:
    url: str = api.as_(member).get("/me/calendar/").body["url"]
    return url[url.index("/api/") :]


def _more(at: datetime) -> list[feed.Entry]:
    return [
        feed.Entry(number, 1, "TENTATIVE", at, at + timedelta(minutes=1), at, at, "", "", "", None)
        for number in range(100, 103)
    ]
