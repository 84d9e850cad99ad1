"""Who is listed as free can be booked then, and who can be booked then is listed; seconds after every change."""

import random
from collections import Counter
from datetime import datetime, time, timedelta

from django.db import transaction

from backend.catalog.models import CalendarOpenings
from backend.core import timetable
from backend.core.errors import Problem
from backend.core.jobs import enqueue
from backend.core.models import JobRow
from backend.scheduling.services import hours, openings
from backend.scheduling.services.hours import WantedHours
from tests.backend.scheduling.conftest import DAY, HOUR, Shop, service_of
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

MINUTE = timedelta(minutes=1)


def listed(api: Api, start: datetime, end: datetime, path: str = "/services/", **query: int) -> set[int]:
    """The ids of what clients find who want this time."""
    answer = api.get(path, free_from=start.isoformat(), free_to=end.isoformat(), **query)
    assert answer.status == 200, answer.body
    return {one["id"] for one in answer.body["results"]}


def can_be_booked(shop: Shop, client: Member, start: datetime, service_id: int) -> bool:
    try:
        with transaction.atomic():
            shop.book(client, start, service_id=service_id, ends_at=None)
            transaction.set_rollback(True)
    except Problem:
        return False
    return True


def a_busy_shop(shop: Shop, rng: random.Random) -> dict[int, timedelta]:
    """Chairs with hours of their own or the shop's, times off, buffers and bookings; its services and their lengths."""
    minutes = {service_of(shop, title=f"{n} minutes", duration_minutes=n): n * MINUTE for n in (30, 50, 120)}
    chairs = [shop.chair(str(n)) for n in range(rng.randint(1, 3))]
    if rng.random() < 0.6:
        chairs[-1].service_ids = rng.sample(list(minutes), 1)
        chairs[-1].save()
    for day in range(7):
        opening = WantedHours(time(9), time(13, 30), day_of_week=day, time_zone="Africa/Algiers")
        hours.add_hours(actor=shop.provider.actor, hours=opening, now=shop.now)
    if rng.random() < 0.5:
        own = WantedHours(time(12), time(15), day_of_week=3, time_zone="Africa/Algiers", resource_id=chairs[0].pk)
        hours.add_hours(actor=shop.provider.actor, hours=own, now=shop.now)
    noon = shop.tomorrow.replace(hour=11)
    hours.add_time_off(
        actor=shop.provider.actor, starts_at=noon, ends_at=noon + 20 * MINUTE, resource_id=chairs[-1].pk, now=shop.now
    )
    for _ in range(4):
        shop.terms(buffer_before_minutes=rng.choice([0, 10, 30]), buffer_after_minutes=rng.choice([0, 5, 15]))
        start = shop.tomorrow.replace(hour=8) + rng.randrange(0, 360, 5) * MINUTE
        try:
            with transaction.atomic():
                shop.book(shop.client(), start, ends_at=start + 20 * MINUTE)
        except Problem:
            continue
    shop.terms(
        buffer_before_minutes=rng.choice([0, 20]),
        buffer_after_minutes=rng.choice([0, 15]),
        minimum_notice_minutes=rng.choice([0, 22 * 60]),
        horizon_days=5,
    )
    openings.roll_openings(after=0, now=shop.now)
    return minutes


