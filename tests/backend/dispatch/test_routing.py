"""The way by road from a server that speaks OSRM's protocol; slow and broken too: then the estimate steps in."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from backend.core.environment import environment
from backend.core.proof import prove
from backend.dispatch import routing
from backend.dispatch.endpoints import routes
from backend.dispatch.models import Assistance, Quote
from backend.dispatch.routing import REST_SECONDS, TIMEOUT_SECONDS, RouteFinder
from backend.dispatch.states import Status
from tests.backend.dispatch.conftest import DROPOFF, PICKUP, Stage
from tests.support.api import Answer, Api
from tests.support.outside import OsrmServer, osrm_server
from tests.support.people import Member

WAY = "/route/v1/driving/3.058800,36.753800;3.182600,36.726200?overview=false"
ASKED = {
    "service_type": "towing",
    "pickup": {"lat": PICKUP.lat, "lng": PICKUP.lng},
    "dropoff": {"lat": DROPOFF.lat, "lng": DROPOFF.lng},
}
ESTIMATE_KM = 14.886
A_WHILE_S = 5
"""On a machine with much else to do. What hangs, hangs for good."""


@pytest.fixture
def osrm(monkeypatch: pytest.MonkeyPatch) -> Iterator[OsrmServer]:
    monkeypatch.setattr(routing, "TIMEOUT_SECONDS", A_WHILE_S)
    with osrm_server() as server:
        use(server.url, monkeypatch)
        yield server


@pytest.fixture(autouse=True)
def _hung_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every finder hangs up after the test, and is forgotten."""
    made: list[RouteFinder] = []

    class Noted(RouteFinder):
        def __init__(self, url: str, **more: Any) -> None:
            super().__init__(url, **more)
            made.append(self)

    monkeypatch.setattr(routing, "RouteFinder", Noted)
    yield
    routing._finder.cache_clear()
    for finder in made:
        finder._client.close()
        finder._readers.shutdown()


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = environment().model_copy(update={"osrm_url": url})
    for module in (routing, routes):
        monkeypatch.setattr(module, "environment", lambda: changed)


@pytest.fixture
def client(stage: Stage) -> Member:
    return stage.client()


@pytest.fixture
def phone(client: Member) -> Api:
    return Api().as_(client)


def shown(answer: Answer) -> tuple[float | None, bool, Any]:
    assert answer.status == 201, answer.body
    body = answer.body.get("assistance", answer.body)
    return body["distance_km"], body["estimated"], body["total_price" if "status" in body else "price"]


def dzd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "DZD"}


class TestRouted:
    def test_quote_and_request_are_priced_by_the_way_by_road(self, phone: Api, osrm: OsrmServer) -> None:
        # 1,500 and 50 for each of 15.321 km.
        for path in ("/assistance/quote/", "/assistance/"):
            assert shown(phone.post(path, ASKED)) == (15.321, False, dzd("2266.05"))
        assert osrm.asked == [WAY, WAY]
        assert len(osrm.connections) == 1

    def test_a_quotes_distance_is_what_the_job_costs(self, phone: Api, osrm: OsrmServer) -> None:
        quote = phone.post("/assistance/quote/", ASKED).body
        osrm.distance = 99999.0
        assert shown(phone.post("/assistance/", {**ASKED, "quote_id": quote["id"]})) == (15.321, False, quote["price"])
        assert len(osrm.asked) == 1

    def test_a_quotes_estimate_stays_one(self, phone: Api, osrm: OsrmServer) -> None:
        osrm.status = 500
        quote = phone.post("/assistance/quote/", ASKED).body
        assert shown(phone.post("/assistance/", {**ASKED, "quote_id": quote["id"]})) == (
            ESTIMATE_KM,
            True,
            quote["price"],
        )

    def test_every_read_shows_it(self, phone: Api, osrm: OsrmServer) -> None:
        made = phone.post("/assistance/", ASKED).body["assistance"]
        assert phone.get(f"/assistance/{made['id']}/").body == made
        assert phone.get("/assistance/").body["results"] == [made]
        assert phone.get("/assistance/", ordering="created_at").body["results"] == [made]

    @pytest.mark.parametrize(
        ("said", "kept"), [(0, None), (15321, 15.321), (15321.5, 15.322), (10_600.0, 10.6), (99_999_999, 99999.999)]
    )
    def test_metres_are_rounded_and_not_much_less_than_the_straight_line(
        self, phone: Api, osrm: OsrmServer, said: float, kept: float | None
    ) -> None:
        """It measures 11.450 km; OSRM may begin and end beside the road."""
        osrm.distance = said
        distance_km, estimated, _ = shown(phone.post("/assistance/quote/", ASKED))
        assert (distance_km, estimated) == ((ESTIMATE_KM, True) if kept is None else (kept, False))

    def test_where_pickup_and_dropoff_are_one_place(self, phone: Api, osrm: OsrmServer) -> None:
        osrm.distance = osrm.duration = 0
        answer = phone.post("/assistance/quote/", {**ASKED, "dropoff": ASKED["pickup"]})
        assert shown(answer) == (0.0, False, dzd("1500.00"))


