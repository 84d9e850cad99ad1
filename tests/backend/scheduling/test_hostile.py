"""Whatever is sent, scheduling says clearly what is wrong with it, and nothing changes."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.scheduling.models import Availability, Booking, Resource
from backend.scheduling.services import resources
from tests.backend.scheduling.conftest import HOUR, Shop
from tests.support.api import Api
from tests.support.world import everything


class TestReplaceAvailability:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"day_of_week": 7},
            {"day_of_week": True},
            {"day_of_week": "0"},
            {"day_of_week": None},
            {"date": "2030-05-16"},
            {"start_time": "17:00"},
            {"start_time": "23:60"},
            {"start_time": "9"},
            {"start_time": "09:00+01:00"},
            {"end_time": "08:59"},
            {"time_zone": "Mars/Olympus"},
            {"time_zone": "UTC\x00"},
            {"time_zone": "../../../etc/localtime"},
            {"time_zone": "/usr/share/zoneinfo/UTC"},
            {"time_zone": "a" * 10_000},
            {"resource": 0},
            {"resource": 2**63},
            {"resource": 10**15},
            {"is_recurring": False},
            {"provider": 1},
            {"day_of_week": None, "date": "0001-01-01"},
            {"day_of_week": None, "date": "9999-12-31"},
            {"day_of_week": None, "date": "2030-02-30"},
        ],
    )
    def test_refuses_what_is_no_time(self, shop: Shop, api: Api, wrong: dict[str, Any]) -> None:
        mine = api.as_(shop.provider)
        fitting = {"day_of_week": 0, "start_time": "09:00", "end_time": "17:00"}
        path = f"/availability/{mine.post('/availability/', fitting).body['id']}/"
        before = Availability.objects.values().get()
        answer = mine.put(path, {**fitting, **wrong})
        assert answer.status == 422, answer.body
        assert Availability.objects.values().get() == before


NO_TIMES: tuple[object, ...] = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00",
    "1969-12-31T23:59:59Z",
    "2201-01-01T00:00:00Z",
    "2030-05-16T10:00:00",
    "2030-05-16T10:00:00 Africa/Algiers",
    "2030-05-16T10:00:00Mars/Olympus",
    "2030-05-16T10:00:00+24:00",
    "2030-02-30T10:00:00Z",
    "2030-05-16T25:00:00Z",
    "2030-05-16",
    "tomorrow",
    "2030-05-16T10:00:00Z\x00",
    "",
    0,
    1.9e9,
    10**400,
    True,
    [],
    {},
)
"""In the year 1 and in 9999, without an offset, in unknown zones, on days that there are not, and no times at all."""


class TestEveryOperationThatTakesATime:
    def test_says_that_it_is_none(self, shop: Shop, api: Api) -> None:
        """Seen red with every year let in."""
        client = shop.client()
        booking = shop.book(client)
        mine, theirs = api.as_(client), api.as_(shop.provider)
        fitting = {"starts_at": "2030-06-16T10:00:00Z", "ends_at": "2030-06-16T11:00:00Z"}
        before = everything()
        for wrong in NO_TIMES:
            for name in ("starts_at", "ends_at"):
                body = {**fitting, name: wrong}
                for who, path, more in (
                    (mine, "/bookings/", {"provider": shop.provider.id}),
                    (mine, f"/bookings/{booking.pk}/reschedule/", {}),
                    (theirs, "/time-off/", {}),
                ):
                    answer = who.post(path, {**body, **more})
                    assert (answer.status, list(answer.fields)) == (422, [f"body.{name}"]), (path, answer.body)
            if isinstance(wrong, str):
                for name in ("from", "to"):
                    for path in ("/bookings/", f"/providers/{shop.provider.id}/slots/"):
                        assert theirs.get(path, **{name: wrong}).status == 422, (path, name)
        assert everything() == before

    def test_refuses_an_end_before_the_start_and_a_year_of_minutes(self, shop: Shop, api: Api) -> None:
        """Seen red with the order of the two let go for times off, and with no longest service."""
        client = shop.client()
        booking, minutes = shop.book(client), 365 * 24 * 60
        mine, theirs = api.as_(client), api.as_(shop.provider)
        before = everything()
        start = "2030-06-16T10:00:00Z"
        for end in ("2030-06-16T09:59:59Z", start, "2031-06-16T10:00:00Z", "2200-12-31T23:59:59Z"):
            for who, path, more in (
                (mine, "/bookings/", {"provider": shop.provider.id}),
                (mine, f"/bookings/{booking.pk}/reschedule/", {}),
                (theirs, "/time-off/", {}),
            ):
                if path == "/time-off/" and end.startswith("2031"):
                    continue  # a year off is nobody's mistake
                answer = who.post(path, {"starts_at": start, "ends_at": end, **more})
                assert (answer.status, list(answer.fields)) == (422, ["body.ends_at"]), (path, end, answer.body)
        priced = {"title": "Long", "price": {"amount": "1.00", "currency": "USD"}}
        refused = theirs.post("/services/", {**priced, "duration_minutes": minutes})
        assert (refused.status, list(refused.fields)) == (422, ["body.duration_minutes"])
        for path, query in (
            (f"/providers/{shop.provider.id}/slots/", {"duration_minutes": minutes}),
            (f"/providers/{shop.provider.id}/slots/", {"from": start, "to": "2030-06-16T09:00:00Z"}),
            (f"/providers/{shop.provider.id}/slots/", {"time_zone": "Mars/Olympus"}),
            (f"/providers/{shop.provider.id}/slots/", {"time_zone": "UTC\x00"}),
            ("/services/", {"free_from": start, "free_to": "2030-06-16T09:00:00Z"}),
        ):
            assert api.get(path, **query).status == 422, (path, query)
        for policy in ("minimum_notice_minutes", "horizon_days", "hold_minutes", "auto_confirm_minutes"):
            for wrong in (-1, 10**9, 10**400, "1", 1.5):
                assert theirs.put("/me/booking-policy/", {policy: wrong}).status == 422, (policy, wrong)
        assert everything() == before


class TestReviewBooking:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"rating": 0},
            {"rating": 6},
            {"rating": -1},
            {"rating": "5"},
            {"rating": 4.5},
            {"rating": True},
            {"rating": None},
            {"rating": 10**400},
            {"comment": "x" * 2001},
            {"comment": "a\x00b"},
            {"comment": None},
            {"author": 1},
            {"is_visible": True},
        ],
    )
    def test_refuses_what_is_no_opinion(self, shop: Shop, api: Api, wrong: dict[str, Any]) -> None:
        client = shop.client()
        booking = shop.confirm(shop.book(client))
        shop.at.now = booking.ends_at + 2 * HOUR
        shop.tick(booking)
        mine, path = api.as_(shop.awake(client)), f"/bookings/{booking.pk}/reviews/"
        before = everything()
        assert mine.post(path, {"rating": 5, **wrong}).status == 422
        assert everything() == before
        assert mine.post(path, {"rating": 5, "comment": "ممتاز 😀"}).status == 201


class TestDeletes:
    @pytest.mark.parametrize("path", ["/bookings/{}/", "/availability/{}/", "/time-off/{}/", "/me/resources/{}/"])
    def test_refuse_what_is_not_there(self, shop: Shop, api: Api, path: str) -> None:
        before = everything()
        for number, status in (
            ("0", 422),
            ("-1", 422),
            (str(2**63), 422),
            ("x", 422),
            ("1e3", 422),
            (str(10**12), 404),
        ):
            answer = api.as_(shop.provider).delete(path.format(number))
            assert answer.status in {status, 404}, (number, answer.body)
        assert everything() == before


class TestLists:
    LISTS = (
        "/bookings/",
        "/availability/",
        "/time-off/",
        "/me/resources/",
        "/providers/{provider}/resources/",
        "/providers/{provider}/slots/",
    )

    @pytest.mark.parametrize("path", LISTS)
    @pytest.mark.parametrize(
        "query",
        [
            {"client__password": "a"},
            {"order_by": "id"},
            {"ordering": "password"},
            {"page": 0},
            {"page": "x"},
            {"page_size": 101},
            {"page_size": -1},
            {"page": 10**12},
        ],
    )
    def test_know_their_filters_alone(self, shop: Shop, api: Api, path: str, query: dict[str, Any]) -> None:
        """Z7 and L2."""
        answer = api.as_(shop.provider).get(path.format(provider=shop.provider.id), **query)
        assert answer.status == 422, answer.body

    @pytest.mark.parametrize(
        "query",
        [
            {"from": "0001-01-01T00:00:00Z"},
            {"to": "9999-12-31T23:59:59Z"},
            {"from": "2030-05-16"},
            {"from": "2030-05-16T10:00:00"},
            {"from": "2030-13-01T00:00:00Z"},
            {"from": "now"},
        ],
    )
    @pytest.mark.parametrize("path", ["/bookings/", "/providers/{provider}/slots/"])
    def test_refuse_what_is_no_moment(self, shop: Shop, api: Api, path: str, query: dict[str, Any]) -> None:
        answer = api.as_(shop.provider).get(path.format(provider=shop.provider.id), **query)
        assert answer.status == 422, answer.body

    @pytest.mark.parametrize("minutes", [0, -30, 365 * 24 * 60, 10**12, "half an hour"])
    def test_refuse_slots_of_no_length_and_of_a_year(self, shop: Shop, api: Api, minutes: object) -> None:
        answer = api.get(f"/providers/{shop.provider.id}/slots/", duration_minutes=minutes)
        assert answer.status == 422, answer.body

    @pytest.mark.parametrize("many", [1, 4])
    def test_cost_the_same_however_much_there_is(
        self, shop: Shop, api: Api, django_assert_num_queries: DjangoAssertNumQueries, many: int
    ) -> None:
        mine = api.as_(shop.provider)
        for number in range(many):
            opening = {"day_of_week": number, "start_time": "09:00", "end_time": "17:00"}
            period = {"starts_at": f"2031-05-1{number}T10:00:00Z", "ends_at": f"2031-05-1{number}T12:00:00Z"}
            for path, body in (
                ("/availability/", opening),
                ("/time-off/", period),
                ("/me/resources/", {"name": f"Chair {number}"}),
            ):
                assert mine.post(path, body).status == 201
        for queries, path in ((3, "/availability/"), (3, "/time-off/"), (4, "/me/resources/")):
            with django_assert_num_queries(queries):
                assert mine.get(path).body["count"] >= many
        with django_assert_num_queries(4):
            assert api.get(f"/providers/{shop.provider.id}/resources/").body["count"] == many + 1


class TestChairs:
    def test_of_who_was_never_booked_are_there(self, shop: Shop, api: Api) -> None:
        """The one that every provider starts with can be seen, and named in a booking, before anybody used it."""
        assert not Resource.objects.exists()
        slots = api.get(f"/providers/{shop.provider.id}/slots/").body["slots"]
        assert slots[0]["resources"] == []
        path = f"/providers/{shop.provider.id}/resources/"
        (chair,) = api.get(path).body["results"]
        assert api.get(path).body["results"] == [chair]
        booked = api.as_(shop.client()).post(
            "/bookings/",
            {
                "provider": shop.provider.id,
                "resource": chair["id"],
                "starts_at": "2030-05-16T10:00:00Z",
                "ends_at": "2030-05-16T11:00:00Z",
            },
        )
        assert (booked.status, booked.body["resource"]["id"]) == (201, chair["id"])
        before = everything()
        assert api.get(f"/providers/{shop.client().id}/resources/").status == 404
        assert {**everything(), **{name: before[name] for name in before if "accounts" in name}} == before

    def test_that_were_all_switched_off_stay_so(self, shop: Shop, api: Api) -> None:
        (chair,) = resources.resources_of(provider_id=shop.provider.id, now=shop.now)
        Resource.objects.filter(pk=chair.pk).update(is_active=False)
        assert api.get(f"/providers/{shop.provider.id}/resources/").body["count"] == 0


class TestAfterALongSilence:
    def test_each_step_that_is_still_due_is_taken_once(self, shop: Shop) -> None:
        """T4: nobody ran timers for days; then all of them are run, twice."""
        shop.terms(auto_confirm_minutes=30)
        unanswered, client = shop.book(), shop.client()
        kept = shop.confirm(shop.book(client, shop.tomorrow + HOUR))
        ahead = shop.confirm(shop.book(client, shop.tomorrow + 240 * HOUR))
        shop.at.now = kept.ends_at + 5 * HOUR
        for _ in range(2):
            for booking in (unanswered, kept, ahead):
                shop.tick(booking)
            assert [Booking.objects.get(pk=one.pk).status for one in (unanswered, kept, ahead)] == [
                "expired",
                "completed",
                "confirmed",
            ]
        assert shop.told(client, "booking.reminder") == []
        shop.at.now = ahead.starts_at - HOUR / 2
        shop.tick(ahead)
        assert [one["lead"] for one in shop.told(client, "booking.reminder")] == ["day", "hour"]
