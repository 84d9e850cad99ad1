"""Every order that a list can have, with ties and page by page; and places on both sides of the date line."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.backend.catalog.test_finding import Make, Town
from tests.conftest import Moment
from tests.support.api import Api

pytestmark = pytest.mark.django_db

NEAR = "36.75,3.06"
_SOUTH = {"location": {"lat": 36.70, "lng": 3.06}}
_HERE = {"location": {"lat": 36.75, "lng": 3.06}}
_NORTH = {"location": {"lat": 36.85, "lng": 3.06}}


@pytest.fixture
def town(at: Moment, api: Api, member: Make) -> Town:
    return Town(at, api, member)


@pytest.fixture
def shops(town: Town) -> Mapping[str, Any]:
    """Six of them; of each order two are alike, and the ids decide."""
    made = {}
    profiles: dict[str, dict[str, Any]] = {
        "Delta": {"years_of_experience": 3, **_HERE},
        "Alpha": {"years_of_experience": 12, **_NORTH},
        "Beta": {"years_of_experience": 3, **_SOUTH},
        "Beta ": {"years_of_experience": 30, **_SOUTH},  # the same name, and a later id
        "Gamma": _HERE,
        "Epsilon": _NORTH,
    }
    for name, profile in profiles.items():
        made[name] = town.shop(name, service_radius_km=100, **profile)
        if name in {"Alpha", "Gamma"}:
            town.at.forward(seconds=1)
    town.rate(made["Delta"], 5)
    town.rate(made["Alpha"], 5, 5)
    town.rate(made["Beta"], 4)
    town.rate(made["Beta "], 4)
    return made


def by_pages(api: Api, path: str, query: Mapping[str, Any], *, size: int) -> list[dict[str, Any]]:
    """All rows, a page at a time, by the addresses that the pages name."""
    answer = api.get(path, page_size=size, **query)
    rows = list(answer.body["results"])
    while answer.body["next"]:
        answer = api.get(answer.body["next"].removeprefix("/api/v1"))
        assert answer.status == 200
        rows += answer.body["results"]
    assert answer.body["count"] == len(rows)
    return rows


ORDERS_OF_PROVIDERS = {
    "business_name": "Alpha Beta Beta2 Delta Epsilon Gamma",
    "-business_name": "Gamma Epsilon Delta Beta2 Beta Alpha",
    "years_of_experience": "Delta Beta Alpha Beta2 Gamma Epsilon",
    "-years_of_experience": "Beta2 Alpha Beta Delta Epsilon Gamma",
    "created_at": "Delta Alpha Beta Beta2 Gamma Epsilon",
    "-created_at": "Epsilon Gamma Beta2 Beta Alpha Delta",
    "rating": "Beta Beta2 Delta Alpha Gamma Epsilon",
    "-rating": "Alpha Delta Beta2 Beta Epsilon Gamma",
    "distance": "Delta Gamma Beta Beta2 Alpha Epsilon",
    "-distance": "Alpha Epsilon Beta Beta2 Delta Gamma",
    "": "Epsilon Gamma Beta2 Beta Alpha Delta",
}
ORDERS_OF_SERVICES = {
    "price": "c d b a",
    "-price": "a b d c",
    "created_at": "a b c d",
    "-created_at": "d c b a",
    "rating": "c b a d",
    "-rating": "b a c d",
    "distance": "b a d c",
    "-distance": "c b a d",
    "": "d c b a",
}


class TestOrders:
    def test_of_providers_are_total_over_all_pages(self, town: Town, shops: Mapping[str, Any]) -> None:
        """Seen red with the ids left out of the order by rating, and turned round in that by distance."""
        named = {shop.id: name.replace(" ", "2") for name, shop in shops.items()}
        for ordering, expected in ORDERS_OF_PROVIDERS.items():
            query = {"near": NEAR, **({"ordering": ordering} if ordering else {})}
            for size in (1, 4, 100):
                rows = by_pages(town.api, "/providers/", query, size=size)
                assert " ".join(named[row["id"]] for row in rows) == expected, (ordering, size)

    def test_of_services_are_total_over_all_pages(self, town: Town, shops: Mapping[str, Any]) -> None:
        """Two are made at one moment, two cost the same, two are one provider's. Seen red with the services' ids left
        out of the order of their providers, and out of that by price."""
        for title, owner, amount in (
            ("a", "Delta", "30"),
            ("b", "Delta", "20"),
            ("c", "Beta", "10"),
            ("d", "Gamma", "10"),
        ):
            body = {"title": title, "price": {"amount": f"{amount}.00", "currency": "USD"}}
            assert town.api.as_(shops[owner]).post("/services/", body).status == 201
            if title == "b":
                town.at.forward(seconds=1)
        for ordering, expected in ORDERS_OF_SERVICES.items():
            query = {"near": NEAR, **({"ordering": ordering} if ordering else {})}
            for size in (1, 3, 100):
                rows = by_pages(town.api, "/services/", query, size=size)
                assert " ".join(row["title"] for row in rows) == expected, (ordering, size)


class TestTheRadiusOfWhoDoesNotSay:
    def test_is_fifty_kilometres(self, town: Town) -> None:
        """Seen red with no end to it."""
        for name, lng in (("Comes", 3.06 + 49.9 / 111.195), ("Stays", 3.06 + 50.1 / 111.195)):
            town.offer(town.shop(name, location={"lat": 0, "lng": lng}), name)
        assert (town.names(near="0,3.06"), town.titles(near="0,3.06")) == (["Comes"], ["Comes"])
        assert town.names(near="0,3.06", radius_km=500) == ["Comes"]
        fields = town.api.get("/openapi.json").body["components"]["schemas"]
        for schema in ("ProviderIn", "ProviderChangeIn", "ProviderOut"):
            assert fields[schema]["properties"]["service_radius_km"]["description"].endswith("null: 50.")


class TestTheDateLine:
    def test_is_no_border(self, town: Town) -> None:
        """Seen red with the map's second circle left out, and with the shift to the wrong side."""
        for name, at in (("West", 179.8), ("East", -179.7), ("Far", -179.0), ("Other side", 0.1)):
            owner = town.shop(name, location={"lat": -17, "lng": at}, service_radius_km=60)
            town.offer(owner, name)
        for lng in (179.9, -179.9, 180, -180):
            near = {"near": f"-17,{lng}"}
            expected = ["East", "West"] if lng == -179.9 else ["West", "East"]
            assert town.names(**near, ordering="distance") == expected
            assert town.titles(**near, ordering="distance") == expected
            assert town.names(**near, ordering="-distance") == expected[::-1]
            assert set(town.titles(**near)) == {"West", "East"}
            shown = {
                one["business_name"]: one["distance_km"] for one in town.api.get("/providers/", **near).body["results"]
            }
            degree = 106.5  # kilometres of one degree of longitude at 17 degrees south
            for name, at in (("West", 179.8), ("East", 180.3)):
                assert abs(shown[name] - abs(at - lng % 360) * degree) < 0.5, name
            assert town.names(near=f"-17,{lng}", radius_km=5) == []
