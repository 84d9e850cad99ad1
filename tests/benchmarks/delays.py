"""How long it takes from a commit to the phone, and to the job that it caused: all processes, no stand-in."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import psycopg
from redis.asyncio import Redis

from shared_contracts.jobs import Queue
from shared_contracts.redis_keys import RELAY_WAKE
from shared_contracts.rooms import conversation_room, partition_of
from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.stage import Bench, Platform
from tests.benchmarks.websocket import Heard, Socket, open_sockets, until

GROUP = "delays"
TALKS = 25
CHANGES_A_SECOND = 100
JOBS_A_SECOND = 200

_TALKS = """
WITH talk AS (
  INSERT INTO messaging_conversation (title, opened_with, created_at, last_message_at)
  SELECT 'bench ' || clock_timestamp() || n, ARRAY[%(users)s[2 * n - 1], %(users)s[2 * n]], now(), now()
  FROM generate_series(1, %(talks)s) n RETURNING id, opened_with
), members AS (
  INSERT INTO messaging_member (conversation_id, user_id, added_event_id, joined_at)
  SELECT talk.id, member, 0, now() FROM talk, unnest(opened_with) member
)
SELECT id, opened_with FROM talk
"""
_EVENT = """
INSERT INTO core_event (room, partition, type, data, request_id, created_at)
VALUES (%s, %s, 'message.created', %s, 'bench', clock_timestamp())
"""
_JOB = """
INSERT INTO core_job (name, queue, arguments, request_id, status, run_at, fence, attempts, last_error)
VALUES ('dispatch.expire_request', 'critical', '{"assistance_id": 0, "round": 1}', 'bench', 'pending',
  clock_timestamp(), 0, 0, '')
RETURNING id
"""
_DONE = """
SELECT extract(epoch FROM finished_at - created_at)::float8 * 1000 FROM core_job
WHERE request_id = 'bench' AND id >= %s AND status = 'done'
"""


def run(bench: Bench) -> None:
    with bench.platform("backend", "worker", "relay", "realtime", LOG_LEVEL="WARNING") as platform:
        asyncio.run(_run(bench, platform))


async def _run(bench: Bench, platform: Platform) -> None:
    redis = Redis.from_url(platform.environment["REDIS_URL"])
    with platform.database() as database:
        await asyncio.sleep(2)  # what starting up costs is not measured
        await _to_clients(bench, platform, database, redis)
        await _to_jobs(bench, database, redis, pause=0.2, count=bench.pick(50, 15), title="idle", goal=20)
        count = bench.pick(10, 3) * JOBS_A_SECOND
        await _to_jobs(bench, database, redis, pause=1 / JOBS_A_SECOND, count=count, title="200 a second", goal=100)
    await redis.aclose()


async def _to_clients(bench: Bench, platform: Platform, database: world.Database, redis: Redis) -> None:
    """From the commit's return to the event at each of the two members' sockets."""
    members = world.people(database, f"delay{random.randrange(10**9)}-", "client", TALKS * 2)
    users = [user for user, _ in members]
    rows = database.execute(_TALKS, {"users": users, "talks": TALKS}).fetchall()
    rooms = [conversation_room(int(str(talk))) for talk, _ in rows]
    by_user = {user: room for (_, pair), room in zip(rows, rooms, strict=True) for user in pair}  # type: ignore[attr-defined]
    committed: dict[int, float] = {}
    delays: list[float] = []
    heard_at: list[tuple[int, float]] = []

    def hear(_index: int) -> Heard:
        def take(text: bytes) -> None:
            if text.startswith(b'42["message.created"'):
                heard_at.append((msgspec.json.decode(text[2:])[1]["data"]["n"], time.perf_counter()))

        return take

    sockets = await open_sockets(
        platform.address("realtime"), [platform.token(*member, "client") for member in members], hear
    )
    await _join(sockets, [by_user[user] for user in users])
    count = bench.pick(10, 3) * CHANGES_A_SECOND
    async with await psycopg.AsyncConnection.connect(
        platform.environment["DATABASE_URL"], autocommit=True
    ) as connection:
        began = time.perf_counter()
        for number in range(count):
            room = random.choice(rooms)
            await connection.execute(_EVENT, [room, partition_of(room), json.dumps({"n": number})])
            committed[number] = time.perf_counter()
            await redis.publish(RELAY_WAKE, "events")
            await asyncio.sleep(max(0.0, began + (number + 1) / CHANGES_A_SECOND - time.perf_counter()))
    await until(lambda: len(heard_at) >= count * 2)
    delays = [(at - committed[number]) * 1000 for number, at in heard_at]
    bench.add(GROUP, "commit → socket client at 100 changes a second, median", median(delays), "ms", 10)
    bench.add(GROUP, "commit → socket client at 100 changes a second, p99", percentile(delays, 0.99), "ms", 50)
    for socket in sockets:
        socket.transport.abort()


async def _join(sockets: Sequence[Socket], rooms: Sequence[str]) -> None:
    answers = await asyncio.gather(
        *(socket.call(1, "join", room=room) for socket, room in zip(sockets, rooms, strict=True))
    )
    assert all(answer["ok"] for answer in answers), answers


async def _to_jobs(
    bench: Bench, database: world.Database, redis: Redis, *, pause: float, count: int, title: str, goal: float
) -> None:
    """From before a job's commit to its end, by the rows themselves: later than its start, so never flattered."""
    first, began = 0, time.perf_counter()
    for number in range(count):
        rows = await asyncio.to_thread(lambda: database.execute(_JOB).fetchall())
        first = first or int(str(rows[0][0]))
        await redis.publish(RELAY_WAKE, Queue.CRITICAL)
        await asyncio.sleep(max(0.0, began + (number + 1) * pause - time.perf_counter()))
    delays: list[float] = []
    deadline = datetime.now(UTC).timestamp() + 30
    while len(delays) < count and datetime.now(UTC).timestamp() < deadline:
        await asyncio.sleep(0.1)
        delays = [float(str(row[0])) for row in database.execute(_DONE, [first]).fetchall()]
    if len(delays) < count:
        raise TimeoutError(f"{count - len(delays)} jobs are not done")
    bench.add(GROUP, f"commit → job done, {title}, median", median(delays), "ms", goal if title == "idle" else None)
    bench.add(
        GROUP, f"commit → job done, {title}, p99", percentile(delays, 0.99), "ms", None if title == "idle" else goal
    )