class TestAnyService:
    """Without a service the winner's is what is priced; the way by road is the same for all of them."""

    ANY = {name: ASKED[name] for name in ("pickup", "dropoff")}

    def test_is_priced_at_acceptance_by_the_way_that_was_found(
        self, stage: Stage, phone: Api, osrm: OsrmServer
    ) -> None:
        assistant = stage.assistant()
        assert shown(phone.post("/assistance/", self.ANY)) == (15.321, False, None)
        job = Assistance.objects.get()
        osrm.distance = 20_000
        accepted = Api().as_(assistant).post(f"/assistance/{job.pk}/accept/").body
        assert (accepted["distance_km"], accepted["estimated"]) == (15.321, False)
        assert accepted["total_price"] == dzd("2266.05")
        assert len(osrm.asked) == 1

    @pytest.mark.parametrize(("is_routed", "kept"), [(True, 15.321), (False, None)])
    def test_given_back_keeps_the_way_and_forgets_the_estimate(
        self, stage: Stage, phone: Api, osrm: OsrmServer, *, is_routed: bool, kept: float | None
    ) -> None:
        osrm.status = 200 if is_routed else 500
        assistant = stage.assistant()
        phone.post("/assistance/", self.ANY)
        job = stage.accept(assistant, Assistance.objects.get())
        assert job.distance_m == (15321 if is_routed else 14886)
        stage.move(assistant, job, Status.CANCELED)
        body = phone.get(f"/assistance/{job.pk}/").body
        assert (body["distance_km"], body["estimated"], body["total_price"]) == (kept, not is_routed, None)


