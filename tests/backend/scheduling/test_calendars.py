"""Hours, times off, chairs, terms, free slots, and what the catalogue hears of them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.test import Client

from backend.accounts.models import Session
from backend.catalog.models import CalendarOpenings
from backend.scheduling.errors import NotAvailable, SlotTaken
from backend.scheduling.models import Availability, Booking, Resource, StaleOpenings
from backend.scheduling.selectors import feeds
from backend.scheduling.services import hours, openings
from backend.scheduling.services.hours import WantedHours
from backend.scheduling.slots import Period
from tests.backend.scheduling.conftest import DAY, HOUR, Shop, service_of
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

NINE, FIVE = time(9), time(17)


def open_on(shop: Shop, day: int, start: time = NINE, end: time = FIVE, **more: Any) -> Availability:
    wanted = WantedHours(start, end, day_of_week=day, **{"time_zone": "Africa/Algiers", **more})
    return hours.add_hours(actor=shop.provider.actor, hours=wanted, now=shop.now)


def starts(shop: Shop, api: Api, **query: Any) -> list[str]:
    answer = api.get(f"/providers/{shop.provider.id}/slots/", **query)
    assert answer.status == 200, answer.body
    return [slot["starts_at"] for slot in answer.body["slots"]]


class TestAvailability:
    def test_lets_book_within_the_hours_alone(self, shop: Shop) -> None:
        open_on(shop, 3)  # Thursdays, 8:00 to 16:00 in UTC
        thursday = datetime(2030, 5, 16, tzinfo=UTC)
        for start in (thursday + 7.5 * HOUR, thursday + 15.5 * HOUR, thursday + DAY + 10 * HOUR):
            with pytest.raises(NotAvailable) as refused:
                shop.book(starts_at=start)
            assert refused.value.data == {"reason": "closed"}
        assert not Booking.objects.exists()
        shop.book(starts_at=thursday + 8 * HOUR)
        shop.book(starts_at=thursday + 15 * HOUR)

    def test_of_a_date_replaces_that_of_the_week(self, shop: Shop) -> None:
        open_on(shop, 3)
        dated = WantedHours(time(18), time(), on=date(2030, 5, 16), time_zone="Africa/Algiers")
        hours.add_hours(actor=shop.provider.actor, hours=dated, now=shop.now)
        with pytest.raises(NotAvailable):
            shop.book(starts_at=shop.tomorrow)
        shop.book(starts_at=datetime(2030, 5, 16, 22, tzinfo=UTC))  # until midnight in Algiers
        shop.book(starts_at=shop.tomorrow + 7 * DAY)

    def test_of_a_chair_replaces_that_of_the_shop(self, shop: Shop) -> None:
        early, late = shop.chair("Early"), shop.chair("Late")
        open_on(shop, 3)
        open_on(shop, 3, time(17), time(21), resource_id=late.pk)
        assert shop.book(starts_at=shop.tomorrow).resource_id == early.pk
        with pytest.raises(SlotTaken):
            shop.book(starts_at=shop.tomorrow)
        assert shop.book(starts_at=datetime(2030, 5, 16, 17, tzinfo=UTC)).resource_id == late.pk

    def test_does_not_bind_the_provider_who_moves_a_booking(self, shop: Shop) -> None:
        open_on(shop, 3)
        booking = shop.book(starts_at=shop.tomorrow)
        with pytest.raises(NotAvailable):
            shop.move(booking, Member(booking.client, *_session(booking)), shop.tomorrow + 12 * HOUR)
        assert shop.move(booking, shop.provider, shop.tomorrow + 12 * HOUR).starts_at == shop.tomorrow + 12 * HOUR

    def test_is_kept_as_it_was_sent(self, shop: Shop, api: Api) -> None:
        mine, stranger = api.as_(shop.provider), api.as_(shop.client())
        sent = {"day_of_week": 0, "start_time": "09:30", "end_time": "00:00", "time_zone": "Pacific/Kiritimati"}
        added = mine.post("/availability/", sent)
        shown = {
            **sent,
            "id": added.body["id"],
            "version": 1,
            "provider_id": shop.provider.id,
            "resource_id": None,
            "date": None,
            "is_recurring": True,
        }
        assert (added.status, added.body) == (201, shown)
        path = f"/availability/{shown['id']}/"
        assert stranger.get("/availability/", provider=shop.provider.id).body["results"] == [shown]
        assert stranger.get("/availability/").body["count"] == 0
        assert stranger.get(path).headers["ETag"] == '"1"'
        other = {"date": "2030-05-16", "start_time": "10:00", "end_time": "11:00", "is_recurring": False}
        assert stranger.put(path, other).status == 403
        replaced = mine.with_headers(If_Match='"1"').put(path, other)
        assert (replaced.status, replaced.body["date"], replaced.body["day_of_week"]) == (200, "2030-05-16", None)
        assert (replaced.body["version"], replaced.body["time_zone"]) == (2, "UTC")
        assert mine.with_headers(If_Match='"1"').put(path, other).status == 412
        assert (stranger.delete(path).status, mine.delete(path).status, mine.get(path).status) == (403, 204, 404)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"day_of_week": 7},
            {"day_of_week": -1},
            {"day_of_week": None},
            {"date": "2030-05-16"},
            {"is_recurring": False},
            {"start_time": "17:00"},
            {"start_time": "18:00"},
            {"start_time": "09:00:01"},
            {"start_time": "09:00Z"},
            {"start_time": "24:00"},
            {"time_zone": "Mars/Olympus"},
            {"time_zone": "../../etc/passwd"},
            {"time_zone": ""},
            {"resource": 10**15},
            {"day_of_week": None, "date": "0001-01-01"},
            {"day_of_week": None, "date": "9999-12-31"},
        ],
    )
    def test_refuses_what_is_no_time(self, shop: Shop, api: Api, wrong: dict[str, Any]) -> None:
        body = {"day_of_week": 0, "start_time": "09:00", "end_time": "17:00", **wrong}
        answer = api.as_(shop.provider).post("/availability/", body)
        assert (answer.status, Availability.objects.count()) == (422, 0), answer.body


def _session(booking: Booking) -> tuple[Any, str]:
    return Session.objects.get(user_id=booking.client_id), ""


class TestTimeOff:
    def test_takes_no_new_bookings_and_keeps_those_there_are(self, shop: Shop, api: Api) -> None:
        booking = shop.book()
        period = {"starts_at": "2030-05-16T00:00:00Z", "ends_at": "2030-05-17T00:00:00Z", "reason": "Holidays"}
        added = api.as_(shop.provider).post("/time-off/", period)
        assert (added.status, added.body) == (201, {**period, "id": added.body["id"], "resource_id": None})
        with pytest.raises(NotAvailable) as refused:
            shop.book(starts_at=shop.tomorrow + 2 * HOUR)
        assert refused.value.data == {"reason": "time_off"}
        assert shop.confirm(booking).status == "confirmed"
        path = f"/time-off/{added.body['id']}/"
        assert api.as_(shop.client()).delete(path).status == 404
        assert api.as_(shop.provider).delete(path).status == 204
        shop.book(starts_at=shop.tomorrow + 2 * HOUR)

    def test_of_one_chair_leaves_the_others(self, shop: Shop) -> None:
        away, there = shop.chair("Away"), shop.chair("There")
        hours.add_time_off(
            actor=shop.provider.actor,
            starts_at=shop.tomorrow,
            ends_at=shop.tomorrow + HOUR,
            resource_id=away.pk,
            now=shop.now,
        )
        assert shop.book().resource_id == there.pk

    def test_ends_after_it_starts(self, shop: Shop, api: Api) -> None:
        for end in ("2030-05-16T00:00:00Z", "2030-05-15T00:00:00Z", "2040-05-16T00:00:00Z"):
            body = {"starts_at": "2030-05-16T00:00:00Z", "ends_at": end}
            assert api.as_(shop.provider).post("/time-off/", body).fields.keys() == {"body.ends_at"}


class TestResources:
    def test_begin_with_one(self, shop: Shop, api: Api) -> None:
        mine = api.as_(shop.provider)
        (first,) = mine.get("/me/resources/").body["results"]
        assert first == {
            "id": first["id"],
            "provider_id": shop.provider.id,
            "name": "Calendar",
            "is_active": True,
            "services": [],
            "user_id": None,
        }
        assert mine.get("/me/resources/").body["count"] == 1
        assert mine.delete(f"/me/resources/{first['id']}/").code == "resource_in_use"

    def test_are_kept_while_there_are_bookings_ahead(self, shop: Shop, api: Api) -> None:
        chair, _ = shop.chair("One"), shop.chair("Two")
        booking = shop.book(resource_id=chair.pk)
        mine, path = api.as_(shop.provider), f"/me/resources/{chair.pk}/"
        assert (mine.delete(path).status, api.as_(shop.client()).delete(path).status) == (409, 404)
        shop.cancel(booking, shop.provider)
        assert mine.delete(path).status == 204
        assert [one["name"] for one in api.get(f"/providers/{shop.provider.id}/resources/").body["results"]] == ["Two"]
        assert api.get(f"/providers/{shop.client().id}/resources/").code == "not_found"
        assert mine.get(f"/bookings/{booking.pk}/").body["resource"]["name"] == "One"

    def test_that_are_switched_off_take_no_bookings(self, shop: Shop, api: Api) -> None:
        off, on = shop.chair("Off"), shop.chair("On")
        assert api.as_(shop.provider).patch(f"/me/resources/{off.pk}/", {"is_active": False}).status == 200
        assert shop.book().resource_id == on.pk
        with pytest.raises(SlotTaken):
            shop.book()

    def test_let_crew_act_as_the_provider(self, shop: Shop, api: Api) -> None:
        crew = shop.client(roles=["crew"])
        chair = shop.chair()
        path = f"/me/resources/{chair.pk}/"
        assert api.as_(shop.provider).patch(path, {"user": shop.client().id}).fields.keys() == {"body.user"}
        assert api.as_(shop.provider).patch(path, {"user": crew.id}).body["user_id"] == crew.id
        booking = shop.book(resource_id=chair.pk)
        assert [event["what"] for event in shop.told(crew, "booking.updated")] == ["requested"]
        assert shop.confirm(booking, crew).status == "confirmed"

    def test_do_what_they_are_for(self, shop: Shop, api: Api) -> None:
        mine = api.as_(shop.provider)
        chair = mine.post("/me/resources/", {"name": "Chair", "services": [10**15]})
        assert (chair.status, list(chair.fields)) == (422, ["body.services"])
        cut = service_of(shop, duration_minutes=30)
        shave = service_of(shop, duration_minutes=15)
        shaving = mine.post("/me/resources/", {"name": "Shaving", "services": [shave]}).body["id"]
        Resource.objects.exclude(pk=shaving).update(is_active=False)
        with pytest.raises(NotAvailable):
            shop.book(service_id=cut, ends_at=None)
        assert shop.book(service_id=shave, ends_at=None).resource_id == shaving


class TestServices:
    def test_say_how_long_and_how_much(self, shop: Shop, api: Api) -> None:
        cut = service_of(shop)
        client = shop.client()
        body = {"service": cut, "starts_at": "2030-05-16T10:00:00Z"}
        booked = api.as_(client).post("/bookings/", body)
        assert booked.status == 201, booked.body
        assert booked.body["service"] == {"id": cut, "title": "Haircut"}
        assert booked.body["price"] == {"amount": "15.00", "currency": "USD"}
        assert (booked.body["ends_at"], booked.body["provider"]["id"]) == ("2030-05-16T10:30:00Z", shop.provider.id)
        longer = api.as_(client).post("/bookings/", {**body, "ends_at": "2030-05-16T12:00:00Z"})
        assert (longer.status, list(longer.fields)) == (422, ["body.ends_at"])
        foreign = api.as_(client).post("/bookings/", {**body, "provider": shop.client(roles=["contractor"]).id})
        assert (foreign.status, list(foreign.fields)) == (422, ["body.service"])


class TestPolicy:
    def test_has_defaults_and_is_replaced_whole(self, shop: Shop, api: Api) -> None:
        mine = api.as_(shop.provider)
        read = mine.get("/me/booking-policy/")
        assert (read.body["hold_minutes"], read.body["time_zone"], read.body["auto_confirm_minutes"]) == (
            15,
            "UTC",
            None,
        )
        sent = {"time_zone": "Africa/Algiers", "notify_emails": ["shop@example.org"], "horizon_days": 30}
        assert mine.put("/me/booking-policy/", sent).body == {**read.body, **sent, "version": 1}
        assert mine.put("/me/booking-policy/", {}).body == {**read.body, "version": 2}

    def test_is_replaced_only_as_it_was_read(self, shop: Shop, api: Api) -> None:
        """Seen red when If-Match was not looked at. Whoever read that nothing was said yet is too late after the first
        word as well."""
        mine = api.as_(shop.provider)
        nothing = mine.get("/me/booking-policy/").headers["ETag"]
        put = mine.with_headers(If_Match=nothing).put
        assert put("/me/booking-policy/", {"horizon_days": 30}).status == 200
        stale = put("/me/booking-policy/", {"horizon_days": 31})
        read = mine.get("/me/booking-policy/")
        assert (stale.status, read.body["horizon_days"], read.body["version"]) == (412, 30, 1)
        assert mine.with_headers(If_Match=read.headers["ETag"]).put("/me/booking-policy/", {}).status == 200

    @pytest.mark.parametrize(
        "wrong",
        [
            {"late_fee_percent": 101},
            {"hold_minutes": 0},
            {"buffer_after_minutes": 241},
            {"horizon_days": 731},
            {"time_zone": "Nowhere"},
            {"notify_emails": ["nobody"]},
            {"notify_emails": ["a@example.org"] * 11},
        ],
    )
    def test_is_bounded(self, shop: Shop, api: Api, wrong: dict[str, Any]) -> None:
        assert api.as_(shop.provider).put("/me/booking-policy/", wrong).status == 422


class TestFreeSlots:
    def test_leave_out_what_is_taken(self, shop: Shop, api: Api) -> None:
        shop.terms(time_zone="Africa/Algiers", buffer_after_minutes=15)
        open_on(shop, 3, time(9), time(12))
        shop.book(starts_at=datetime(2030, 5, 16, 9, tzinfo=UTC), ends_at=datetime(2030, 5, 16, 9, 30, tzinfo=UTC))
        query = {"from": "2030-05-16T00:00:00Z", "to": "2030-05-17T00:00:00Z", "duration_minutes": 30}
        assert starts(shop, api, **query) == [
            f"2030-05-16T{hour}:00+01:00" for hour in ("09:00", "09:15", "10:45", "11:00", "11:15", "11:30")
        ]
        assert starts(shop, api, **query, time_zone="UTC")[0] == "2030-05-16T08:00:00Z"

    def test_name_the_chairs_that_are_free(self, shop: Shop, api: Api) -> None:
        one, two = shop.chair("One"), shop.chair("Two")
        open_on(shop, 3, time(11), time(12))
        shop.book(starts_at=shop.tomorrow, resource_id=one.pk)
        query = {"from": "2030-05-16T00:00:00Z", "to": "2030-05-17T00:00:00Z"}
        (slot,) = api.get(f"/providers/{shop.provider.id}/slots/", **query).body["slots"]
        assert slot == {
            "starts_at": "2030-05-16T10:00:00Z",
            "ends_at": "2030-05-16T11:00:00Z",
            "resources": [two.pk],
        }
        assert starts(shop, api, **query, resource=one.pk) == []

    def test_keep_the_notice_the_horizon_and_times_off(self, shop: Shop, api: Api) -> None:
        """Seen red with each of the three left out."""
        shop.terms(minimum_notice_minutes=60, horizon_days=1)
        hours.add_time_off(
            actor=shop.provider.actor, starts_at=shop.now + 3 * HOUR, ends_at=shop.now + 23 * HOUR, now=shop.now
        )
        query = {"from": "2030-05-15T00:00:00Z", "to": "2030-05-18T00:00:00Z"}
        wednesday, thursday = (
            [f"2030-05-{day}T{clock}:00Z" for clock in clocks.split()]
            for day, clocks in ((15, "10:30 10:45 11:00 11:15 11:30"), (16, "08:30 08:45 09:00 09:15 09:30"))
        )
        assert starts(shop, api, **query) == wednesday + thursday

    def test_last_as_long_as_the_service_and_are_where_it_is_done(self, shop: Shop, api: Api) -> None:
        """Seen red with the service's length, and with the services of a chair, left out."""
        cut, shave = service_of(shop, duration_minutes=90), service_of(shop, duration_minutes=15)
        anything, shaving = shop.chair("Any"), shop.chair("Shaving", service_ids=[shave])
        open_on(shop, 3, time(11), time(13))
        query = {"from": "2030-05-16T00:00:00Z", "to": "2030-05-17T00:00:00Z"}
        path = f"/providers/{shop.provider.id}/slots/"
        long, short = (api.get(path, **query, service=one).body for one in (cut, shave))
        assert [(slot["starts_at"][11:16], slot["ends_at"][11:16]) for slot in long["slots"]] == [
            ("10:00", "11:30"),
            ("10:15", "11:45"),
            ("10:30", "12:00"),
        ]
        assert {tuple(slot["resources"]) for slot in long["slots"]} == {(anything.pk,)}
        assert (len(short["slots"]), short["duration_minutes"]) == (8, 15)
        assert {tuple(slot["resources"]) for slot in short["slots"]} == {(anything.pk, shaving.pk)}

    def test_can_all_be_booked(self, shop: Shop, api: Api) -> None:
        shop.terms(time_zone="Africa/Algiers", buffer_before_minutes=5, buffer_after_minutes=10)
        open_on(shop, 3, time(9), time(12))
        query = {"from": "2030-05-16T00:00:00Z", "to": "2030-05-17T00:00:00Z"}
        shop.book(starts_at=datetime(2030, 5, 16, 9, 7, tzinfo=UTC), ends_at=datetime(2030, 5, 16, 9, 11, tzinfo=UTC))
        free = starts(shop, api, **query)
        assert free
        for start in free:
            booking = shop.book(starts_at=datetime.fromisoformat(start))
            shop.cancel(booking, shop.provider)

    def test_are_bounded(self, shop: Shop, api: Api) -> None:
        path = f"/providers/{shop.provider.id}/slots/"
        too_long = {"from": "2030-05-16T00:00:00Z", "to": "2030-07-18T00:00:00Z"}
        backwards = {"from": "2030-05-16T00:00:00Z", "to": "2030-05-15T00:00:00Z"}
        for query in (too_long, backwards, {"service": 10**15}, {"time_zone": "x"}, {"from": "2030-05-16"}, {"x": 1}):
            assert api.get(path, **query).status == 422, query
        assert api.get("/providers/999999999/slots/").status == 404
        assert api.get(f"/providers/{shop.client().id}/slots/").status == 404

    def test_cost_the_same_however_many_bookings_there_are(
        self, shop: Shop, api: Api, django_assert_num_queries: Any
    ) -> None:
        for index in range(5):
            shop.book(starts_at=shop.tomorrow + index * HOUR)
        with django_assert_num_queries(6):  # roles, terms, hours, times off, bookings, chairs
            assert starts(shop, api)


