"""Searches among a hundred thousand services over HTTP: words common and rare, categories, places, periods; pages 1 and
50. And how long after a booking the search knows of it."""

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec

from tests.benchmarks import listings, world
from tests.benchmarks.figures import percentile
from tests.benchmarks.http import Load, drive, request
from tests.benchmarks.machine import SERVER_CORE, cpu_seconds, pin
from tests.benchmarks.stage import Bench, Platform

GROUP = "catalog"
SERVICES = 100_000
PAGES = (1, 50)
SIZE = 20
SECONDS_BEHIND = 3
Query = list[tuple[str, object]]


def run(bench: Bench) -> None:
    """The platform's own backend, on tables that were filled for it."""
    size = bench.pick(SERVICES, SERVICES // 10)
    with bench.platform("backend", BACKEND_WORKERS="1", RATE_LIMITS="false") as platform:
        with platform.database() as database:
            categories = listings.fill(database, size)
        pin(platform.pid("backend"), SERVER_CORE)
        for page in PAGES:
            asyncio.run(_search(bench, platform, categories, size, page))
    with bench.platform("backend", "worker", "relay", RATE_LIMITS="false") as platform:
        asyncio.run(_follow(bench, platform))


async def _search(bench: Bench, platform: Platform, categories: list[int], size: int, page: int) -> None:
    """One after the other, as one client: how long an answer takes. The first twenty warm the process up."""
    rng = random.Random(listings.SEED)
    asked = [_asked(rng, categories) for _ in range(bench.pick(500, 60))]
    paths = [f"/api/v1/services/?{urlencode([*query, ('page', page), ('page_size', SIZE)])}" for _, query in asked]
    await _load(platform, paths[-20:])
    before = cpu_seconds([platform.pid("backend")])
    load = await _load(platform, paths)
    spent = (cpu_seconds([platform.pid("backend")]) - before) / len(paths) * 1000
    title = f"search among {size:,} services, page {page}"
    bench.add(GROUP, f"{title}, p95", percentile(load.milliseconds, 0.95), "ms", 60)
    bench.add(GROUP, f"{title}, median", percentile(load.milliseconds, 0.5), "ms")
    bench.add(GROUP, f"{title}, CPU of the backend", spent, "ms")
    kinds: dict[str, list[float]] = {}
    for (kind, _), milliseconds in zip(asked, load.milliseconds, strict=True):
        kinds.setdefault(kind, []).append(milliseconds)
    for kind, some in sorted(kinds.items()):
        bench.add(GROUP, f"{title}, {kind}, p95", percentile(some, 0.95), "ms")


async def _load(platform: Platform, paths: list[str]) -> Load:
    load = await drive(
        ("127.0.0.1", platform.ports["backend"]), [request("GET", path, "-") for path in paths], connections=1
    )
    if set(load.statuses) != {200}:
        raise RuntimeError(f"{dict(load.statuses)} {load.last_body[:300]!r}")
    return load


async def _follow(bench: Bench, platform: Platform) -> None:
    """Somebody books one provider's hours one after the other; until the search no more calls them free then."""
    tag = f"follow{datetime.now(UTC):%H%M%S%f}-"
    with platform.database() as database:
        ((shop, session),) = world.people(database, tag, "contractor", 1)
        ((client, client_session),) = world.people(database, f"{tag}c", "client", 1)
    owner, guest = platform.token(shop, session, "contractor"), platform.token(client, client_session, "client")
    address = ("127.0.0.1", platform.ports["backend"])
    service = {"title": "Haircut", "price": {"amount": "10.00", "currency": "DZD"}, "duration_minutes": 60}
    await drive(address, [request("POST", "/api/v1/services/", owner, service)], connections=1)
    noon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    behind = []
    for number in range(bench.pick(30, 5)):
        start, end = noon + timedelta(hours=2 * number), noon + timedelta(hours=2 * number + 1)
        free = urlencode({"provider": shop, "free_from": start.isoformat(), "free_to": end.isoformat()})
        look = request("GET", f"/api/v1/services/?{free}", owner)
        wish = {"provider": shop, "starts_at": start, "ends_at": end}
        booked = await drive(address, [look, request("POST", "/api/v1/bookings/", guest, wish)], connections=1)
        began = time.perf_counter()
        if dict(booked.statuses) != {200: 1, 201: 1} or not _count(booked.bodies[0]):
            raise RuntimeError(f"{dict(booked.statuses)} {booked.last_body[:300]!r}")
        while _count((await drive(address, [look], connections=1)).last_body):
            await asyncio.sleep(0.01)
        behind.append(time.perf_counter() - began)
    bench.add(GROUP, "a booking shows in the search, median", percentile(behind, 0.5), "s")
    bench.add(GROUP, "a booking shows in the search, longest", max(behind), "s", SECONDS_BEHIND)


def _count(body: bytes) -> int:
    return int(msgspec.json.decode(body)["count"])


def _asked(rng: random.Random, categories: list[int]) -> tuple[str, Query]:
    """What people ask for: a word or two as common as in the texts, and now and then a filter or an order."""
    asked: Query = []
    kinds = ["all"]
    if rng.random() < 0.8:
        language = listings.Zipf(rng.randrange(10**9))
        asked.append(("search", language.words(rng.choice([1, 1, 2]))))
        kinds = ["words"]
    if rng.random() < 0.4:
        asked.append(("category", rng.choice(categories)))
        kinds.append("category")
    if rng.random() < 0.4:
        lat, lng = (round(at + rng.uniform(-0.2, 0.2), 5) for at in world.ALGIERS)
        asked += [("near", f"{lat},{lng}"), ("radius_km", rng.choice([5, 10, 20]))]
        kinds.append("place")
    if rng.random() < 0.3:
        start = datetime.now(UTC) + timedelta(days=rng.randint(1, 40))
        asked += [("free_from", start.isoformat()), ("free_to", (start + timedelta(hours=1)).isoformat())]
        kinds.append("period")
    if kinds[0] == "all" and rng.random() < 0.5:
        asked.append(("ordering", rng.choice(["price", "-rating"])))
    return " + ".join(kinds), asked
