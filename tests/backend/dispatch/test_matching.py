"""The search against the plain truth: every assistant measured, filtered and sorted in Python."""

import random
from datetime import date, timedelta
from math import cos, radians
from typing import Any

import pytest
from django.db import connection

from backend.accounts.models import User
from backend.core.geo import Point, haversine_m, project
from backend.dispatch.matching import LEFT_OUT_KEPT, OBSTACLES, Search, fetch_nearest_first
from backend.dispatch.models import Assistance, DispatchAssistant, Offer
from backend.dispatch.states import OfferStatus, Status
from tests.backend.dispatch.conftest import PICKUP, Stage

pytestmark = pytest.mark.usefixtures("stage")


def people(count: int, now: Any) -> list[int]:
    users = User.objects.bulk_create(
        User(username=f"m{index}", email=f"m{index}@example.org", name=f"M {index}", first_name="M", last_name="",
             roles=["assistant"], password="!", created_at=now, updated_at=now)
        for index in range(count)
    )  # fmt: skip
    return [user.pk for user in users]


def on_map(user_id: int, place: Point, now: Any, **fields: Any) -> DispatchAssistant:
    return DispatchAssistant(
        **{
            "user_id": user_id,
            "on_duty": True,
            "service_type": "towing",
            "vehicle_class": "heavy",
            "licence_category": "c",
            "licence_expires_on": date(2040, 1, 1),
            "lat": place.lat,
            "lng": place.lng,
            "position": project(place),
            "located_at": now,
            "fresh_at": now,
            **fields,
        }
    )


def request_at(place: Point, stage: Stage, **fields: Any) -> Assistance:
    client = stage.client()
    return Assistance.objects.create(
        **{
            "status": "requested",
            "client_id": client.id,
            "requested_service": "towing",
            "service_type": "towing",
            "vehicle_class": "light",
            "pickup_lat": place.lat,
            "pickup_lng": place.lng,
            "requested_at": stage.now,
            "expires_at": stage.now + timedelta(minutes=10),
            "created_at": stage.now,
            "updated_at": stage.now,
            **fields,
        }
    )


def search(assistance: Assistance, stage: Stage, radius_km: float = 20) -> Search:
    return Search.of(assistance, radius_km=radius_km, now=stage.now, fresh_seconds=120)


class TestNearest:
    @pytest.mark.parametrize(
        "centre",
        [
            Point(36.7538, 3.0588),
            Point(0.0, 0.0),
            Point(-54.8, -68.3),
            Point(69.6, 18.9),
            Point(84.9, 30.0),
            Point(-84.9, -30.0),
            Point(10.0, 179.99),
            Point(-17.0, -179.95),
            Point(65.0, 180.0),
            Point(65.0, -180.0),
        ],
        ids=lambda place: f"{place.lat},{place.lng}",
    )
    def test_finds_exactly_the_nearest_anywhere_on_earth(self, stage: Stage, centre: Point) -> None:
        dice = random.Random(7)
        spread = 0.25
        wide = spread / max(0.05, cos(radians(centre.lat)))
        rows = []
        for user_id in people(300, stage.now):
            lng = centre.lng + dice.uniform(-wide, wide)
            place = Point(centre.lat + dice.uniform(-spread, spread), (lng + 180) % 360 - 180)
            rows.append(on_map(user_id, place, stage.now))
        DispatchAssistant.objects.bulk_create(row for row in rows if abs(row.lat or 0) <= 85.05)
        truth = sorted(
            (round(haversine_m(centre, row.place)), row.user_id)
            for row in rows
            if row.place is not None and abs(row.place.lat) <= 85.05
        )
        assistance = request_at(centre, stage)
        for radius_km, count in ((20, 10), (20, 200), (5, 10), (0.5, 10)):
            found = search(assistance, stage, radius_km).nearest(count)
            within = [pair for pair in truth if pair[0] <= radius_km * 1000]
            assert [(one.distance_m, one.assistant_id) for one in found] == within[:count]
        assert len(truth) > 50

    def test_follows_the_index_and_sorts_nothing(self, stage: Stage) -> None:
        """Red without `enable_sort = off`: then a dense city is collected and sorted, a thousand times as slow."""
        on_map(people(1, stage.now)[0], NEAR, stage.now).save()
        plan = "\n".join(
            row[0]
            for row in fetch_nearest_first(
                "EXPLAIN SELECT user_id FROM dispatch_assistant a"
                " WHERE a.on_duty AND a.position <@ circle(point(0,0), %(reach)s)"
                " ORDER BY a.position <-> point(0,0) LIMIT 5",
                {"reach": 9},
            )
        )
        assert "Index Scan using dispatch_assistant_nearest" in plan
        assert "Order By: (\"position\" <-> '(0,0)'::point)" in plan
        assert "Sort" not in plan
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_sort")
            assert cursor.fetchone() == ("on",)


NEAR = Point(PICKUP.lat + 0.01, PICKUP.lng)