def told() -> Sequence[Period]:
    """What the catalogue knows of the only provider."""
    periods = CalendarOpenings.objects.get().periods
    assert periods is not None
    return periods


def found(api: Api, start: datetime, length: timedelta = HOUR) -> bool:
    """Whether clients who want this time find the only service."""
    query = {"free_from": start.isoformat(), "free_to": (start + length).isoformat()}
    answer = api.get("/services/", **query)
    assert answer.status == 200, answer.body
    return bool(answer.body["count"])


class TestOpenings:
    def test_are_told_once_for_all_changes(self, shop: Shop) -> None:
        open_on(shop, 3, time(9), time(12))
        open_on(shop, 4, time(9), time(12))
        shop.terms(horizon_days=8, time_zone="Africa/Algiers")
        shop.book(starts_at=datetime(2030, 5, 16, 9, tzinfo=UTC))
        assert not CalendarOpenings.objects.exists()
        shop.at.forward(seconds=1)
        run_jobs("scheduling.push_openings")
        assert not StaleOpenings.objects.exists()
        day = datetime(2030, 5, 16, tzinfo=UTC)
        assert [(period[0], period[1]) for period in told()] == [
            (day + 8 * HOUR, day + 9 * HOUR),
            (day + 10 * HOUR, day + 11 * HOUR),
            (day + DAY + 8 * HOUR, day + DAY + 11 * HOUR),
            (day + 7 * DAY + 8 * HOUR, day + 7 * DAY + 9.5 * HOUR + timedelta(seconds=1)),
        ]

    def test_reach_from_now_to_the_horizon_where_nobody_said_when(self, shop: Shop) -> None:
        """Seen red when they were told of as free for ever."""
        shop.cancel(shop.book(), shop.provider)
        run_jobs("scheduling.push_openings")
        assert list(told()) == [(shop.now, shop.now + 365 * DAY)]

    def test_of_who_is_new_are_found_by_clients(self, shop: Shop, api: Api) -> None:
        """Seen red when only chairs that were made counted: hours alone made a provider vanish from every search."""
        service_of(shop)
        hours_ = {"day_of_week": 3, "start_time": "09:00", "end_time": "17:00", "time_zone": "UTC"}
        assert api.as_(shop.provider).post("/availability/", hours_).status == 201
        assert not Resource.objects.exists()
        thursday = datetime(2030, 5, 16, tzinfo=UTC)
        run_jobs("scheduling.push_openings")
        assert found(api, thursday + 9 * HOUR, 8 * HOUR)
        assert not found(api, thursday + 8.5 * HOUR)
        assert not found(api, thursday + 16.5 * HOUR)
        assert not found(api, thursday + DAY + 10 * HOUR)
        assert found(api, thursday + 357 * DAY + 10 * HOUR)
        assert not found(api, thursday + 364 * DAY + 10 * HOUR)
        shop.at.forward(days=7)
        openings.roll_openings(after=0, now=shop.now)  # seen red when it went over chairs alone
        run_jobs("scheduling.push_openings")
        assert found(api, thursday + 364 * DAY + 10 * HOUR)

    def test_leave_out_the_time_off_of_who_is_new(self, shop: Shop, api: Api) -> None:
        """Seen red as above."""
        service_of(shop)
        off = {"starts_at": "2030-05-16T00:00:00Z", "ends_at": "2030-05-17T00:00:00Z"}
        assert api.as_(shop.provider).post("/time-off/", off).status == 201
        run_jobs("scheduling.push_openings")
        assert not found(api, shop.tomorrow)
        assert found(api, shop.tomorrow + DAY)

    def test_begin_when_the_notice_is_over_and_end_at_the_horizon(self, shop: Shop, api: Api) -> None:
        """Seen red when they began at once, and had no end without hours."""
        service_of(shop)
        policy = {"minimum_notice_minutes": 120, "horizon_days": 10}
        assert api.as_(shop.provider).put("/me/booking-policy/", policy).status == 200
        run_jobs("scheduling.push_openings")
        assert list(told()) == [(shop.now + 2 * HOUR, shop.now + 10 * DAY)]
        assert not found(api, shop.now + HOUR)
        assert found(api, shop.now + 2 * HOUR)
        assert not found(api, shop.now + 10 * DAY)
        shop.terms(minimum_notice_minutes=60 * 24 * 11, horizon_days=10)
        openings.roll_openings(after=0, now=shop.now)
        run_jobs("scheduling.push_openings")
        assert list(told()) == []

    def test_are_none_where_every_chair_is_switched_off(self, shop: Shop, api: Api) -> None:
        """Seen red when no hours meant: always free."""
        service_of(shop)
        (chair,) = shop.chairs()
        assert api.as_(shop.provider).patch(f"/me/resources/{chair.pk}/", {"is_active": False}).status == 200
        run_jobs("scheduling.push_openings")
        assert list(told()) == []
        assert not found(api, shop.tomorrow)

    def test_roll_on_every_day(self, shop: Shop) -> None:
        open_on(shop, 3)
        shop.chairs()
        run_jobs("scheduling.push_openings")
        before = len(told())
        shop.at.forward(days=7)
        openings.roll_openings(after=0, now=shop.now)
        run_jobs("scheduling.push_openings")
        periods = told()
        assert (len(periods), periods[0][0]) == (before, datetime(2030, 5, 23, 8, tzinfo=UTC))


