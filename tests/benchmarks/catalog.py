"""Searches among a hundred thousand services: words common and rare, categories, places, periods; pages 1 and 50."""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.benchmarks import listings, world
from tests.benchmarks.figures import percentile
from tests.benchmarks.stage import Bench

GROUP = "catalog"
SERVICES = 100_000
PAGES = (1, 50)
SIZE = 20


def run(bench: Bench) -> None:
    """The platform's own search in this process, on tables that were filled for it."""
    size = bench.pick(SERVICES, SERVICES // 10)
    with bench.platform() as platform, platform.database() as database:
        categories = listings.fill(database, size)
        for page in PAGES:
            spent: dict[str, list[float]] = {}
            rng = random.Random(listings.SEED)
            for _ in range(bench.pick(300, 60)):
                kind, asked = _asked(rng, categories)
                began = time.perf_counter()
                _search(asked, page)
                spent.setdefault(kind, []).append((time.perf_counter() - began) * 1000)
            title = f"search among {size:,} services, page {page}"
            everything = [one for some in spent.values() for one in some]
            bench.add(GROUP, f"{title}, p95", percentile(everything, 0.95), "ms", 60)
            for kind, some in sorted(spent.items()):
                bench.add(GROUP, f"{title}, {kind}, p95", percentile(some, 0.95), "ms")


def _search(asked: dict[str, Any], page: int) -> None:
    from backend.catalog.selectors.search import ServiceSearch, search_services  # Django is set up from here on
    from backend.catalog.selectors.shapes import show_services

    _, ids = search_services(ServiceSearch(**asked), start=(page - 1) * SIZE, size=SIZE)
    show_services(ids)


def _asked(rng: random.Random, categories: list[int]) -> tuple[str, dict[str, Any]]:
    """What people ask for: a word or two as common as in the texts, and now and then a filter or an order."""
    from backend.catalog.selectors.places import Where
    from backend.core.geo import Point

    asked: dict[str, Any] = {}
    kinds = ["all"]
    if rng.random() < 0.8:
        language = listings.Zipf(rng.randrange(10**9))
        asked["search"] = language.words(rng.choice([1, 1, 2]))
        kinds = ["words"]
    if rng.random() < 0.4:
        asked["categories"] = [rng.choice(categories)]
        kinds.append("category")
    near = free = None
    if rng.random() < 0.4:
        lat, lng = (at + rng.uniform(-0.2, 0.2) for at in world.ALGIERS)
        near = Point(lat, lng)
        kinds.append("place")
    if rng.random() < 0.3:
        start = datetime.now(UTC) + timedelta(days=rng.randint(1, 40))
        free = (start, start + timedelta(hours=1))
        kinds.append("period")
    asked["where"] = Where(near=near, radius_km=rng.choice([5, 10, 20]) if near else None, free=free)
    if "search" not in asked and rng.random() < 0.5:
        asked["ordering"] = rng.choice(["price", "-rating"])
    return " + ".join(kinds), asked
