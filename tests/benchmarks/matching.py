"""Who is near: the search itself in tables of all sizes, positions on their way in, and the first offer's."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from backend.cli.stack import ROOT
from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.http import drive, request
from tests.benchmarks.stage import Bench, Platform
from tests.benchmarks.websocket import Heard, open_sockets, until

GROUP = "matching"
SPREADS = {"a city": (0.2, 0.25), "a country": (10.0, 9.0)}
"""Degrees of latitude and longitude that the assistants are spread over."""
FLUSHED_A_SECOND = 10_000
SENT_A_SECOND = 2_000
PHONES = 1_250
"""Each sends 1.6 positions a second; two is what one person may send."""
_UNTIE = "ALTER TABLE dispatch_assistant DROP CONSTRAINT IF EXISTS {}"
_FOREIGN_KEY = """
SELECT conname FROM pg_constraint
WHERE conrelid = 'dispatch_assistant'::regclass AND confrelid = 'accounts_user'::regclass
"""


def run(bench: Bench) -> None:
    _ingest(bench)
    _offers(bench)
    _search(bench)


def _search(bench: Bench) -> None:
    """The nearest twenty, at rest and while positions are written. The rows need no accounts behind them."""
    with bench.platform() as platform, platform.database() as database:
        search = _search_in_this_process()
        for (name,) in database.execute(_FOREIGN_KEY).fetchall():
            database.execute(_UNTIE.format(name).encode())
        sizes = (100_000,) if bench.quick else (10_000, 100_000, 1_000_000)
        for spread, (height, width) in SPREADS.items():
            for size in sizes:
                _fill(database, size, height, width)
                title = f"nearest 20 of {size:,} in {spread}"
                _measure(bench, f"{title}, p95", search, height, width)
                with _flushing(platform, size, height, width):
                    _measure(bench, f"{title}, positions flushed meanwhile, p95", search, height, width)
        database.execute("TRUNCATE dispatch_assistant")


def _fill(database: world.Database, size: int, height: float, width: float) -> None:
    database.execute("TRUNCATE dispatch_assistant")
    database.execute("DROP INDEX dispatch_assistant_nearest")
    world.put_on_duty(database, list(range(1, size + 1)), height=height, width=width)
    database.execute(
        "CREATE INDEX dispatch_assistant_nearest ON dispatch_assistant USING gist (position) WHERE on_duty"
    )
    database.execute("VACUUM ANALYZE dispatch_assistant")


def _search_in_this_process() -> Callable[[float, float], int]:
    """The platform's own search: from latitude and longitude to how many were found."""
    from backend.dispatch.matching import Search
    from backend.dispatch.models import Assistance

    def search(lat: float, lng: float) -> int:
        job = Assistance(
            pk=0,
            client_id=0,
            round=1,
            pickup_lat=lat,
            pickup_lng=lng,
            requested_service="towing",
            vehicle_class="light",
        )
        return len(Search.of(job, radius_km=10, now=datetime.now(UTC), fresh_seconds=120).nearest(20))

    return search


def _measure(bench: Bench, title: str, search: Callable[[float, float], int], height: float, width: float) -> None:
    spent = []
    lat, lng = world.ALGIERS
    for number in range(bench.pick(400, 100) + 20):
        at = (lat + random.uniform(-0.4, 0.4) * height, lng + random.uniform(-0.4, 0.4) * width)
        began = time.perf_counter()
        search(*at)
        if number >= 20:
            spent.append((time.perf_counter() - began) * 1000)
        time.sleep(0.002)
    bench.add(GROUP, title, percentile(spent, 0.95), "ms", 5)