class TestReviews:
    def test_are_written_by_both_sides_once(self, shop: Shop, api: Api) -> None:
        client = shop.client()
        booking = shop.confirm(shop.book(client))
        path = f"/bookings/{booking.pk}/reviews/"
        assert api.as_(client).post(path, {"rating": 5}).code == "invalid_state"
        shop.at.now = booking.ends_at + 2 * HOUR
        shop.tick(booking)
        mine, theirs = api.as_(shop.awake(client)), api.as_(shop.awake(shop.provider))
        written = mine.post(path, {"rating": 5, "comment": "Fine"})
        assert (written.status, written.body["is_visible"]) == (201, False)
        assert written.body["reviewed"]["id"] == shop.provider.id
        assert mine.post(path, {"rating": 1}).code == "already_rated"
        answer = theirs.post(path, {"rating": 4})
        assert (answer.status, answer.body["is_visible"], answer.body["reviewed"]["id"]) == (201, True, client.id)


class TestCalendarFeed:
    def test_leaves_out_the_oldest_of_too_many(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """Seen red when the oldest thousand stayed and what was ahead was left out."""
        client = shop.client()
        made = [shop.book(client, shop.tomorrow + index * DAY).pk for index in range(6)]
        shop.at.now = shop.tomorrow + 3 * DAY - HOUR  # three are over, three ahead

        def shown(most: int) -> list[int]:
            monkeypatch.setattr(feeds, "MOST_ENTRIES", most)
            return [entry.booking_id for entry in feeds.entries_of(client.id, now=shop.now)]

        assert shown(2) == made[3:5]
        assert shown(4) == made[2:]
        assert shown(9) == made
        shop.at.now = shop.tomorrow + 3 * DAY + HOUR / 2  # one is going on
        assert shown(3) == made[3:]

    def test_is_opened_by_its_secret_link_alone(self, shop: Shop, api: Api) -> None:
        client = shop.client()
        link = api.as_(client).get("/me/calendar/").body
        assert api.as_(client).get("/me/calendar/").body == link
        path = link["url"][link["url"].index("/api/") :]
        feed = Client().get(path)
        assert (feed.status_code, feed["Content-Type"]) == (200, "text/calendar; charset=utf-8")
        again = Client().get(path, headers={"If-None-Match": feed["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        renewed = api.as_(client).post("/me/calendar/").body
        assert renewed["url"] != link["url"]
        assert Client().get(path).status_code == 404
        # A second click changes nothing; seen red when it did, and the first answer's address was dead.
        shop.at.forward(seconds=9)
        assert api.as_(client).post("/me/calendar/").body == renewed
        assert Client().get(renewed["url"][renewed["url"].index("/api/") :]).status_code == 200
        shop.at.forward(seconds=1)
        third = api.as_(client).post("/me/calendar/").body
        assert third["url"] not in {link["url"], renewed["url"]}
        assert Client().get(renewed["url"][renewed["url"].index("/api/") :]).status_code == 404
        for token in ("1-x", "0", "a" * 60, "zzzzzzzzzzzzz-" + "A" * 32):
            assert Client().get(f"/api/v1/calendars/{token}.ics").status_code == 404

    def test_updates_what_a_calendar_knows(self, shop: Shop, api: Api) -> None:
        client = shop.client()
        booking = shop.book(client, address="12 rue X; 2nd, left\nred door", notes="é" * 200)
        url = api.as_(client).get("/me/calendar/").body["url"]
        path = url[url.index("/api/") :]
        first = Client().get(path)
        assert b"STATUS:TENTATIVE\r\n" in first.content
        assert b"SEQUENCE:0\r\n" in first.content
        assert b"LOCATION:12 rue X\\; 2nd\\, left\\nred door\r\n" in first.content
        assert max(map(len, first.content.split(b"\r\n"))) <= 75
        assert ("é" * 200).encode() in first.content.replace(b"\r\n ", b"")
        shop.cancel(booking, client)
        second = Client().get(path)
        assert first["ETag"] != second["ETag"]
        uid = f"UID:booking-{booking.pk}@callout\r\n".encode()
        assert (first.content.count(uid), second.content.count(uid)) == (1, 1)
        assert b"STATUS:CANCELLED\r\n" in second.content
        assert b"SEQUENCE:1\r\n" in second.content
