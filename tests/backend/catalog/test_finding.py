"""The search: words, typing errors, folding, every filter by itself and together, orders, and what each list costs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.catalog import jobs, public
from backend.catalog.models import PortfolioItem, Provider, Service, Word
from backend.catalog.selectors import words
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

HERE = "36.7538,3.0588"
NOON = datetime(2030, 5, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Make = Callable[..., Member]


class Town:
    """Shops and what they offer; everything over the API."""

    def __init__(self, at: Moment, api: Api, member: Make) -> None:
        self.at, self.api, self.member = at, api, member
        self.manager = api.as_(member("manager"))

    def category(self, name: str, parent: int | None = None) -> int:
        return int(self.manager.post("/categories/", {"name": name, "parent_id": parent}).body["id"])

    def shop(self, business_name: str = "Shop", *, city: str = "Algiers", **profile: Any) -> Member:
        owner = self.member("contractor", name=f"Owner of {business_name}", city=city)
        answer = self.api.as_(owner).patch("/me/provider/", {"business_name": business_name, **profile})
        assert answer.status == 200, answer.body
        return owner

    def offer(self, owner: Member, title: str, amount: str = "10.00", **fields: Any) -> int:
        body = {"title": title, "price": {"amount": amount, "currency": "USD"}, **fields}
        answer = self.api.as_(owner).post("/services/", body)
        assert answer.status == 201, answer.body
        self.at.forward(seconds=1)
        return int(answer.body["id"])

    def titles(self, **query: Any) -> list[str]:
        answer = self.api.get("/services/", **query)
        assert answer.status == 200, answer.body
        assert answer.body["count"] == len(answer.body["results"])
        return [one["title"] for one in answer.body["results"]]

    def names(self, **query: Any) -> list[str]:
        answer = self.api.get("/providers/", **query)
        assert answer.status == 200, answer.body
        assert answer.body["count"] == len(answer.body["results"])
        return [one["business_name"] for one in answer.body["results"]]

    def rate(self, owner: Member, *ratings: int) -> None:
        for rating in ratings:
            author = self.api.as_(self.member("client"))
            assert author.post(f"/providers/{owner.id}/reviews/", {"rating": rating}).status == 201

    @staticmethod
    def learn_words() -> None:
        """What the timetable does, and what a process does after a minute."""
        jobs.renew_vocabulary(now=NOON)
        words.forget_vocabulary()


@pytest.fixture
def town(at: Moment, api: Api, member: Make) -> Town:
    words.forget_vocabulary()
    return Town(at, api, member)


class TestWords:
    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("leaking tap", ["Leaking tap repaired", "Tap not leaking any more"]),
            ("tap leak", ["Leaking tap repaired", "Tap not leaking any more"]),
            ("leak tap", []),  # the last word alone may be a beginning
            ('"leaking tap"', ["Leaking tap repaired"]),
            ('"tap leaking"', []),
            ("tap -repaired", ["Tap not leaking any more"]),
            ('tap -"not leaking"', ["Leaking tap repaired"]),
            ("TAP", ["Leaking tap repaired", "Tap not leaking any more"]),
            ("-tap", []),
            ('""', []),
            ("?!", []),
            ("'); DROP TABLE catalog_service; --", []),
            ("tap:*|!repaired", ["Leaking tap repaired"]),
        ],
    )
    def test_are_all_found_in_any_order(self, town: Town, search: str, found: list[str]) -> None:
        shop = town.shop()
        for title in ("Leaking tap repaired", "Tap not leaking any more", "Roof"):
            town.offer(shop, title)
        assert sorted(town.titles(search=search)) == found

    def test_in_the_title_come_before_those_in_the_description(self, town: Town) -> None:
        shop = town.shop()
        town.offer(shop, "Roof mended")
        town.offer(shop, "Rain", description="Before it comes through your roof")
        assert town.titles(search="roof") == ["Roof mended", "Rain"]

    @pytest.mark.parametrize(
        ("kept", "typed"),
        [
            ("Réparation d'élévateur", "reparation elevateur"),
            ("Depannage", "dépannage"),
            ("Чёрный ход", "черный"),
            ("Черный ход", "чёрный"),
            ("مُهَنْدِس كهرباء", "مهندس"),
            ("أقفال وأبواب", "اقفال"),
            ("سباكة", "سباكه"),
            ("Straße kehren", "strasse"),
            ("Smørrebrød", "smorrebrod"),
            ("Łódź", "lodz"),
            ("ISTANBUL turu", "ıstanbul"),  # noqa: RUF001
            ("١٢٣ شارع", "123"),
        ],
    )
    def test_are_compared_without_accents(self, town: Town, kept: str, typed: str) -> None:
        town.offer(town.shop(), kept)
        assert town.titles(search=typed) == [kept]


class TestTypingErrors:
    @pytest.mark.parametrize(
        "typed",
        ["plumbng", "plumbbing", "plumbign", "plimbing", "pulmbin", "Plumbng pipes", "pipes plumbng"],
    )
    def test_are_mended_where_nothing_is_found(self, town: Town, typed: str) -> None:
        """Seen red with the second search left out."""
        shop = town.shop()
        town.offer(shop, "Plumbing: pipes and taps")
        town.offer(shop, "Painting")
        assert town.titles(search=typed) == []
        town.learn_words()
        assert town.titles(search=typed) == ["Plumbing: pipes and taps"]

    @pytest.mark.parametrize("typed", ["tpa", "plxmbxnx", "zzzzzzzz", '"pipes plumbng"', "-plumbng"])
    def test_are_left_where_nothing_is_near(self, town: Town, typed: str) -> None:
        town.offer(town.shop(), "Plumbing: pipes and taps")
        town.learn_words()
        assert town.titles(search=typed) == []

    def test_never_hide_what_was_typed(self, town: Town) -> None:
        shop = town.shop()
        for title in ("Painting", "Painting", "Printing"):
            town.offer(shop, title)
        town.learn_words()
        assert town.titles(search="printing") == ["Printing"]
        assert town.titles(search="pxinting") == ["Painting", "Painting"]

    def test_are_mended_in_names_of_providers(self, town: Town) -> None:
        town.shop("Haddad Plumbing")
        town.learn_words()
        assert town.names(search="hadadd") == ["Haddad Plumbing"]

    def test_are_mended_to_what_can_be_found_alone(self, town: Town) -> None:
        """Words of what was archived are forgotten, and counted once however often they are renewed."""
        shop = town.shop("Locks")
        gone = town.offer(shop, "Chandelier hung")
        town.offer(shop, "Doorbell, doorbell, doorbell")
        for _ in range(2):
            town.learn_words()
            uses = dict(Word.objects.filter(word__in=["chandelier", "doorbell"]).values_list("word", "uses"))
            assert uses == {"chandelier": 1, "doorbell": 1}
        town.api.as_(shop).delete(f"/services/{gone}/")
        town.learn_words()
        assert not Word.objects.filter(word="chandelier").exists()
        assert town.titles(search="chandelir") == []
        assert not Word.objects.filter(word__in=["tap", "10"]).exists()


class TestFiltersOfServices:
    """Z7: each by itself, all together, and nothing else. Five services, of which one fits them all."""

    @pytest.fixture
    def query(self, town: Town) -> dict[str, Any]:
        root = town.category("Home")
        leaf = town.category("Water", root)
        near: dict[str, Any] = {"location": {"lat": 36.75, "lng": 3.06}, "service_radius_km": 10}
        shop = town.shop("Near", **near)
        public.set_openings(
            provider_id=shop.id, calendars=[public.OpenCalendar([(NOON, NOON + 2 * HOUR)])], now=town.at.now
        )
        far = town.shop("Far", location={"lat": 36.1, "lng": 3.06}, service_radius_km=10)
        public.set_openings(
            provider_id=far.id, calendars=[public.OpenCalendar([(NOON, NOON + 2 * HOUR)])], now=town.at.now
        )
        busy = town.shop("Busy", **near)
        public.set_openings(
            provider_id=busy.id, calendars=[public.OpenCalendar([(NOON, NOON + HOUR / 2)])], now=town.at.now
        )
        town.offer(shop, "Fits tap", "20.00", category=leaf)
        town.offer(shop, "Cheap tap", "5.00", category=leaf)
        town.offer(shop, "Elsewhere", "20.00")
        town.offer(far, "Far tap", "30.00", category=leaf)
        town.offer(busy, "Busy tap", "20.00", category=root)
        return {
            "search": "tap",
            "category": root,
            "provider": shop.id,
            "min_price": "10.00",
            "max_price": "25.00",
            "near": HERE,
            "free_from": NOON.isoformat(),
            "free_to": (NOON + HOUR).isoformat(),
        }

    def test_hold_by_themselves(self, town: Town, query: dict[str, Any]) -> None:
        """Seen red with `min_price` left out of the statement."""
        every = {"Fits tap", "Cheap tap", "Elsewhere", "Far tap", "Busy tap"}
        without = {
            "search": {"Elsewhere"},
            "category": {"Elsewhere"},
            "provider": {"Far tap", "Busy tap"},
            "min_price": {"Cheap tap"},
            "max_price": {"Far tap"},
            "near": {"Far tap"},
        }
        assert set(town.titles()) == every
        for name, gone in without.items():
            assert set(town.titles(**{name: query[name]})) == every - gone, name
        free = {name: query[name] for name in ("free_from", "free_to")}
        assert set(town.titles(**free)) == every - {"Busy tap"}
        assert town.titles(**query) == ["Fits tap"]

    def test_of_distance_count_the_smaller_radius(self, town: Town, query: dict[str, Any]) -> None:
        assert set(town.titles(near=HERE, radius_km=0.1)) == set()
        assert "Far tap" not in town.titles(near=HERE, radius_km=500)

    def test_are_all_there_are(self, town: Town, query: dict[str, Any]) -> None:
        for wrong in (
            {"provider__user__password__startswith": "a"},
            {"ordering": "password"},
            {"ordering": "provider"},
            {"order_by": "price"},
            {"is_shown": "false"},
            {"min_price": "cheap"},
            {"min_price": "-1"},
            {"min_price": "1e9"},
            {"min_price": "NaN"},
            {"near": "91,0"},
            {"near": "nan,0"},
            {"near": "36.7"},
            {"radius_km": 10},
            {"near": HERE, "radius_km": 0},
            {"near": HERE, "radius_km": "inf"},
            {"ordering": "distance"},
            {"free_from": query["free_from"]},
            {"free_from": query["free_to"], "free_to": query["free_from"]},
            {"free_from": "0001-01-01T00:00:00Z", "free_to": "9999-12-31T23:59:59Z"},
            {"category": 0},
            {"search": "x" * 201},
            {"search": "a\x00b"},
            {"page": 0},
            {"page": 10**12},
            {"page_size": 101},
        ):
            assert town.api.get("/services/", **wrong).status == 422, wrong
        for empty in (
            {"category": 10**12},
            {"provider": 10**12},
            {"min_price": "30", "max_price": "20"},
        ):
            assert town.titles(**empty) == [], empty

    @pytest.mark.parametrize("sign", ["", "-"])
    def test_can_be_ordered(self, town: Town, query: dict[str, Any], sign: str) -> None:
        orders = {
            "price": ["Cheap tap", "Fits tap", "Elsewhere", "Busy tap", "Far tap"],
            "created_at": ["Fits tap", "Cheap tap", "Elsewhere", "Far tap", "Busy tap"],
        }
        for name, expected in orders.items():
            assert town.titles(ordering=f"{sign}{name}") == (expected[::-1] if sign else expected)


class TestFiltersOfProviders:
    """Z7, likewise."""

    @pytest.fixture
    def query(self, town: Town) -> dict[str, Any]:
        root = town.category("Home")
        leaf = town.category("Water", root)
        full: dict[str, Any] = {
            "business_description": "Taps",
            "categories": [leaf],
            "location": {"lat": 36.75, "lng": 3.06},
            "service_radius_km": 30,
            "years_of_experience": 12,
        }
        fits = town.shop("Fits", **full)
        low = town.shop("Low", **full)
        town.shop("Young", **{**full, "years_of_experience": 3})
        town.shop("Close", **{**full, "service_radius_km": 20})
        town.shop("Bare", **{**full, "business_description": ""})
        town.shop("Oran", city="Oran", **full)
        town.shop("Far", **{**full, "location": {"lat": 36.0, "lng": 3.06}})
        town.shop("Other", **{**full, "categories": [town.category("Roofs")]})
        busy = town.shop("Busy", **full)
        for owner, rating in ((fits, 5), (low, 2)):
            town.rate(owner, rating)
        public.set_openings(provider_id=busy.id, calendars=[], now=town.at.now)
        return {
            "search": "taps",
            "categories": root,
            "min_years_of_experience": 10,
            "min_service_radius_km": 25,
            "is_onboarded": "true",
            "city": "algiers",
            "near": HERE,
            "min_rating": 4,
            "free_from": NOON.isoformat(),
            "free_to": (NOON + HOUR).isoformat(),
        }

    def test_hold_by_themselves(self, town: Town, query: dict[str, Any]) -> None:
        every = {"Fits", "Low", "Young", "Close", "Bare", "Oran", "Far", "Other", "Busy"}
        assert set(town.names()) == every
        without = {
            "search": {"Bare"},
            "categories": {"Other"},
            "min_years_of_experience": {"Young"},
            "min_service_radius_km": {"Close"},
            "is_onboarded": {"Bare"},
            "city": {"Oran"},
            "near": {"Far"},
            "min_rating": every - {"Fits"},
        }
        for name, gone in without.items():
            assert set(town.names(**{name: query[name]})) == every - gone, name
        free = {name: query[name] for name in ("free_from", "free_to")}
        assert set(town.names(**free)) == every - {"Busy"}
        assert town.names(**query) == ["Fits"]
        assert town.names(is_onboarded="false") == ["Bare"]

    def test_are_all_there_are(self, town: Town, query: dict[str, Any]) -> None:
        for wrong in (
            {"user__email__startswith": "a"},
            {"ordering": "license_number"},
            {"is_listed": "false"},
            {"license_number": "1"},
            {"min_rating": 6},
            {"min_rating": "nan"},
            {"min_years_of_experience": -1},
            {"min_service_radius_km": 10**9},
            {"is_onboarded": "perhaps"},
            {"expand": "services"},
            {"city": "x" * 101},
        ):
            assert town.api.get("/providers/", **wrong).status == 422, wrong

    def test_can_be_ordered(self, town: Town, query: dict[str, Any]) -> None:
        assert town.names(ordering="business_name")[:2] == ["Bare", "Busy"]
        assert town.names(ordering="years_of_experience")[0] == "Young"
        assert town.names(ordering="-rating")[:2] == ["Fits", "Low"]
        assert town.names(ordering="distance", near="36.0,3.06", min_years_of_experience=10)[0] == "Far"


class TestCost:
    """The same number of queries however many there are."""

    @pytest.mark.parametrize("many", [1, 4])
    def test_of_every_list(
        self, town: Town, at: Moment, django_assert_num_queries: DjangoAssertNumQueries, many: int
    ) -> None:
        for index in range(many):
            place: dict[str, Any] = {"location": {"lat": 36.75, "lng": 3.06}, "service_radius_km": 10}
            owner = town.shop(f"Shop {index}", categories=[town.category(f"Category {index}")], **place)
            town.offer(owner, f"Plumbing {index}")
            town.rate(owner, 5)
            for _ in range(many):
                PortfolioItem.objects.create(
                    provider_id=owner.id,
                    title="Roof",
                    picture=f"pictures/{index}",
                    created_at=at.now,
                    updated_at=at.now,
                )
        town.learn_words()
        town.titles(search="plumbign")  # the vocabulary is read once a minute
        mine, near = town.api.as_(owner), {"near": HERE}
        for most, api, path, query in (
            (2, town.api, "/categories/", {}),
            (3, town.api, "/services/", {}),
            (4, town.api, "/services/", {"search": "plumbing"}),
            (5, town.api, "/services/", {"search": "plumbign"}),
            (4, town.api, "/services/", {**near, "ordering": "-rating"}),
            (5, town.api, "/providers/", {}),
            (9, town.api, "/providers/", {"search": "shop", "expand": ["portfolio", "reviews"]}),
            (3, mine, "/me/portfolio/", {}),
            (4, town.api, f"/providers/{owner.id}/reviews/", {}),
            (8, town.api, f"/providers/{owner.id}/", {}),
        ):
            with django_assert_num_queries(most):
                assert api.get(path, **query).status == 200


def test_a_provider_who_never_said_a_name_is_in_no_list(town: Town) -> None:
    owner = town.member("contractor")
    town.offer(owner, "Tap")
    assert (Provider.objects.count(), Service.objects.count(), town.names(), town.titles()) == (1, 1, [], ["Tap"])
