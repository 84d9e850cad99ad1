from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.core.models import EventRow, JobRow, StateChange
from backend.dispatch.models import Assistance, Offer, Quote, Wave
from backend.dispatch.states import Status
from tests.backend.dispatch.conftest import DROPOFF, PICKUP, Stage
from tests.support.api import Api

HERE = {"lat": PICKUP.lat, "lng": PICKUP.lng}
THERE = {"lat": DROPOFF.lat, "lng": DROPOFF.lng}
WANTED = {"service_type": "towing", "pickup": HERE, "dropoff": THERE}


def events_in(room: str) -> list[str]:
    return list(EventRow.objects.filter(room=room).order_by("id").values_list("type", flat=True))


class TestQuoteAssistance:
    def test_says_price_and_estimated_distance(self, stage: Stage, api: Api) -> None:
        answer = api.as_(stage.client()).post("/assistance/quote/", WANTED)
        # 11.461 km as the crow flies, times 1.30; 1,500 + 50 a kilometre.
        assert answer.status == 201
        assert answer.body["distance_km"] == pytest.approx(14.9, abs=0.1)
        km = round(answer.body["distance_km"] * 1000)
        assert answer.body["price"] == {
            "amount": f"{(150000 + (5000 * km + 500) // 1000) / 100:.2f}",
            "currency": "DZD",
        }
        assert answer.body["estimated"] is True
        assert answer.body["expires_at"] == "2030-05-15T09:45:00Z"

    def test_repair_is_priced_on_the_spot(self, stage: Stage, api: Api) -> None:
        answer = api.as_(stage.client()).post("/assistance/quote/", {"service_type": "repair", "pickup": HERE})
        assert (answer.status, answer.body["price"], answer.body["distance_km"]) == (201, None, None)
        assert answer.body["minimum_price"] == {"amount": "1000.00", "currency": "DZD"}

    def test_towing_nobody_knows_where_to_costs_the_base(self, stage: Stage, api: Api) -> None:
        wanted = {"service_type": "towing", "pickup": HERE, "vehicle_class": "heavy"}
        answer = api.as_(stage.client()).post("/assistance/quote/", wanted)
        assert answer.body["price"] == {"amount": "3000.00", "currency": "DZD"}

    @pytest.mark.usefixtures("db", "at")
    def test_without_a_tariff_nothing_is_promised(self, api: Api, member: Any) -> None:
        answer = api.as_(member("client")).post("/assistance/quote/", WANTED)
        assert (answer.status, answer.code) == (409, "tariff_missing")
        assert not Quote.objects.exists()

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"pickup": {"lat": 91, "lng": 0}}, "body.pickup.lat"),
            ({"pickup": {"lat": 0, "lng": -180.1}}, "body.pickup.lng"),
            ({"service_type": "flying"}, "body.service_type"),
            ({"vehicle_class": "huge"}, "body.vehicle_class"),
            ({"surprise": 1}, "body.surprise"),
        ],
    )
    def test_refuses_what_is_no_place_or_service(self, stage: Stage, api: Api, change: Any, field: str) -> None:
        answer = api.as_(stage.client()).post("/assistance/quote/", {**WANTED, **change})
        assert answer.status == 422
        assert field in answer.fields

    def test_asks_for_a_sign_in(self, stage: Stage, api: Api) -> None:
        assert api.post("/assistance/quote/", WANTED).status == 401