@contextlib.contextmanager
def _flushing(platform: Platform, size: int, height: float, width: float) -> Iterator[None]:
    """Another process that writes 10,000 positions a second, four times a second, as the relay does."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.flushing",
        str(size),
        str(FLUSHED_A_SECOND),
        str(height),
        str(width),
    ]
    writer = subprocess.Popen(command, cwd=ROOT, env=platform.environment, stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()  # it has begun
        yield
    finally:
        writer.kill()
        writer.wait()


def _ingest(bench: Bench) -> None:
    """Positions through one sidecar: how long until the search would find them there."""
    with bench.platform("backend", "relay", "realtime", LOG_LEVEL="WARNING") as platform:
        asyncio.run(_send_positions(bench, platform))


async def _send_positions(bench: Bench, platform: Platform) -> None:
    phones, seconds = PHONES, bench.pick(15, 3)
    with platform.database() as database:
        people = world.people(database, f"move{random.randrange(10**9)}-", "assistant", phones)
        ids = [user for user, _ in people]
        world.put_on_duty(database, ids)
        tokens = [platform.token(*one, "assistant") for one in people]
        refused: list[bytes] = []

        def hear(_index: int) -> Heard:
            return lambda text: refused.append(text) if b'"ok":false' in text else None

        sockets = await open_sockets(platform.address("realtime"), tokens, hear)
        sent: dict[float, float] = {}
        delays: list[float] = []
        watching = asyncio.create_task(_watch(platform, ids[:50], sent, delays))
        began, number, total = time.perf_counter(), 0, seconds * SENT_A_SECOND
        while number < total:
            due = min(total, int((time.perf_counter() - began) * SENT_A_SECOND))
            for which in range(number, due):
                who = which % phones
                lat = round(36.7 + which / 1e7, 9)
                sockets[who].send(b"42" + msgspec.json.encode(["location.update", {"lat": lat, "lng": 3.05}]))
                if who < 50:
                    sent[lat] = time.perf_counter()
            number = due
            await asyncio.sleep(0.005)
        rate = total / (time.perf_counter() - began)
        await asyncio.sleep(1.5)
        watching.cancel()
        if refused:
            raise RuntimeError(f"{len(refused)} positions were refused: {refused[0]!r}")
        bench.add(GROUP, "positions sent through one sidecar", rate, "/s")
        bench.add(GROUP, "position sent → in the index, median", median(delays), "ms")
        bench.add(GROUP, "position sent → in the index, p99", percentile(delays, 0.99), "ms", 1000)
        for socket in sockets:
            socket.transport.abort()


async def _watch(platform: Platform, ids: list[int], sent: dict[float, float], delays: list[float]) -> None:
    """Look every ten milliseconds where fifty of them are now."""
    seen: set[float] = set()
    with platform.database() as database:
        while True:
            rows = await asyncio.to_thread(
                lambda: database.execute(
                    "SELECT lat FROM dispatch_assistant WHERE user_id = ANY(%s)", [ids], prepare=True
                ).fetchall()
            )
            now = time.perf_counter()
            for lat in {float(str(row[0])) for row in rows} & sent.keys() - seen:
                seen.add(lat)
                delays.append((now - sent[lat]) * 1000)
            await asyncio.sleep(0.01)


def _offers(bench: Bench) -> None:
    """From asking for help to the first offer at an assistant's socket, among ten thousand on duty."""
    with bench.platform("backend", "worker", "relay", "realtime", LOG_LEVEL="WARNING") as platform:
        asyncio.run(_ask_for_help(bench, platform))


async def _ask_for_help(bench: Bench, platform: Platform) -> None:
    count, size, tag = bench.pick(150, 30), bench.pick(10_000, 1_000), f"near{random.randrange(10**9)}-"
    with platform.database() as database:
        world.tariffs(database)
        database.execute("TRUNCATE dispatch_assistant")
        assistants = world.people(database, f"{tag}a", "assistant", size)
        clients = world.people(database, f"{tag}c", "client", count + 5)
        world.put_on_duty(database, [user for user, _ in assistants])
        database.execute("VACUUM ANALYZE dispatch_assistant")
        found = database.execute(
            "SELECT user_id, ARRAY[lat, lng] FROM dispatch_assistant WHERE user_id = ANY(%s)",
            [[user for user, _ in assistants[:count]]],
        ).fetchall()
    places = {user: place for user, place in found}  # noqa: C416 - two columns of a row of any length, for the types
    offered: dict[int, float] = {}

    def hear(index: int) -> Heard:
        def take(text: bytes) -> None:
            if text.startswith(b'42["assistance.offered"'):
                offered.setdefault(index, time.perf_counter())

        return take

    listeners = assistants[:count]
    sockets = await open_sockets(
        platform.address("realtime"), [platform.token(*one, "assistant") for one in listeners], hear
    )
    for one in clients[count:]:  # the first requests of a process warm it up
        await drive(platform.address("backend"), [_ask(platform, one, (20.0, 3.0))], connections=1)
    delays, answers = [], []
    for index, ((user, _), asking) in enumerate(zip(listeners, clients, strict=False)):
        offered.pop(index, None)  # an earlier pickup near by
        place: Any = places[user]
        began = time.perf_counter()
        load = await drive(platform.address("backend"), [_ask(platform, asking, place)], connections=1)
        if load.statuses != {201: 1}:
            raise RuntimeError(f"{dict(load.statuses)} {load.last_body[:300]!r}")
        answers += load.milliseconds
        await until(lambda heard=index: heard in offered)  # type: ignore[misc]
        delays.append((offered[index] - began) * 1000)
        await asyncio.sleep(0.02)
    bench.add(GROUP, f"POST /assistance/ answered, {size:,} on duty, p95", percentile(answers, 0.95), "ms")
    bench.add(
        GROUP,
        f"POST /assistance/ → first offer at a socket, {size:,} on duty, p95",
        percentile(delays, 0.95),
        "ms",
        100,
    )
    for socket in sockets:
        socket.transport.abort()


def _ask(platform: Platform, client: tuple[int, int], place: tuple[float, float]) -> bytes:
    body = {"pickup": {"lat": place[0], "lng": place[1]}, "service_type": "towing"}
    token = platform.token(*client, "client")
    return request("POST", "/api/v1/assistance/", token, body, Idempotency_Key=uuid.uuid4().hex)
