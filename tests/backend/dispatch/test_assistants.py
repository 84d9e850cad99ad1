from datetime import date, timedelta
from typing import Any

import pytest
import redis
from pytest_django import DjangoAssertNumQueries

from backend.accounts import public as accounts
from backend.accounts.models import User
from backend.core import live
from backend.core.environment import environment
from backend.core.geo import Point, haversine_m
from backend.core.models import EventRow
from backend.core.redis_link import RedisLink
from backend.core.references import RoomSeeker, room_gates
from backend.dispatch.models import DispatchAssistant, Offer, TrackPoint
from backend.dispatch.public import record_positions
from backend.dispatch.states import Status
from shared_contracts.events import PositionReport
from shared_contracts.redis_keys import POSITIONS_PENDING, last_location
from shared_contracts.rooms import RoomKind
from tests.backend.dispatch.conftest import PICKUP, Stage, near
from tests.support.api import Api

HERE = f"{PICKUP.lat},{PICKUP.lng}"


class TestDuty:
    def test_puts_an_assistant_on_the_map_with_the_next_position(self, stage: Stage, api: Api) -> None:
        member = stage.assistant(on_duty=False)
        answer = api.as_(member).post("/me/assistant/status/", {"is_active": True})
        assert (answer.status, answer.body["is_active"], answer.body["on_the_map"]) == (200, True, False)
        assert EventRow.objects.get(room=f"user:{member.id}").type == "access.changed"
        record_positions(reports={member.id: PositionReport(lat=36.7, lng=3.0, at=stage.now)}, now=stage.now)
        mine = api.as_(member).get("/me/assistant/").body
        assert (mine["on_the_map"], mine["location"]) == (True, {"lat": 36.7, "lng": 3.0})

    def test_makes_the_last_position_count_again(self, stage: Stage, api: Api) -> None:
        member = stage.assistant()
        api.as_(member).post("/me/assistant/status/", {"is_active": False})
        stage.at.forward(minutes=9)
        answer = api.as_(member).post("/me/assistant/status/", {"is_active": True})
        assert (answer.body["on_the_map"], answer.body["located_at"]) == (True, "2030-05-15T09:30:00Z")

    def test_twice_is_once(self, stage: Stage, api: Api) -> None:
        member = stage.assistant()
        EventRow.objects.all().delete()
        assert api.as_(member).post("/me/assistant/status/", {"is_active": True}).status == 200
        assert not EventRow.objects.exists()

    def test_asks_for_a_licence_that_holds(self, stage: Stage, api: Api) -> None:
        member = stage.assistant(on_duty=False, licence_expires_on=date(2030, 5, 14))
        answer = api.as_(member).post("/me/assistant/status/", {"is_active": True})
        assert (answer.status, answer.code) == (409, "licence_expired")
        assert not DispatchAssistant.objects.filter(on_duty=True).exists()
        assert not EventRow.objects.exists()

    def test_going_off_declines_offers_and_keeps_the_job(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        other = stage.assistant(north_km=2)
        second = stage.request().assistance
        assert Offer.objects.get(assistance=second).assistant_id == other.id
        api.as_(other).post("/me/assistant/status/", {"is_active": False})
        assert Offer.objects.get(assistance=second).status == "declined"
        api.as_(job.assistant).post("/me/assistant/status/", {"is_active": False})
        assert job.fresh().status == "accepted"

    def test_is_for_assistants(self, stage: Stage, api: Api) -> None:
        assert api.as_(stage.client()).post("/me/assistant/status/", {"is_active": True}).status == 403
        assert api.post("/me/assistant/status/", {"is_active": True}).status == 401


class TestMyAssistant:
    def test_shows_vehicle_licence_and_standing(self, stage: Stage, api: Api) -> None:
        member = stage.assistant(on_duty=False)
        body = api.as_(member).get("/me/assistant/").body
        assert (body["is_active"], body["location"], body["average_rating"], body["total_reviews"]) == (
            False,
            None,
            None,
            0,
        )
        assert body["driving_license"]["expires_on"] == "2040-01-01"

    def test_changes_reach_matching_at_once(self, stage: Stage, api: Api) -> None:
        member = stage.assistant()
        licence = {"category": "b", "number": "N-2", "expires_on": "2031-01-01"}
        answer = api.as_(member).patch("/me/assistant/", {"service_type": "repair", "driving_license": licence})
        assert (answer.status, answer.body["service_type"]) == (200, "repair")
        row = DispatchAssistant.objects.get(pk=member.id)
        assert (row.service_type, row.licence_category, row.licence_expires_on) == ("repair", "b", date(2031, 1, 1))
        assert row.on_duty

    def test_an_old_licence_is_refused(self, stage: Stage, api: Api) -> None:
        member = stage.assistant()
        licence = {"category": "b", "number": "N-2", "expires_on": "2029-01-01"}
        assert api.as_(member).patch("/me/assistant/", {"driving_license": licence}).status == 422
        assert DispatchAssistant.objects.get(pk=member.id).licence_category == "c"

    def test_accounts_tells_of_every_change(self, stage: Stage) -> None:
        member = stage.assistant()
        given = accounts.AssistantFields(vehicle_class="light")
        accounts.update_assistant_profile(actor=member.actor, given=given, now=stage.now)
        assert DispatchAssistant.objects.get(pk=member.id).vehicle_class == "light"

    def test_who_is_no_assistant_any_more_goes_off_duty(self, stage: Stage) -> None:
        member = stage.assistant()
        assistance = stage.request().assistance
        User.objects.filter(pk=member.id).update(is_active=False)
        accounts.ASSISTANT_CHANGED.about("dispatch")(user_id=member.id, now=stage.now)
        assert not DispatchAssistant.objects.get(pk=member.id).on_duty
        assert Offer.objects.get(assistance=assistance).status == "declined"


class TestListAssistants:
    def test_lists_the_nearest_roughly(self, stage: Stage, api: Api) -> None:
        far, close = stage.assistant(north_km=4), stage.assistant(north_km=1, name="Amel Hamdi")
        stage.assistant(north_km=12)
        stage.assistant(on_duty=False)
        body = api.as_(stage.client()).get("/assistants/", near=HERE, radius_km=10).body
        assert [row["assistant"]["id"] for row in body["results"]] == [close.id, far.id]
        first = body["results"][0]
        assert (first["assistant"]["name"], first["exact"], first["service_type"]) == ("Amel Hamdi", False, "towing")
        assert first["distance_km"] * 2 == round(first["distance_km"] * 2)
        place = Point(first["location"]["lat"], first["location"]["lng"])
        true = near(1.0)
        assert 0 < haversine_m(place, true) < 400

    def test_the_same_rough_place_whoever_asks_from_where(self, stage: Stage, api: Api) -> None:
        stage.assistant(north_km=1)
        caller = api.as_(stage.client())
        seen = {
            str(row["location"])
            for lat in (36.70, 36.7511, 36.7533)
            for row in caller.get("/assistants/", near=f"{lat},3.05", radius_km=20).body["results"]
        }
        assert len(seen) == 1

    def test_a_client_sees_exactly_who_comes(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        (row,) = api.as_(job.client).get("/assistants/", near=HERE).body["results"]
        assert (row["exact"], row["location"]["lat"]) == (True, near(1.0).lat)
        (row,) = api.as_(stage.client()).get("/assistants/", near=HERE).body["results"]
        assert row["exact"] is False

    def test_without_a_place_there_is_no_distance(self, stage: Stage, api: Api) -> None:
        first, second = stage.assistant(), stage.assistant(service_type="repair")
        body = api.as_(stage.client()).get("/assistants/").body
        assert [(row["assistant"]["id"], row["distance_km"]) for row in body["results"]] == [
            (first.id, None),
            (second.id, None),
        ]
        body = api.as_(stage.client()).get("/assistants/", service_type="repair").body
        assert [row["assistant"]["id"] for row in body["results"]] == [second.id]
        stage.at.forward(seconds=121)
        assert api.as_(stage.client()).get("/assistants/").body["count"] == 0

    @pytest.mark.parametrize(
        "query",
        [
            {"near": ""},
            {"near": "91,0"},
            {"near": "1"},
            {"near": "nan,1"},
            {"radius_km": 0},
            {"radius_km": 101},
            {"x": 1},
        ],
    )
    def test_refuses_what_is_no_place(self, stage: Stage, api: Api, query: dict[str, Any]) -> None:
        assert api.as_(stage.client()).get("/assistants/", **query).status == 422

    def test_costs_the_same_for_any_number(
        self, stage: Stage, api: Api, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(3):
            stage.assistant()
        caller = api.as_(stage.client())
        with django_assert_num_queries(5):  # session, partners, the nearest, names, standings
            assert caller.get("/assistants/", near=HERE).body["count"] == 3


class TestRecordPositions:
    def report(self, stage: Stage, lat: float | None = 36.7, *, seconds: float = 0) -> PositionReport:
        at = stage.now + timedelta(seconds=seconds)
        return PositionReport(lat=lat, lng=None if lat is None else 3.0, speed=9.5, at=at)

    def test_is_one_statement_for_all(self, stage: Stage, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        members = [stage.assistant() for _ in range(3)]
        stage.at.forward(seconds=1)
        with django_assert_num_queries(4):  # with the savepoint and synchronous_commit
            record_positions(reports={member.id: self.report(stage) for member in members}, now=stage.now)
        assert set(DispatchAssistant.objects.values_list("lat", "lng", "speed", "located_at", "fresh_at")) == {
            (36.7, 3.0, 9.5, stage.now, stage.now)
        }

    def test_takes_only_what_is_newer(self, stage: Stage) -> None:
        member = stage.assistant()
        for seconds, lat in ((2, 36.1), (1, 36.2), (2, 36.3)):
            record_positions(
                reports={member.id: self.report(stage, lat, seconds=seconds)}, now=stage.now + timedelta(seconds=5)
            )
        assert DispatchAssistant.objects.get().lat == 36.1

    def test_takes_the_future_for_now(self, stage: Stage) -> None:
        member = stage.assistant()
        now = stage.at.forward(seconds=1)
        record_positions(reports={member.id: self.report(stage, seconds=3600)}, now=now)
        assert DispatchAssistant.objects.get().located_at == now

    def test_off_duty_and_strangers_leave_no_trace(self, stage: Stage) -> None:
        off, client = stage.assistant(on_duty=False), stage.client()
        stage_row = stage.assistant()
        DispatchAssistant.objects.filter(pk=stage_row.id).update(on_duty=False)
        before = list(DispatchAssistant.objects.values())
        stage.at.forward(seconds=1)
        reports = {user_id: self.report(stage) for user_id in (off.id, client.id, stage_row.id, 10**15)}
        record_positions(reports=reports, now=stage.now)
        assert list(DispatchAssistant.objects.values()) == before

    def test_nothing_to_write_writes_nothing(self, stage: Stage) -> None:
        stage.assistant()
        before = list(DispatchAssistant.objects.values())
        record_positions(reports={}, now=stage.at.forward(seconds=1))
        assert list(DispatchAssistant.objects.values()) == before

    def test_a_sign_of_life_keeps_the_position_fresh(self, stage: Stage) -> None:
        member = stage.assistant()
        then, now = stage.now, stage.at.forward(seconds=90)
        record_positions(reports={member.id: self.report(stage, None)}, now=now)
        row = DispatchAssistant.objects.get()
        assert (row.fresh_at, row.located_at) == (now, then)
        assert row.lat is not None

    def test_keeps_the_track_of_a_job_every_five_seconds(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        idle = stage.assistant()
        DispatchAssistant.objects.filter(pk=job.assistant.id).update(on_duty=False)
        for _ in range(11):
            now = stage.at.forward(seconds=1)
            record_positions(reports={id_: self.report(stage) for id_ in (job.assistant.id, idle.id)}, now=now)
        start = stage.now - timedelta(seconds=11)
        seconds = [round((point.at - start).total_seconds()) for point in TrackPoint.objects.order_by("at")]
        assert seconds == [1, 6, 11]
        assert set(TrackPoint.objects.values_list("assistance_id", flat=True)) == {job.assistance.pk}


class TestReportLocation:
    @pytest.fixture(autouse=True)
    def _redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.redis = redis.Redis.from_url(environment().redis_url, decode_responses=True)
        self.redis.flushdb()
        monkeypatch.setattr(live, "_link", RedisLink("tests", timeout_s=10))

    def test_of_an_assistant_on_duty_waits_for_the_relay(self, stage: Stage, api: Api) -> None:
        member = stage.assistant()
        stage.at.forward(seconds=1)
        assert api.as_(member).post("/me/location/", {"lat": 36.5, "lng": 3.1, "speed": 4}).status == 204
        pending: dict[str, str] = self.redis.hgetall(POSITIONS_PENDING)  # type: ignore[assignment]
        report = PositionReport.model_validate_json(pending[str(member.id)])
        assert (report.lat, report.lng, report.speed, report.at) == (36.5, 3.1, 4, stage.now)
        assert DispatchAssistant.objects.get().lat == near(1.0).lat

    def test_goes_straight_to_the_table_while_redis_is_away(
        self, stage: Stage, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dead = RedisLink("tests", timeout_s=0.2)
        dead.client = redis.Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.1)
        monkeypatch.setattr(live, "_link", dead)
        member = stage.assistant()
        stage.at.forward(seconds=1)
        assert api.as_(member).post("/me/location/", {"lat": 36.5, "lng": 3.1}).status == 204
        assert DispatchAssistant.objects.get().lat == 36.5

    def test_the_parties_of_a_job_see_it_move(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        listener = self.redis.pubsub(ignore_subscribe_messages=True)
        room = f"callout:room:assistance:{job.assistance.pk}"
        listener.subscribe(room, "callout:room:console")
        for caller in (job.assistant, job.client):
            stage.at.forward(seconds=1)
            assert api.as_(caller).post("/me/location/", {"lat": 36.5, "lng": 3.1}).status == 204
        heard: list[tuple[str, bool]] = []
        for _ in range(20):
            message = listener.get_message(timeout=0.1)
            if message is not None:
                heard.append((message["channel"], f'"user_id":{job.client.id},' in message["data"]))
        assert heard == [(room, False), ("callout:room:console", False), (room, True)]
        assert self.redis.exists(last_location(job.client.id), last_location(job.assistant.id)) == 2
        assert not self.redis.hexists(POSITIONS_PENDING, str(job.client.id))

    def test_of_everybody_else_is_kept_with_the_account(self, stage: Stage, api: Api) -> None:
        client = stage.client()
        assert api.as_(client).post("/me/location/", {"lat": 36.5, "lng": 3.1}).status == 204
        assert User.objects.get(pk=client.id).lat == 36.5
        assert self.redis.keys() == []

    def test_off_duty_it_is_where_duty_begins(self, stage: Stage, api: Api) -> None:
        member = stage.assistant()
        api.as_(member).post("/me/assistant/status/", {"is_active": False})
        api.as_(member).post("/me/location/", {"lat": 36.5, "lng": 3.1})
        assert self.redis.keys() == []
        answer = api.as_(member).post("/me/assistant/status/", {"is_active": True})
        assert (answer.body["location"], answer.body["on_the_map"]) == ({"lat": 36.5, "lng": 3.1}, True)

    @pytest.mark.parametrize(
        "body", [{"lat": 91, "lng": 0}, {"lat": 0}, {"lat": "x", "lng": 0}, {"lat": 0, "lng": 0, "user_id": 7}]
    )
    def test_refuses_what_is_no_place(self, stage: Stage, api: Api, body: Any) -> None:
        assert api.as_(stage.client()).post("/me/location/", body).status == 422


class TestRooms:
    def ask(self, kind: RoomKind, *seekers: tuple[int, set[str], int]) -> list[tuple[bool, Any]]:
        asked = [RoomSeeker(user_id=user, roles=frozenset(roles), room_id=room) for user, roles, room in seekers]
        return [(access.allowed, access) for access in room_gates()[kind](asked)]

    def test_a_job_is_for_its_parties(self, stage: Stage, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        rival, job = stage.assistant(), stage.job(Status.ACCEPTED)
        id_ = job.assistance.pk
        with django_assert_num_queries(1):
            answers = self.ask(
                RoomKind.ASSISTANCE,
                (job.client.id, {"client"}, id_),
                (job.assistant.id, {"assistant"}, id_),
                (rival.id, {"assistant"}, id_),
                (1, {"manager"}, id_),
                (job.client.id, {"client"}, 10**9),
            )
        assert [allowed for allowed, _ in answers] == [True, True, False, False, False]
        client, assistant = answers[0][1], answers[1][1]
        assert client.added_event_id is None
        added = EventRow.objects.get(pk=assistant.added_event_id)
        assert (added.type, added.room) == ("member.added", f"assistance:{id_}")
        assert client.context == assistant.context
        assert (client.context.status, client.context.party) == ("accepted", True)
        assert client.context.party_ids == [job.client.id, job.assistant.id]

    def test_who_gave_the_job_back_is_out(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        stage.move(job.assistant, job.assistance, Status.CANCELED)
        ((allowed, _),) = self.ask(RoomKind.ASSISTANCE, (job.assistant.id, {"assistant"}, job.assistance.pk))
        assert not allowed
        assert EventRow.objects.filter(type="member.removed", room=f"assistance:{job.assistance.pk}").count() == 1

    def test_an_assistants_room_is_their_own(
        self, stage: Stage, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        on, off = stage.assistant(), stage.assistant(on_duty=False)
        with django_assert_num_queries(1):
            answers = self.ask(
                RoomKind.ASSISTANT,
                (on.id, {"assistant"}, on.id),
                (off.id, {"assistant"}, off.id),
                (off.id, {"assistant"}, on.id),
                (on.id, {"client"}, on.id),
            )
        assert [(allowed, access.context.on_duty) for allowed, access in answers] == [
            (True, True),
            (True, False),
            (False, False),
            (False, False),
        ]

    def test_the_console_is_for_managers(self, stage: Stage) -> None:
        answers = self.ask(RoomKind.CONSOLE, (1, {"manager"}, 0), (2, {"admin"}, 0), (3, {"client", "assistant"}, 0))
        assert [allowed for allowed, _ in answers] == [True, True, False]