class TestFreeInThisPeriod:
    def test_lists_exactly_what_can_be_booked(self, shop: Shop, api: Api) -> None:
        """Seen red with either buffer of who comes next left out, with the openings of all chairs joined, with the
        services of chairs not looked at, with services longer than the period, and with the notice as it was told."""
        rng, client, told_at, seen = random.Random(7), shop.client(), shop.now, Counter[bool]()
        for _ in range(6):
            shop.at.now = told_at
            busy = Shop(shop.at)
            services = a_busy_shop(busy, rng)
            run_jobs("scheduling.push_openings")
            shop.at.forward(minutes=rng.choice([0, 30, 60]))  # what was told grows old
            for _ in range(12):
                start = shop.tomorrow.replace(hour=7) + rng.randrange(0, 480, 5) * MINUTE
                for service_id, length in services.items():
                    expected = can_be_booked(busy, client, start, service_id)
                    found = listed(api, start, start + length, provider=busy.provider.id)
                    assert (service_id in found) is expected, (start, length)
                    assert all(services[one] <= length for one in found)
                    seen[expected] += 1
        assert min(seen[True], seen[False]) > 30, seen

    def test_lists_nobody_for_what_has_passed_or_is_too_far(self, shop: Shop, api: Api) -> None:
        """Nor who never said anything. Seen red with the moment of asking not looked at, and without their horizon."""
        service_id, client = service_of(shop), shop.client()
        for at, expected in (
            (shop.now - HOUR, set()),
            (shop.now, set()),
            (shop.now + MINUTE, {service_id}),
            (shop.now + timedelta(days=365), {service_id}),
            (shop.now + timedelta(days=365) + MINUTE, set()),
        ):
            assert listed(api, at, at + HOUR) == expected, at
            assert can_be_booked(shop, client, at, service_id) is bool(expected)
        assert not CalendarOpenings.objects.exists()

    def test_joins_no_two_chairs(self, shop: Shop, api: Api) -> None:
        """One until eleven, the other from eleven on: nobody has two hours from ten to twelve."""
        service_id = service_of(shop, duration_minutes=60)
        first, second = shop.chair("Until 11"), shop.chair("From 11")
        for chair, start, end in ((first, 9, 11), (second, 11, 13)):
            wanted = WantedHours(time(start), time(end), day_of_week=3, time_zone="UTC", resource_id=chair.pk)
            hours.add_hours(actor=shop.provider.actor, hours=wanted, now=shop.now)
        run_jobs("scheduling.push_openings")
        assert CalendarOpenings.objects.count() == 2
        ten = shop.tomorrow
        for begin, length, expected in (
            (ten, HOUR, {service_id}),
            (ten + HOUR, HOUR, {service_id}),
            (ten, 2 * HOUR, set()),
        ):
            assert listed(api, begin, begin + length) == expected, (begin, length)
        assert listed(api, ten + HOUR / 2, ten + 1.5 * HOUR) == set()

    def test_forgets_chairs_that_are_gone(self, shop: Shop, api: Api) -> None:
        """Seen red with the rows beyond the last chair left."""
        service_id = service_of(shop)
        chair, other = shop.chair("Stays"), shop.chair("Goes")
        shop.book(resource_id=chair.pk)
        run_jobs("scheduling.push_openings")
        assert (CalendarOpenings.objects.count(), listed(api, shop.tomorrow, shop.tomorrow + HOUR)) == (2, {service_id})
        answer = api.as_(shop.provider).patch(f"/me/resources/{other.pk}/", {"is_active": False})
        assert answer.status == 200
        run_jobs("scheduling.push_openings")
        assert (CalendarOpenings.objects.count(), listed(api, shop.tomorrow, shop.tomorrow + HOUR)) == (1, set())


class TestChangesShow:
    def test_within_a_second_and_a_job(self, shop: Shop, api: Api) -> None:
        """Booked, cancelled, closed, opened: the search says so once the job ran, due a second later."""
        service_id, ten = service_of(shop), shop.tomorrow
        hours_ = {"day_of_week": 3, "start_time": "09:00", "end_time": "17:00", "time_zone": "UTC"}
        mine = api.as_(shop.provider)

        def shows(expected: set[int]) -> None:
            for path, ids in (("/services/", expected), ("/providers/", {shop.provider.id} if expected else set())):
                assert listed(api, ten, ten + HOUR, path) == ids

        mine.patch("/me/provider/", {"business_name": "Shop"})
        opening = mine.post("/availability/", hours_).body["id"]
        run_jobs("scheduling.push_openings")
        shows({service_id})
        booking = shop.book(starts_at=ten)
        shows({service_id})
        waiting = JobRow.objects.filter(name="scheduling.push_openings", status="pending")
        assert waiting.get().run_at == shop.now + timedelta(seconds=1)
        run_jobs("scheduling.push_openings")
        shows(set())
        shop.cancel(booking, shop.provider)
        run_jobs("scheduling.push_openings")
        shows({service_id})
        off = {"starts_at": ten.isoformat(), "ends_at": (ten + HOUR).isoformat()}
        mine.post("/time-off/", off)
        run_jobs("scheduling.push_openings")
        shows(set())
        assert mine.delete(f"/availability/{opening}/").status == 204
        run_jobs("scheduling.push_openings")
        shows(set())


class TestAYearWithoutAChange:
    def test_leaves_who_changes_nothing_findable(self, shop: Shop, api: Api) -> None:
        """The timetable tells the catalogue of them every day. Seen red without its line."""
        service_id = service_of(shop)
        opening = WantedHours(time(9), time(17), day_of_week=3, time_zone="UTC")
        hours.add_hours(actor=shop.provider.actor, hours=opening, now=shop.now)
        shop.terms(horizon_days=30)
        run_jobs("scheduling.push_openings")
        for _ in range(3):
            shop.at.forward(days=364)
            thursday = shop.now.replace(hour=10, minute=0) + DAY
            assert listed(api, thursday, thursday + HOUR) == set()
            (daily,) = (one for one in timetable.entries() if one.job == "scheduling.roll_openings")
            assert daily.period <= DAY
            enqueue(daily.job, now=shop.now)
            run_jobs("scheduling.roll_openings", "scheduling.push_openings")
            assert listed(api, thursday, thursday + HOUR) == {service_id}
            last = thursday + 28 * DAY
            assert listed(api, last, last + HOUR) == {service_id}
            assert listed(api, last + 7 * DAY, last + 7 * DAY + HOUR) == set()