class TestRequestAssistance:
    def test_offers_the_job_to_the_nearest_at_once(self, stage: Stage, api: Api) -> None:
        client = stage.client(name="Nadia Belkacem")
        far, close = stage.assistant(north_km=3), stage.assistant(north_km=1)
        stage.assistant(north_km=6)
        answer = api.as_(client).post("/assistance/", {**WANTED, "note": "Left lane", "vehicle_type": "Symbol"})
        assert answer.status == 201
        assert answer.body["nearby_assistants"] == [
            {"assistant_id": close.id, "distance_km": 1.0, "eta_minutes": 2},
            {"assistant_id": far.id, "distance_km": 3.0, "eta_minutes": 6},
        ]
        job = answer.body["assistance"]
        assert (job["status"], job["version"], job["assistant"], job["conversation_id"]) == ("requested", 1, None, None)
        assert job["client"] == {"id": client.id, "name": "Nadia Belkacem", "phone_number": None}
        assert (job["note"], job["vehicle_type"], job["vehicle_class"]) == ("Left lane", "Symbol", "light")
        assert job["expires_at"] == "2030-05-15T09:40:00Z"
        assert job["total_price"]["currency"] == "DZD"
        assert events_in(f"assistance:{job['id']}") == ["member.added", "assistance.status"]
        assert events_in(f"assistant:{close.id}") == events_in(f"assistant:{far.id}") == ["assistance.offered"]
        assert sorted(JobRow.objects.values_list("name", "run_at")) == [
            ("dispatch.expire_request", stage.at.forward(minutes=10)),
            ("dispatch.offer_next_wave", stage.at.forward(minutes=-10, seconds=20)),
        ]
        assert StateChange.objects.get(reference=f"assistance:{job['id']}").to_status == "requested"

    def test_the_offer_tells_what_an_assistant_must_know(self, stage: Stage) -> None:
        helper = stage.assistant(north_km=2)
        client = stage.client(name="Nadia Belkacem")
        assistance = stage.request(client, note="Left lane").assistance
        event = EventRow.objects.get(room=f"assistant:{helper.id}")
        import json

        data = json.loads(event.data)
        assert data["assistance_id"] == assistance.pk
        assert data["distance_km"] == pytest.approx(2.0, abs=0.01)
        assert data["client"] == {"id": client.id, "name": "Nadia Belkacem"}
        assert data["pickup"] == HERE
        assert data["dropoff"] == THERE
        assert (data["wave"], data["note"], data["service_type"]) == (1, "Left lane", "towing")
        assert data["price"]["amount"] == str(assistance.money(assistance.total_price))

    def test_nobody_near_is_no_refusal(self, stage: Stage, api: Api) -> None:
        answer = api.as_(stage.client()).post("/assistance/", WANTED)
        assert (answer.status, answer.body["nearby_assistants"]) == (201, [])
        assert Wave.objects.get().left_out == []

    def test_one_open_request_at_a_time(self, stage: Stage, api: Api) -> None:
        client = stage.client()
        first = api.as_(client).post("/assistance/", WANTED).body["assistance"]
        answer = api.as_(client).post("/assistance/", WANTED)
        assert (answer.status, answer.code) == (409, "open_request_exists")
        assert answer.body["assistance_id"] == first["id"]
        assert Assistance.objects.count() == Wave.objects.count() == 1
        assert JobRow.objects.count() == 2
        api.as_(client).post(f"/assistance/{first['id']}/status/", {"status": "canceled"})
        assert api.as_(client).post("/assistance/", WANTED).status == 201

    def test_keeps_the_price_of_the_quote(self, stage: Stage, api: Api) -> None:
        client = api.as_(stage.client())
        quote = client.post("/assistance/quote/", WANTED).body
        from backend.dispatch.models import Tariff

        tariff = Tariff.objects.get(service_type="towing", vehicle_class="light")
        Tariff.objects.create(
            service_type="towing",
            vehicle_class="light",
            base=9_000_00,
            per_km=0,
            minimum=0,
            currency="DZD",
            road_factor=tariff.road_factor,
            valid_from=stage.now,
            created_at=stage.now,
        )
        stage.at.forward(minutes=14)
        answer = client.post("/assistance/", {"pickup": HERE, "dropoff": THERE, "quote_id": quote["id"]})
        job = answer.body["assistance"]
        assert (job["total_price"], job["quote_id"], job["service_type"]) == (quote["price"], quote["id"], "towing")

    def test_a_quote_is_over_after_its_minutes(self, stage: Stage, api: Api) -> None:
        client = api.as_(stage.client())
        quote = client.post("/assistance/quote/", WANTED).body
        stage.at.forward(minutes=15)
        answer = client.post("/assistance/", {**WANTED, "quote_id": quote["id"]})
        assert (answer.status, answer.code) == (409, "quote_expired")
        assert not Assistance.objects.exists()

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"pickup": {"lat": 36.7, "lng": 3.0}}, "body.pickup"),
            ({"dropoff": None}, "body.dropoff"),
            ({"service_type": "repair"}, "body.service_type"),
            ({"vehicle_class": "heavy"}, "body.vehicle_class"),
        ],
    )
    def test_a_quote_is_for_what_was_quoted(self, stage: Stage, api: Api, change: Any, field: str) -> None:
        client = api.as_(stage.client())
        quote = client.post("/assistance/quote/", WANTED).body
        answer = client.post("/assistance/", {**WANTED, **change, "quote_id": quote["id"]})
        assert answer.status == 422
        assert list(answer.fields) == [field]
        assert not Assistance.objects.exists()

    def test_a_quote_is_for_whoever_asked(self, stage: Stage, api: Api) -> None:
        quote = api.as_(stage.client()).post("/assistance/quote/", WANTED).body
        answer = api.as_(stage.client()).post("/assistance/", {**WANTED, "quote_id": quote["id"]})
        assert (answer.status, list(answer.fields)) == (422, ["body.quote_id"])

    def test_any_service_has_no_price_yet(self, stage: Stage, api: Api) -> None:
        job = api.as_(stage.client()).post("/assistance/", {"pickup": HERE, "dropoff": THERE}).body["assistance"]
        assert (job["service_type"], job["total_price"], job["minimum_price"]) == (None, None, None)

    def test_only_clients_ask(self, stage: Stage, api: Api) -> None:
        assert api.as_(stage.assistant()).post("/assistance/", WANTED).status == 403
        assert api.post("/assistance/", WANTED).status == 401
        assert not Assistance.objects.exists()

    def test_the_same_key_is_one_request(self, stage: Stage, api: Api) -> None:
        client = api.as_(stage.client()).with_headers(Idempotency_Key="one")
        first, second = client.post("/assistance/", WANTED), client.post("/assistance/", WANTED)
        assert first.body == second.body
        assert Assistance.objects.count() == 1

    @pytest.mark.parametrize("helpers", [0, 4])
    def test_costs_as_many_queries_whoever_is_near(
        self, stage: Stage, helpers: int, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(helpers):
            stage.assistant()
        client = stage.client()
        with django_assert_num_queries(8 + bool(helpers)):
            stage.request(client)
        assert Offer.objects.count() == helpers


class TestReadAssistance:
    def test_its_people_see_it(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        shown = api.as_(job.assistant).get(job.path)
        assert shown.status == 200
        assert shown.headers["ETag"] == '"1"'
        assert shown.body["offer"] == {
            "status": "open",
            "distance_km": pytest.approx(1.0, abs=0.01),
            "eta_minutes": 2,
            "wave": 1,
            "offered_at": "2030-05-15T09:30:00Z",
            "answered_at": None,
        }
        assert api.as_(job.client).get(job.path).body["offer"] is None
        assert api.as_(stage.manager()).get(job.path).status == 200

    def test_each_sides_number_is_the_others_from_acceptance_on(self, stage: Stage, api: Api) -> None:
        client, helper, manager = stage.client(phone_number="+213550000001"), stage.assistant(), stage.manager()
        assistance = stage.request(client).assistance
        path = f"/assistance/{assistance.pk}/"

        def seen() -> list[str | None]:
            return [api.as_(reader).get(path).body["client"]["phone_number"] for reader in (helper, client, manager)]

        assert seen() == [None, None, "+213550000001"]
        stage.accept(helper, assistance)
        assert seen() == ["+213550000001"] * 3
        stage.move(client, assistance, Status.CANCELED)
        assert seen() == [None, None, "+213550000001"]

    def test_others_do_not(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        for stranger in (stage.client(), stage.assistant(north_km=50)):
            assert api.as_(stranger).get(job.path).status == 404
        assert api.get(job.path).status == 401
        assert api.as_(job.client).get("/assistance/999999/").status == 404

    def test_an_offer_that_is_gone_is_nothing_to_see(self, stage: Stage, api: Api) -> None:
        other = stage.assistant(north_km=2)
        job = stage.job(Status.ACCEPTED)
        assert api.as_(other).get(job.path).status == 404
        assert api.as_(job.assistant).get(job.path).status == 200

    def test_costs_three_queries(
        self, stage: Stage, api: Api, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        job = stage.job(Status.ACCEPTED)
        caller = api.as_(job.client)
        with django_assert_num_queries(4):  # the session's is the fourth
            caller.get(job.path)


class TestListAssistance:
    def test_each_sees_their_own(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        other = stage.request().assistance
        assert [row["id"] for row in api.as_(job.client).get("/assistance/").body["results"]] == [job.assistance.pk]
        assert [row["id"] for row in api.as_(job.assistant).get("/assistance/").body["results"]] == [job.assistance.pk]
        assert api.as_(stage.client()).get("/assistance/").body["count"] == 0
        everything = api.as_(stage.manager()).get("/assistance/").body
        assert [row["id"] for row in everything["results"]] == [other.pk, job.assistance.pk]

    def test_open_offers_are_listed_until_they_are_gone(self, stage: Stage, api: Api) -> None:
        helper = stage.assistant()
        client = stage.client()
        assistance = stage.request(client).assistance
        assert api.as_(helper).get("/assistance/").body["results"][0]["offer"]["status"] == "open"
        stage.move(client, assistance, Status.CANCELED)
        assert api.as_(helper).get("/assistance/").body["count"] == 0

    def test_filters_and_orders(self, stage: Stage, api: Api) -> None:
        done, open_ = stage.job(Status.COMPLETED), stage.request().assistance
        manager = api.as_(stage.manager())

        def ids(query: str) -> list[int]:
            return [row["id"] for row in manager.get(f"/assistance/{query}").body["results"]]

        assert ids("?status=completed") == [done.assistance.pk]
        assert ids("?status=completed&status=requested") == [open_.pk, done.assistance.pk]
        assert ids("?ordering=created_at") == [done.assistance.pk, open_.pk]
        assert ids("?page_size=1&page=2") == [done.assistance.pk]

    @pytest.mark.parametrize("query", ["?status=lost", "?ordering=price", "?color=red", "?page_size=101"])
    def test_refuses_what_it_does_not_know(self, stage: Stage, api: Api, query: str) -> None:
        assert api.as_(stage.client()).get(f"/assistance/{query}").status == 422

    def test_costs_the_same_for_any_number(
        self, stage: Stage, api: Api, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        manager = api.as_(stage.manager())
        for _ in range(3):
            stage.request()
        with django_assert_num_queries(5):  # session, count, rows, names, offers
            assert len(manager.get("/assistance/").body["results"]) == 3


class TestListHistory:
    def test_tells_every_step(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ONGOING)
        answer = api.as_(job.client).get(f"{job.path}history/")
        assert [(row["from_status"], row["to_status"]) for row in answer.body["results"]] == [
            ("", "requested"),
            ("requested", "accepted"),
            ("accepted", "ongoing"),
        ]
        assert [row["by"]["id"] for row in answer.body["results"]] == [
            job.client.id,
            job.assistant.id,
            job.assistant.id,
        ]

    def test_is_for_the_parties(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        assert api.as_(job.assistant).get(f"{job.path}history/").status == 404
        assert api.as_(stage.client()).get(f"{job.path}history/").status == 404
        assert api.as_(stage.manager()).get(f"{job.path}history/").status == 200
