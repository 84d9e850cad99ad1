"""Two hundred assistants accept one job at once, over HTTP, each on a connection of their own."""

import asyncio
import random
import uuid

import msgspec

from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.http import drive, request
from tests.benchmarks.stage import Bench, Platform

GROUP = "contention"
RIVALS = 200


def run(bench: Bench) -> None:
    settings = {"WAVE_SIZE": str(RIVALS), "WAVE_RADII_KM": "30", "LOG_LEVEL": "WARNING", "BACKEND_WORKERS": "2"}
    with bench.platform("backend", "relay", "worker", **settings) as platform:
        asyncio.run(_race(bench, platform))


async def _race(bench: Bench, platform: Platform) -> None:
    rounds, tag = bench.pick(40, 3), f"race{random.randrange(10**9)}-"
    with platform.database() as database:
        world.tariffs(database)
        rivals = world.people(database, f"{tag}a", "assistant", RIVALS)
        clients = world.people(database, f"{tag}c", "client", rounds + 2)
        world.put_on_duty(database, [user for user, _ in rivals])
        world.tidy(database)
        tokens = [platform.token(*one, "assistant") for one in rivals]
        winners, everyone = [], []
        for number, client in enumerate(clients):
            job = await _ask(platform, client)
            accepts = [
                request("POST", f"/api/v1/assistance/{job}/accept/", token, Idempotency_Key=uuid.uuid4().hex)
                for token in random.sample(tokens, RIVALS)
            ]
            load = await drive(platform.address("backend"), accepts, connections=RIVALS)
            if load.statuses != {200: 1, 409: RIVALS - 1}:
                raise RuntimeError(f"{dict(load.statuses)} {load.last_body[:300]!r}")
            if number >= 2:  # the first two warm up
                winners.append(next(spent for status, spent in load.by_status if status == 200))
                everyone.append(load.seconds * 1000)
            database.execute("UPDATE dispatch_assistance SET status = 'canceled' WHERE status = 'accepted'")
            await asyncio.sleep(0.2)
    bench.add(GROUP, f"{RIVALS} accepts at once: the winner's answer, median", median(winners), "ms")
    bench.add(GROUP, f"{RIVALS} accepts at once: the winner's answer, p95", percentile(winners, 0.95), "ms", 50)
    bench.add(GROUP, f"{RIVALS} accepts at once: all answered, median", median(everyone), "ms")
    bench.add(GROUP, f"{RIVALS} accepts at once: all answered, slowest round", max(everyone), "ms", 400)


async def _ask(platform: Platform, client: tuple[int, int]) -> int:
    lat, lng = world.ALGIERS
    body = {"pickup": {"lat": lat, "lng": lng}, "service_type": "towing"}
    wire = request("POST", "/api/v1/assistance/", platform.token(*client, "client"), body)
    load = await drive(platform.address("backend"), [wire], connections=1)
    answer = msgspec.json.decode(load.last_body)
    if len(answer.get("nearby_assistants", [])) != RIVALS:
        raise RuntimeError(f"not all were asked: {load.last_body[:300]!r}")
    number: int = answer["assistance"]["id"]
    return number
