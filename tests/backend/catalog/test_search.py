"""The search finds what one finds who looks at every service, however it goes about it."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import User
from backend.catalog.models import OWN_RADIUS_KM, CalendarOpenings, Category, Provider, ProviderStanding, Service
from backend.catalog.selectors import search
from backend.catalog.selectors.places import Where
from backend.catalog.selectors.search import ServiceSearch, search_services
from backend.catalog.selectors.words import read_words
from backend.core.geo import Point, haversine_m, project
from tests.servers import servers, with_database

pytestmark = pytest.mark.django_db

AT = datetime(2030, 5, 15, tzinfo=UTC)
WORDS = "alpha beta gamma delta omega sigma kappa".split()
FEW, MOST = 12, 60


@pytest.fixture
def town(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """Forty providers around one place, 240 services. Twelve are few, and sixty are as many as are counted."""
    monkeypatch.setattr(search, "FEW", FEW)
    monkeypatch.setattr(search, "MOST", MOST)
    rng = random.Random(5)
    common = {"created_at": AT, "updated_at": AT}
    people = User.objects.bulk_create(
        User(username=f"p{n}", email=f"p{n}@example.org", name="P", roles=["contractor"], password="!", **common)
        for n in range(40)
    )
    categories = Category.objects.bulk_create(Category(name=name, **common) for name in ("Roof", "Well"))
    for person in people:
        lat, lng = 36.7 + rng.uniform(-0.5, 0.5), 3 + rng.uniform(-0.5, 0.5)
        x, y = project(Point(lat, lng))
        radius = rng.choice([None, 5, 20, 60])
        Provider.objects.create(
            user=person, name="P", city="", is_listed=True, lat=lat, lng=lng, position=(x, y),
            service_radius_km=radius, **common,
        )  # fmt: skip
        if rng.random() < 0.8:
            ProviderStanding.objects.create(user=person, rating_count=(n := rng.randint(0, 3)), rating_sum=4 * n)
        if rng.random() < 0.7:
            for place in range(rng.choice([1, 1, 2])):
                starts = [AT + timedelta(days=day, hours=rng.randint(6, 12)) for day in range(5)]
                CalendarOpenings.objects.create(
                    provider=person, place=place, notice_minutes=rng.choice([0, 0, 60 * 24 * 2]), updated_at=AT,
                    periods=[(start, start + timedelta(hours=4)) for start in starts],
                )  # fmt: skip
    Service.objects.bulk_create(
        Service(
            provider_id=rng.choice(people).pk, category=(category := rng.choice(categories)), currency="DZD", price=100,
            title=" ".join(rng.sample(WORDS, 2)), description=" ".join(rng.choices(WORDS, k=3)),
            duration_minutes=rng.choice([30, 60, 60, 61]),
            price_thousandths=rng.randint(1, 30), category_words=category.name, is_shown=rng.random() < 0.9,
            created_at=AT + timedelta(minutes=rng.randint(0, 60)), updated_at=AT,
        )
        for _ in range(240)
    )  # fmt: skip
    for one in CalendarOpenings.objects.all():
        offered = list(Service.objects.filter(provider_id=one.provider_id).values_list("pk", flat=True))
        if offered and rng.random() < 0.4:
            one.service_ids = rng.sample(offered, rng.randint(1, len(offered)))
            one.save()
    return rng


def asked_at_random(rng: random.Random) -> ServiceSearch:
    share = rng.choice([0.1, 0.4])
    near = Point(36.7 + rng.uniform(-0.3, 0.3), 3 + rng.uniform(-0.3, 0.3)) if rng.random() < share else None
    start = AT + timedelta(days=rng.randint(0, 4), hours=rng.randint(6, 14))
    orders = [None, None, None, None, "price", "-price", "created_at", "-created_at", "rating", "-rating"]
    asked: dict[str, Any] = {
        "search": " ".join(rng.sample(WORDS, rng.choice([1, 1, 2]))) if rng.random() < 0.6 else "",
        "categories": [Category.objects.first().pk] if rng.random() < 0.3 else None,  # type: ignore[union-attr]
        "provider_id": rng.choice(Provider.objects.values_list("pk", flat=True)) if rng.random() < 0.1 else None,
        "min_price": 10 if rng.random() < share else None,
        "max_price": 25 if rng.random() < share else None,
        "ordering": rng.choice([*orders, "distance", "-distance"] if near else orders),
        "where": Where(
            near=near,
            radius_km=rng.choice([None, 10, 30]) if near else None,
            free=(start, start + timedelta(hours=1)) if rng.random() < share else None,
            now=AT,
        ),
    }
    return ServiceSearch(**asked)


def looked_at_all(asked: ServiceSearch) -> list[int]:
    """What matches, in its order: one service after the other, in Python."""
    words = {}
    if asked.search:
        query = read_words(asked.search).tsquery
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, head @@ %(q)s::tsquery, ts_rank(words, %(q)s::tsquery) FROM catalog_service"
                " WHERE words @@ %(q)s::tsquery",
                {"q": query},
            )
            words = {pk: (is_head, rank) for pk, is_head, rank in cursor.fetchall()}
    rows = Service.objects.filter(is_shown=True).select_related("provider")
    standings = ProviderStanding.objects.in_bulk()
    openings: dict[int, list[CalendarOpenings]] = {}
    for calendar in CalendarOpenings.objects.all():
        openings.setdefault(calendar.provider_id, []).append(calendar)
    found = [
        one
        for one in rows
        if (not asked.search or one.pk in words) and _matches(one, asked, openings.get(one.provider_id))
    ]

    def newest(one: Service) -> tuple[Any, ...]:
        return (-one.created_at.timestamp(), -one.pk)

    def place(one: Service) -> tuple[Any, ...]:
        provider, standing = one.provider, standings.get(one.provider_id)
        if asked.ordering in {"distance", "-distance"}:
            sign = -1 if asked.ordering == "-distance" else 1
            assert asked.where.near is not None
            return (sign * _metres(provider, asked.where.near), provider.pk, -one.pk)
        sign = -1 if asked.ordering == "-rating" else 1
        average, count = (standing.average, standing.rating_count) if standing else (None, None)
        return (
            average is None, sign * (average or 0),
            count is not None if sign < 0 else count is None, sign * (count or 0), sign * provider.pk, -one.pk,
        )  # fmt: skip

    if asked.ordering is None and asked.search:
        is_few = len(found) <= search.FEW
        found.sort(key=lambda one: (not words[one.pk][0], -words[one.pk][1] if is_few else 0, *newest(one)))
    elif asked.ordering is None:
        found.sort(key=newest)
    elif asked.ordering.lstrip("-") in {"rating", "distance"}:
        found.sort(key=place)
    else:
        name = {"price": "price_thousandths"}.get(asked.ordering.lstrip("-"), "created_at")
        found.sort(key=lambda one: (getattr(one, name), one.pk), reverse=asked.ordering.startswith("-"))
    return [one.pk for one in found]


def _metres(provider: Provider, near: Point) -> float:
    assert provider.lat is not None
    assert provider.lng is not None
    return haversine_m(near, Point(provider.lat, provider.lng))


def _matches(one: Service, asked: ServiceSearch, opens: list[CalendarOpenings] | None) -> bool:
    where, provider = asked.where, one.provider
    if asked.categories is not None and one.category_id not in asked.categories:
        return False
    if asked.provider_id is not None and one.provider_id != asked.provider_id:
        return False
    if not (asked.min_price or 0) <= one.price_thousandths <= (asked.max_price or 10**9):
        return False
    if where.near is not None:
        own = provider.service_radius_km or OWN_RADIUS_KM
        if _metres(provider, where.near) > 1000 * min(own, where.radius_km or 10**9):
            return False
    if where.free is not None:
        start, end = where.free
        if start + timedelta(minutes=one.duration_minutes) > end:
            return False
        if opens is not None and not any(
            calendar.notice_minutes <= (start - AT) / timedelta(minutes=1)
            and (not calendar.service_ids or one.pk in calendar.service_ids)
            and any(opening <= start and end <= closing for opening, closing in calendar.periods or [])
            for calendar in opens
        ):
            return False
    return True


class TestSearch:
    def test_gives_every_page_of_what_looking_at_all_gives(
        self, town: random.Random, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Red with `<` for `<=` at the few, without `NOT` in the second part of relevance, without the last key of
        the providers' order, with that order left to their ids, without the bound, and with hidden services."""
        sizes = set()
        for _ in range(70):
            asked = asked_at_random(town)
            # Also where exactly as many match as are few, or one more.
            monkeypatch.setattr(
                search, "FEW", town.choice([FEW, count := min(len(looked_at_all(asked)), MOST - 1), count - 1])
            )
            expected = looked_at_all(asked)
            for start, size in ((0, 10), (10, 7), (40, 30)):
                page = (min(len(expected), MOST), expected[start : start + size])
                assert search_services(asked, start=start, size=size) == page, asked
            sizes.add(len(expected) > 0 and (len(expected) > FEW) + (len(expected) >= MOST) + 1)
        assert sizes == {False, 1, 2, 3}  # none, few, more, and too many

    @pytest.mark.parametrize(
        ("fields", "queries"),
        [
            ({}, 1),
            ({"search": "alpha"}, 2),
            ({"where": Where(near=Point(36.7, 3), radius_km=60)}, 2),
            ({"search": "alpha", "where": Where(free=(AT, AT + timedelta(hours=1))), "ordering": "-rating"}, 3),
        ],
    )
    def test_asks_so_often(
        self, town: random.Random, monkeypatch: pytest.MonkeyPatch,
        django_assert_num_queries: DjangoAssertNumQueries, fields: dict[str, Any], queries: int,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(search, "MOST", 1000)
        with django_assert_num_queries(queries):
            search_services(ServiceSearch(**fields), start=0, size=20)
        # Of too many, the page is asked for by itself; by relevance in two parts.
        monkeypatch.setattr(search, "MOST", 1)
        with django_assert_num_queries(queries + (2 if fields == {"search": "alpha"} else 1)):
            search_services(ServiceSearch(**fields), start=0, size=100)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How PostgreSQL goes about each statement of the search, were the tables large."""
    found: list[str] = []
    original = search._rows

    def explained(statement: str, values: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", values)
            found.append("\n".join(line for (line,) in cursor.fetchall()))
        return original(statement, values)

    monkeypatch.setattr(search, "_rows", explained)
    return found


def _settle_elsewhere(count: int) -> None:
    """So many providers far away, each with two services: of a few, reading all is the quickest way."""
    common = {"created_at": AT, "updated_at": AT}
    people = User.objects.bulk_create(
        User(username=f"f{n}", email=f"f{n}@example.org", name="F", roles=["contractor"], password="!", **common)
        for n in range(count)
    )
    x, y = project(Point(48.8, 2.3))
    Provider.objects.bulk_create(
        Provider(user=one, name="F", city="", is_listed=True, lat=48.8, lng=2.3, position=(x + n, y + n), **common)
        for n, one in enumerate(people)
    )
    Service.objects.bulk_create(
        Service(
            provider_id=one.pk, currency="EUR", price=100, title="Elsewhere", duration_minutes=60, price_thousandths=9,
            is_shown=True, **common,
        )
        for one in 2 * people
    )  # fmt: skip
    # Otherwise the planner believes what autovacuum saw of other tests, and counts what words were added lately.
    name = connection.settings_dict["NAME"]
    with psycopg.connect(with_database(servers()["owner"], name), autocommit=True) as owner:
        owner.execute(f"GRANT MAINTAIN ON catalog_service, catalog_provider TO {connection.settings_dict['USER']}")
    with connection.cursor() as cursor:
        for table in ("catalog_service", "catalog_provider"):
            cursor.execute(f"REINDEX TABLE {table}")
            cursor.execute(f"ANALYZE {table}")


class TestPlans:
    def test_words_places_and_providers_are_looked_up(self, town: random.Random, plans: list[str]) -> None:
        """Red without the condition that both indexes have, `is_shown` and `is_listed`."""
        _settle_elsewhere(2000)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_indexscan = off")  # a small table is soon read through any index
        search_services(ServiceSearch(search="alpha"), start=0, size=20)
        assert "service_words" in plans[0]
        plans.clear()
        search_services(ServiceSearch(where=Where(near=Point(36.7, 3), radius_km=60)), start=0, size=20)
        assert "provider_place" in plans[0]
        assert "service_of_provider" in plans[1]

    def test_of_too_many_an_index_gives_the_order(
        self, town: random.Random, plans: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "MOST", 1)
        for ordering, index in (("price", "service_price"), (None, "service_age")):
            search_services(replace(ServiceSearch(), ordering=ordering), start=0, size=20)
            assert index in plans.pop()
            plans.clear()

    def test_pages_cost_alike_wherever_they_are(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW random_page_cost")
            assert cursor.fetchone() == ("1.1",)
