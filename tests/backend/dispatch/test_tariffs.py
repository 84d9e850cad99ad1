from typing import Any

import pytest

from backend.core.models import AuditRow
from backend.dispatch.models import Tariff
from backend.dispatch.public import ensure_demo_tariffs
from tests.backend.dispatch.conftest import Stage
from tests.support.api import Api

NEW = {
    "service_type": "towing",
    "vehicle_class": "light",
    "base": "1800.00",
    "per_km": "60",
    "minimum": "2000",
    "currency": "DZD",
    "road_factor": "1.25",
    "valid_from": "2030-06-01T00:00:00Z",
}


class TestListTariffs:
    def test_tells_everybody_what_holds_and_what_is_announced(self, stage: Stage, api: Api) -> None:
        assert api.as_(stage.manager()).post("/tariffs/", NEW).status == 201
        rows = api.get("/tariffs/").body["results"]
        columns = ("service_type", "vehicle_class", "base", "per_km", "minimum")
        assert [tuple(row[column] for column in columns) for row in rows] == [
            ("repair", "heavy", "0.00", "0.00", "1000.00"),
            ("repair", "light", "0.00", "0.00", "1000.00"),
            ("towing", "heavy", "3000.00", "150.00", "3000.00"),
            ("towing", "light", "1500.00", "50.00", "1500.00"),
            ("towing", "light", "1800.00", "60.00", "2000.00"),
        ]  # fmt: skip
        stage.at.forward(days=30)
        rows = api.get("/tariffs/").body["results"]
        assert [row["base"] for row in rows if row["service_type"] == "towing"] == ["3000.00", "1800.00"]

    def test_the_demonstrations_are_written_once(self, stage: Stage) -> None:
        ensure_demo_tariffs(now=stage.now)
        assert Tariff.objects.count() == 4


class TestCreateTariff:
    def test_holds_from_its_moment_on(self, stage: Stage, api: Api) -> None:
        manager = stage.manager()
        answer = api.as_(manager).post("/tariffs/", NEW)
        assert answer.status == 201
        assert (answer.body["road_factor"], answer.body["valid_from"]) == ("1.25", "2030-06-01T00:00:00Z")
        assert AuditRow.objects.get().reference == f"tariff:{answer.body['id']}"
        client = api.as_(stage.client())
        wanted = {"service_type": "towing", "pickup": {"lat": 36.0, "lng": 3.0}}
        assert client.post("/assistance/quote/", wanted).body["price"]["amount"] == "1500.00"
        stage.at.forward(days=20)
        fresh = stage.client()
        assert api.as_(fresh).post("/assistance/quote/", wanted).body["price"]["amount"] == "2000.00"

    def test_left_out_it_begins_now(self, stage: Stage, api: Api) -> None:
        body = {name: value for name, value in NEW.items() if name != "valid_from"}
        assert api.as_(stage.manager()).post("/tariffs/", body).body["valid_from"] == "2030-05-15T09:30:00Z"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"valid_from": "2030-05-15T09:29:59Z"}, "body.valid_from"),
            ({"valid_from": "yesterday"}, "body.valid_from"),
            ({"base": "-1"}, "body.base"),
            ({"base": "1.001"}, "body.base"),
            ({"per_km": "NaN"}, "body.per_km"),
            ({"minimum": "9999999999.00"}, "body.minimum"),
            ({"currency": "dzd"}, "body.currency"),
            ({"road_factor": "0.9"}, "body.road_factor"),
            ({"road_factor": "1.234"}, "body.road_factor"),
            ({"service_type": "flying"}, "body.service_type"),
        ],
    )
    def test_refuses_what_is_no_tariff(self, stage: Stage, api: Api, change: Any, field: str) -> None:
        answer = api.as_(stage.manager()).post("/tariffs/", {**NEW, **change})
        assert (answer.status, list(answer.fields)) == (422, [field])
        assert Tariff.objects.count() == 4

    def test_two_cannot_begin_at_once(self, stage: Stage, api: Api) -> None:
        manager = api.as_(stage.manager())
        manager.post("/tariffs/", NEW)
        assert list(manager.post("/tariffs/", NEW).fields) == ["body.valid_from"]
        assert Tariff.objects.count() == 5

    def test_is_for_managers(self, stage: Stage, api: Api) -> None:
        assert api.as_(stage.client()).post("/tariffs/", NEW).status == 403
        assert api.post("/tariffs/", NEW).status == 401
        assert Tariff.objects.count() == 4