class TestWhoMayTakeAJob:
    @pytest.mark.parametrize(
        ("row", "job", "reason"),
        [
            ({}, {}, None),
            ({"service_type": "repair"}, {}, "wrong_service"),
            ({"service_type": "repair"}, {"requested_service": None}, None),
            ({"vehicle_class": "light", "licence_category": "b"}, {}, None),
            ({"vehicle_class": "light", "licence_category": "c"}, {"vehicle_class": "heavy"}, "wrong_vehicle"),
            ({"licence_category": "b"}, {"vehicle_class": "heavy"}, "wrong_category"),
            ({}, {"vehicle_class": "heavy"}, None),
            ({"licence_expires_on": date(2030, 5, 14)}, {}, "licence_expired"),
            ({"licence_expires_on": date(2030, 5, 15)}, {}, None),
        ],
    )
    def test_by_service_vehicle_and_licence(
        self, stage: Stage, row: dict[str, Any], job: dict[str, Any], reason: str | None
    ) -> None:
        (user_id,) = people(1, stage.now)
        on_map(user_id, NEAR, stage.now, **row).save()
        self.expect(stage, request_at(PICKUP, stage, **job), user_id, reason)

    @pytest.mark.parametrize(("age_seconds", "reason"), [(0, None), (120, None), (120.5, "stale_position")])
    def test_by_the_age_of_the_position(self, stage: Stage, age_seconds: float, reason: str | None) -> None:
        (user_id,) = people(1, stage.now)
        on_map(user_id, NEAR, stage.now, fresh_at=stage.now - timedelta(seconds=age_seconds)).save()
        self.expect(stage, request_at(PICKUP, stage), user_id, reason)

    def test_nobody_off_duty_is_near(self, stage: Stage) -> None:
        (user_id,) = people(1, stage.now)
        on_map(user_id, NEAR, stage.now, on_duty=False).save()
        found = search(request_at(PICKUP, stage), stage)
        assert found.nearest(10) == found.left_out(20_000) == []

    @pytest.mark.parametrize("status", list(Status))
    def test_by_the_job_that_they_have(self, stage: Stage, status: Status) -> None:
        (user_id,) = people(1, stage.now)
        on_map(user_id, NEAR, stage.now).save()
        taken = None if status in {Status.REQUESTED, Status.EXPIRED} else user_id
        request_at(PICKUP, stage, status=status, assistant_id=taken)
        busy = status in {Status.ACCEPTED, Status.ONGOING}
        self.expect(stage, request_at(PICKUP, stage), user_id, "busy" if busy else None)

    @pytest.mark.parametrize(
        ("round_", "status", "reason"),
        [
            (2, OfferStatus.OPEN, "asked_before"),
            (2, OfferStatus.DECLINED, "asked_before"),
            (1, OfferStatus.DECLINED, None),
            (1, OfferStatus.WITHDRAWN, None),
            (1, OfferStatus.ACCEPTED, "asked_before"),
        ],
    )
    def test_once_a_round_and_never_who_gave_it_back(
        self, stage: Stage, round_: int, status: OfferStatus, reason: str | None
    ) -> None:
        (user_id,) = people(1, stage.now)
        on_map(user_id, NEAR, stage.now).save()
        job = request_at(PICKUP, stage, round=2)
        Offer.objects.create(
            assistance=job, assistant_id=user_id, round=round_, wave=1, distance_m=1, eta_minutes=1, status=status,
            offered_at=stage.now,
        )  # fmt: skip
        self.expect(stage, job, user_id, reason)

    def test_not_the_client(self, stage: Stage) -> None:
        job = request_at(PICKUP, stage)
        on_map(job.client_id, NEAR, stage.now).save()
        self.expect(stage, job, job.client_id, "own_request")

    def test_the_first_reason_is_told_of_several(self, stage: Stage) -> None:
        (user_id,) = people(1, stage.now)
        on_map(
            user_id, NEAR, stage.now, service_type="repair", licence_expires_on=date(2030, 1, 1), fresh_at=None
        ).save()
        self.expect(stage, request_at(PICKUP, stage), user_id, "wrong_service")

    def test_the_nearest_left_out_are_kept(self, stage: Stage) -> None:
        ids = people(LEFT_OUT_KEPT + 5, stage.now)
        for index, user_id in enumerate(ids):
            on_map(
                user_id, Point(PICKUP.lat + 0.001 * (index + 1), PICKUP.lng), stage.now, service_type="repair"
            ).save()
        left_out = search(request_at(PICKUP, stage), stage).left_out(20_000)
        assert [one.assistant_id for one in left_out] == ids[:LEFT_OUT_KEPT]

    def test_every_obstacle_is_covered_here(self) -> None:
        named = {"asked_before", "own_request", "off_duty", "busy", "wrong_service", "wrong_vehicle", "wrong_category"}
        assert set(OBSTACLES) == named | {"licence_expired", "stale_position"}

    def expect(self, stage: Stage, job: Assistance, user_id: int, reason: str | None) -> None:
        found = search(job, stage)
        assert [one.assistant_id for one in found.nearest(10)] == ([] if reason else [user_id])
        assert [(one.assistant_id, one.reason) for one in found.left_out(20_000)] == (
            [(user_id, reason)] if reason else []
        )