class TestEstimated:
    """The estimate steps in, and the answer comes in time."""

    @pytest.mark.parametrize(
        "told",
        [
            {"status": 500},
            {"status": 503, "body": b""},
            {"status": 204, "body": b""},
            {"status": 302, "headers": {"Location": WAY}},
            {"status": 400, "body": b'{"code": "NoRoute", "message": "Impossible route between points"}'},
            {"status": 400, "body": b'{"code": "NoSegment"}'},
            {"status": 400, "body": b'{"code": "InvalidOptions"}'},
            {"body": b'{"code": "NoRoute"}'},
            {"body": b'{"code": "Ok"}'},
            {"body": b'{"code": "Ok", "routes": []}'},
            {"body": b'{"code": "Ok", "routes": [{"distance": 15321}]}'},
            {"body": b'{"code": "Ok", "routes": [{"distance": 1e999, "duration": 1}]}'},
            {"body": b'{"code": "Ok", "routes": [{"distance": NaN, "duration": 1}]}'},
            {"body": b'{"code": "Ok", "routes": [{"distance": 15321, "duration": Infinity}]}'},
            {"body": b'{"routes": [{"distance": 15321, "duration": 1}]}'},
            {"body": b'{"code": "Ok", "routes": [{"dist'},
            {"body": b"<html>"},
            {"body": b""},
            {"body": b"\xff\xfe"},
            {"body": b"[" * 60_000},
            {"distance": "15321"},
            {"distance": None},
            {"distance": True},
            {"distance": -1},
            {"distance": 10**9},
            {"duration": -0.5},
            {"duration": "1"},
            {"body": b'{"code": "Ok", "routes": [{"distance": 15321, "duration": 1}]}' + b" " * 70_000},
            {"headers": {"Content-Encoding": "gzip"}, "body": b"\x1f\x8b"},
        ],
    )
    def test_when_the_answer_is_no_route(self, osrm: OsrmServer, told: dict[str, Any]) -> None:
        for name, value in told.items():
            setattr(osrm, name, value)
        assert routing.RouteFinder(osrm.url).distance_m(PICKUP, DROPOFF) is None
        assert osrm.asked == [WAY]

    def test_in_quote_and_request(self, phone: Api, osrm: OsrmServer) -> None:
        osrm.status = 500
        for path in ("/assistance/quote/", "/assistance/"):
            assert shown(phone.post(path, ASKED)) == (ESTIMATE_KM, True, dzd("2244.30"))

    @pytest.mark.parametrize("drips", ["nothing", "headers", "body"])
    def test_when_it_is_slow(self, phone: Api, osrm: OsrmServer, monkeypatch: pytest.MonkeyPatch, drips: str) -> None:
        """A byte now and then resets every time limit of a socket: with those alone it would hang."""
        assert TIMEOUT_SECONDS == 1
        monkeypatch.setattr(routing, "TIMEOUT_SECONDS", 0.2)
        if drips == "nothing":
            osrm.goes_on.clear()
        else:
            osrm.drips = drips
        began = time.monotonic()
        assert shown(phone.post("/assistance/", ASKED))[:2] == (ESTIMATE_KM, True)
        assert 0.2 <= time.monotonic() - began < A_WHILE_S

    def test_when_nobody_listens(self, phone: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        use(f"http://127.0.0.1:{port}", monkeypatch)
        assert shown(phone.post("/assistance/quote/", ASKED))[:2] == (ESTIMATE_KM, True)

    @pytest.mark.parametrize("url", ["http://osrm.invalid:5000", "http://[::1", "http://127.0.0.1:99999"])
    def test_when_the_address_leads_nowhere(self, phone: Api, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        use(url, monkeypatch)
        assert shown(phone.post("/assistance/quote/", ASKED))[:2] == (ESTIMATE_KM, True)


class TestBreaker:
    @pytest.fixture
    def clock(self) -> list[float]:
        """The time of the breaker alone: `clock[0] += 10`."""
        return [1000.0]

    def test_rests_after_a_failure_and_then_asks_again(self, osrm: OsrmServer, clock: list[float]) -> None:
        finder = routing.RouteFinder(osrm.url, monotonic=lambda: clock[0])
        osrm.status = 500
        assert [finder.distance_m(PICKUP, DROPOFF) for _ in range(5)] == [None] * 5
        assert len(osrm.asked) == 1
        clock[0] += REST_SECONDS - 0.01
        assert (finder.distance_m(PICKUP, DROPOFF), len(osrm.asked)) == (None, 1)
        clock[0] += 0.01
        assert (finder.distance_m(PICKUP, DROPOFF), len(osrm.asked)) == (None, 2)
        assert (finder.distance_m(PICKUP, DROPOFF), len(osrm.asked)) == (None, 2)
        osrm.status = 200
        clock[0] += REST_SECONDS
        assert [finder.distance_m(PICKUP, DROPOFF) for _ in range(3)] == [15321] * 3
        assert len(osrm.asked) == 5

    def test_one_alone_finds_out_whether_it_is_back(self, osrm: OsrmServer, clock: list[float]) -> None:
        finder = routing.RouteFinder(osrm.url, monotonic=lambda: clock[0])
        osrm.status = 500
        finder.distance_m(PICKUP, DROPOFF)
        clock[0] += REST_SECONDS
        osrm.status = 200
        osrm.goes_on.clear()
        found: list[int | None] = []
        scout = threading.Thread(target=lambda: found.append(finder.distance_m(PICKUP, DROPOFF)))
        scout.start()
        while len(osrm.asked) < 2:
            time.sleep(0.005)
        assert [finder.distance_m(PICKUP, DROPOFF) for _ in range(5)] == [None] * 5
        osrm.goes_on.set()
        scout.join(5)
        assert found == [15321]
        assert finder.distance_m(PICKUP, DROPOFF) == 15321
        assert len(osrm.asked) == 3

    def test_places_without_a_way_are_no_failure(self, osrm: OsrmServer) -> None:
        finder = routing.RouteFinder(f"{osrm.url}/")
        osrm.status, osrm.body = 400, b'{"code": "NoRoute"}'
        assert [finder.distance_m(PICKUP, DROPOFF) for _ in range(2)] == [None] * 2
        osrm.status, osrm.body, osrm.distance = 200, None, 1.0
        assert [finder.distance_m(PICKUP, DROPOFF) for _ in range(2)] == [None] * 2
        assert osrm.asked == [WAY] * 4


class TestBeforeTheTransaction:
    def test_nothing_is_open_while_it_is_asked(
        self, phone: Api, osrm: OsrmServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_then: list[int] = []

        def looking(self: RouteFinder, *_: object) -> None:
            open_then.append(len(connection.savepoint_ids))

        before = len(connection.savepoint_ids)
        monkeypatch.setattr(RouteFinder, "distance_m", looking)
        for path in ("/assistance/quote/", "/assistance/"):
            assert phone.post(path, ASKED).status == 201
        assert open_then == [before, before]

    def test_a_repetition_does_not_ask_again(self, phone: Api, osrm: OsrmServer) -> None:
        phone = phone.with_headers(Idempotency_Key="k-1")
        first = phone.post("/assistance/", ASKED)
        osrm.distance = 99999.0
        again = phone.post("/assistance/", ASKED)
        assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (201, first.body, "true")
        assert phone.post("/assistance/", {**ASKED, "note": "x"}).code == "idempotency_key_reused"
        assert osrm.asked == [WAY]

    @pytest.mark.parametrize(
        ("changes", "status"),
        [({"dropoff": None}, 201), ({"pickup": {"lat": 91, "lng": 0}}, 422), ({"more": 1}, 422), ({"dropoff": 1}, 422)],
        ids=str,
    )
    def test_is_not_asked_for_what_has_no_way(
        self, phone: Api, osrm: OsrmServer, changes: dict[str, Any], status: int
    ) -> None:
        for path in ("/assistance/quote/", "/assistance/"):
            assert phone.post(path, {**ASKED, **changes}).status == status
        assert phone.raw("POST", "/assistance/quote/", b"{").status == 400
        assert phone.raw("POST", "/assistance/quote/", b"x", content_type="text/plain").status == 415
        assert Api().post("/assistance/quote/", ASKED).status == 401
        assert osrm.asked == []

    def test_without_a_server_nothing_is_asked(self, phone: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(RouteFinder, "distance_m", lambda *_: pytest.fail("it was asked"))
        assert environment().osrm_url == ""
        for path in ("/assistance/quote/", "/assistance/"):
            assert shown(phone.post(path, ASKED)) == (ESTIMATE_KM, True, dzd("2244.30"))

    def test_costs_a_query_only_with_a_server_and_a_key(
        self, phone: Api, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        keyed = phone.with_headers(Idempotency_Key="k-1")
        plain = 8  # session, savepoints of operation and service, account, tariff, insert
        with django_assert_num_queries(plain):
            assert phone.post("/assistance/quote/", ASKED).status == 201
        with osrm_server() as server:
            use(server.url, monkeypatch)
            with django_assert_num_queries(plain):
                assert phone.post("/assistance/quote/", ASKED).status == 201
            with django_assert_num_queries(plain + 3):  # stored answer twice, insert
                assert keyed.post("/assistance/quote/", ASKED).status == 201


def test_breaks_no_invariant(stage: Stage, phone: Api, osrm: OsrmServer) -> None:
    def broken() -> set[str]:
        return {finding.invariant.name for finding in prove(now=stage.now, patience_s=30) if not finding.holds}

    before = broken()
    phone.post("/assistance/quote/", ASKED)
    phone.post("/assistance/", ASKED)
    assert broken() == before
    assert [Quote.objects.get().estimated, Assistance.objects.get().estimated] == [False, False]
