"""REST beside the least that could answer, on the same tables: CPU per request of one worker process.

Two creations are measured. Sending a message is the common one (its row, its event, the answer kept under its key).
Asking for help is the only one that writes all there is: events, job rows, history, the wave, the kept answer.
"""

import asyncio
import itertools
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.http import Load, drive, request
from tests.benchmarks.machine import SERVER_CORE, cpu_seconds, pin
from tests.benchmarks.stage import Bench, Platform, server

GROUP = "REST"
CLIENTS = 1000
CONNECTIONS = 4
GOALS = {"detail": 1.4, "list of 20": 1.6, "create (message)": 3.0, "create (request)": 3.0}
MESSAGE = {"content": "I am at the petrol station."}
ASKED = {"pickup": {"lat": 20.1, "lng": 3.05}, "dropoff": {"lat": 20.2, "lng": 3.2}, "service_type": "towing"}


@dataclass
class Variant:
    """One of the servers that are compared."""

    name: str
    address: tuple[str, int]
    pid: int
    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    ms: dict[str, list[float]] = field(default_factory=dict)
    per_second: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Stories:
    """Makes the requests of each kind; each list is used once by one variant."""

    tokens: list[str]
    jobs: list[list[int]]
    talks: list[int]
    askers: list[str]

    def make(self, kind: str, count: int) -> list[bytes]:
        return [self._one(kind, n % CLIENTS, n) for n in range(count)]

    def _one(self, kind: str, who: int, n: int) -> bytes:
        token = self.tokens[who]
        if kind == "detail":
            return request("GET", f"/api/v1/assistance/{random.choice(self.jobs[who])}/", token)
        if kind == "list of 20":
            return request("GET", "/api/v1/assistance/?status=completed", token)
        key = uuid.uuid4().hex
        if kind == "create (message)":
            path = f"/api/v1/assistance/{self.talks[who]}/messages/"
            return request("POST", path, token, MESSAGE, Idempotency_Key=key)
        return request("POST", "/api/v1/assistance/", self.askers[n], ASKED, Idempotency_Key=key)


def run(bench: Bench) -> None:
    """Rounds of A B A B: every kind of request to each variant in turn."""
    askers = bench.pick(600, 100)
    with bench.platform("backend", "backend-2", BACKEND_WORKERS="1", RATE_LIMITS="false") as platform:
        stories = _seed(platform, jobs=bench.pick(100_000, 10_000), askers=askers)
        address = ("127.0.0.1", platform.ports["backend-2"])
        platform.keeper("backend-2").hold()  # its port is the bare variant's
        command = ["-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning", "--workers", "1"]
        command += [
            "--blocking-threads",
            "4",
            "--backpressure",
            "1024",
            "--host",
            address[0],
            "--port",
            str(address[1]),
        ]
        with server([*command, "tests.benchmarks.bare.rest:application"], platform.environment, address) as bare_pid:
            ours = Variant("Callout", platform.address("backend"), platform.pid("backend"))
            bare = Variant("bare", address, bare_pid)
            for variant in (ours, bare):
                pin(variant.pid, SERVER_CORE)
            reset = _reset(platform)
            asyncio.run(_measure([ours, bare], stories, bench, askers, reset))
    _report(bench, ours, bare)


async def _measure(
    variants: Sequence[Variant], stories: Stories, bench: Bench, askers: int, reset: Callable[[], None]
) -> None:
    counts = dict.fromkeys(GOALS, bench.pick(1500, 400)) | {"create (request)": askers}
    for variant, kind in itertools.product(variants, GOALS):
        await _load(variant, kind, stories.make(kind, min(150, counts[kind])), reset)
    for _ in range(bench.pick(4, 2)):
        for kind, variant in itertools.product(GOALS, variants):
            before = cpu_seconds([variant.pid])
            load = await _load(variant, kind, stories.make(kind, counts[kind]), reset)
            spent = cpu_seconds([variant.pid]) - before
            variant.cpu_us.setdefault(kind, []).append(spent / counts[kind] * 1e6)
            variant.ms.setdefault(kind, []).append(percentile(load.milliseconds, 0.95))
            variant.per_second.setdefault(kind, []).append(load.per_second)


async def _load(variant: Variant, kind: str, requests: list[bytes], reset: Callable[[], None]) -> Load:
    if kind == "create (request)":
        reset()
    load = await drive(variant.address, requests, connections=CONNECTIONS)
    expected = 201 if kind.startswith("create") else 200
    if set(load.statuses) != {expected}:
        raise RuntimeError(f"{variant.name}, {kind}: {dict(load.statuses)} {load.last_body[:300]!r}")
    return load


def _reset(platform: Platform) -> Callable[[], None]:
    database = platform.database()

    def reset() -> None:
        """Whoever asked for help may ask again."""
        database.execute("UPDATE dispatch_assistance SET status = 'expired' WHERE status = 'requested'")

    return reset


def _seed(platform: Platform, *, jobs: int, askers: int) -> Stories:
    tag = f"rest{random.randrange(10**9)}-"
    with platform.database() as database:
        world.tariffs(database)
        clients = world.people(database, f"{tag}c", "client", CLIENTS)
        assistants = world.people(database, f"{tag}a", "assistant", CLIENTS)
        asking = world.people(database, f"{tag}q", "client", askers)
        ids = [user for user, _ in clients]
        by_client: dict[int, list[int]] = {user: [] for user in ids}
        for job, client in world.finished_jobs(database, ids, [user for user, _ in assistants], jobs):
            by_client[client].append(job)
        talks = [_talk(database, job_ids[0], user) for user, job_ids in by_client.items()]
        world.tidy(database)
    return Stories(
        tokens=[platform.token(*client, "client") for client in clients],
        jobs=[by_client[user] for user in ids],
        talks=talks,
        askers=[platform.token(*one, "client") for one in asking],
    )


def _talk(database: world.Database, job: int, user: int) -> int:
    """Give the job a conversation of its two parties."""
    database.execute(
        """
        WITH talk AS (
          INSERT INTO messaging_conversation (subject, title, opened_with, created_at, last_message_at)
          SELECT 'assistance:' || id, '', ARRAY[client_id, assistant_id], now(), now()
          FROM dispatch_assistance WHERE id = %(job)s RETURNING id, opened_with
        ), members AS (
          INSERT INTO messaging_member (conversation_id, user_id, added_event_id, joined_at)
          SELECT talk.id, member, 0, now() FROM talk, unnest(opened_with) member
        )
        UPDATE dispatch_assistance j SET conversation_id = talk.id FROM talk WHERE j.id = %(job)s
        """,
        {"job": job, "user": user},
    )
    return job


def _report(bench: Bench, ours: Variant, bare: Variant) -> None:
    for kind, goal in GOALS.items():
        bench.add(GROUP, f"{kind}: CPU per request, Callout", median(ours.cpu_us[kind]), "µs")
        bench.add(GROUP, f"{kind}: CPU per request, bare", median(bare.cpu_us[kind]), "µs")
        ratios = [a / b for a, b in zip(ours.cpu_us[kind], bare.cpu_us[kind], strict=True)]
        bench.add(GROUP, f"{kind}: CPU, Callout / bare", median(ratios), "×", goal)
        bench.add(GROUP, f"{kind}: requests a second, Callout", median(ours.per_second[kind]), "/s")
        bench.add(GROUP, f"{kind}: p95 on {CONNECTIONS} connections, Callout", median(ours.ms[kind]), "ms")
