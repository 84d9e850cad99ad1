"""A shop of three chairs with 500 bookings in a month: what booking costs, and looking for what is left."""

import asyncio
from datetime import UTC, datetime, time, timedelta

from tests.benchmarks import world
from tests.benchmarks.figures import percentile
from tests.benchmarks.http import Load, drive, request
from tests.benchmarks.machine import SERVER_CORE, cpu_seconds, pin
from tests.benchmarks.stage import Bench, Platform

GROUP = "scheduling"
BOOKINGS, DAYS, CHAIRS = 500, 30, 3
OPENS, HOURS_A_DAY = 9, 8

Address = tuple[str, int]


def run(bench: Bench) -> None:
    with bench.platform("backend", BACKEND_WORKERS="1", RATE_LIMITS="false") as platform:
        pin(platform.pid("backend"), SERVER_CORE)
        asyncio.run(_run(bench, platform))


async def _run(bench: Bench, platform: Platform) -> None:
    address = ("127.0.0.1", platform.ports["backend"])
    tag = f"shop{datetime.now(UTC):%H%M%S%f}-"
    database = platform.database()
    ((shop, session),) = world.people(database, tag, "contractor", 1)
    clients = [
        platform.token(user, session_, "client") for user, session_ in world.people(database, f"{tag}c", "client", 50)
    ]
    owner = platform.token(shop, session, "contractor")
    hours = {"start_time": "09:00", "end_time": "17:00"}
    await _load(
        address,
        [
            *(request("POST", "/api/v1/me/resources/", owner, {"name": f"Chair {one}"}) for one in range(1, CHAIRS)),
            *(request("POST", "/api/v1/availability/", owner, {**hours, "day_of_week": day}) for day in range(7)),
        ],
        201,
    )
    tomorrow = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(OPENS), UTC)
    bookings = [
        request("POST", "/api/v1/bookings/", clients[n % len(clients)], _wish(shop, tomorrow, n))
        for n in range(BOOKINGS)
    ]
    pid = platform.pid("backend")
    before = cpu_seconds([pid])
    booked = await _load(address, bookings, 201)
    booking = cpu_seconds([pid]) - before
    until = (tomorrow + timedelta(days=DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    look = request("GET", f"/api/v1/providers/{shop}/slots/?to={until}", owner)
    await _load(address, [look] * 20, 200)
    before = cpu_seconds([pid])
    looked = await _load(address, [look] * bench.pick(1000, 200), 200)
    looking = cpu_seconds([pid]) - before
    bench.add(GROUP, "create a booking, p95", percentile(booked.milliseconds, 0.95), "ms", 25)
    bench.add(GROUP, "free slots of 30 days, 500 bookings, p95", percentile(looked.milliseconds, 0.95), "ms", 15)
    bench.add(GROUP, "create a booking, CPU", booking / BOOKINGS * 1000, "ms")
    bench.add(GROUP, "free slots of 30 days, CPU", looking / len(looked.milliseconds) * 1000, "ms")


def _wish(shop: int, tomorrow: datetime, n: int) -> dict[str, object]:
    """The n-th booking: every hour of every day is booked once before any is booked twice."""
    day, hour = divmod(n % (DAYS * HOURS_A_DAY), HOURS_A_DAY)
    start = tomorrow + timedelta(days=day, hours=hour)
    return {"provider": shop, "starts_at": start, "ends_at": start + timedelta(hours=1)}


async def _load(address: Address, requests: list[bytes], expected: int) -> Load:
    """One after the other: how long an answer takes, not how many there are a second."""
    load = await drive(address, requests, connections=1)
    if set(load.statuses) != {expected}:
        raise RuntimeError(f"{dict(load.statuses)} {load.last_body[:300]!r}")
    return load
