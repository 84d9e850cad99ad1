"""Sockets beside a raw aiohttp WebSocket: CPU of one process per message received, memory, and delays in a crowd.

The sidecar is the platform's own process. Its backend is a stand-in of the load's process, so that nothing but the
sidecar is measured; events are published to Redis as the relay does, and arrive through it.
"""

import asyncio
import contextlib
import gc
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.asyncio import Redis

from shared_contracts.redis_keys import room_channel
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.machine import SERVER_CORE, cpu_seconds, memory_kb, pin
from tests.benchmarks.neighbour import Neighbour
from tests.benchmarks.stage import Bench, Platform, free_port, mint, server
from tests.benchmarks.websocket import Heard, Socket, close, open_sockets, until

GROUP = "sockets"
WINDOW = 16
"""So many messages are on their way at once."""


@dataclass
class Stage:
    """What the rounds share."""

    platform: Platform
    redis: Redis
    neighbour: Neighbour
    port: int
    stack: ExitStack
    cpu_us: dict[str, list[float]] = field(default_factory=dict)

    def node(self) -> tuple[int, tuple[str, int]]:
        """One more sidecar: its process and where it listens."""
        address = ("127.0.0.1", free_port())
        env = {
            **self.platform.environment,
            "REALTIME_PORT": str(address[1]),
            "INTERNAL_URL": f"http://127.0.0.1:{self.port}",
            "LOG_LEVEL": "WARNING",
        }
        pid = self.stack.enter_context(server(["-m", "realtime"], env, address))
        pin(pid, SERVER_CORE)
        return pid, address

    def token(self, user_id: int) -> str:
        return mint(json.loads(self.platform.environment["TOKEN_KEYS"]), user_id, user_id, "client")


class Counter:
    """Counts what all sockets hear."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, _index: int) -> Heard:
        def hear(_text: bytes) -> None:
            self.heard += 1

        return hear


def run(bench: Bench) -> None:
    with bench.platform() as platform, ExitStack() as stack:
        asyncio.run(_run(bench, platform, stack))


async def _run(bench: Bench, platform: Platform, stack: ExitStack) -> None:
    async with _stage(platform, stack) as stage:
        pid, address = stage.node()
        bare_address = ("127.0.0.1", free_port())
        bare = stack.enter_context(
            server(["-m", "tests.benchmarks.bare.sockets", str(bare_address[1])], platform.environment, bare_address)
        )
        pin(bare, SERVER_CORE)
        await _compare(bench, stage, (pid, address), (bare, bare_address), pairs=True)
        await _compare(bench, stage, (pid, address), (bare, bare_address), pairs=False)
        await _two_nodes(bench, stage, (pid, address))
        await _crowd(bench, stage)


@contextlib.asynccontextmanager
async def _stage(platform: Platform, stack: ExitStack) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as later:
        redis = Redis.from_url(platform.environment["REDIS_URL"])
        later.push_async_callback(redis.aclose)
        neighbour, port = Neighbour(), free_port()
        await neighbour.start(port)
        later.push_async_callback(neighbour.stop)
        yield Stage(platform, redis, neighbour, port, stack)
        stack.close()


async def _join(sockets: Sequence[Socket], rooms: Sequence[str]) -> None:
    for start in range(0, len(sockets), 200):
        pairs = list(zip(sockets, rooms, strict=True))[start : start + 200]
        answers = await asyncio.gather(*(socket.call(1, "join", room=room) for socket, room in pairs))
        assert all(answer["ok"] for answer in answers)


async def _compare(
    bench: Bench, stage: Stage, ours: tuple[int, tuple[str, int]], bare: tuple[int, tuple[str, int]], *, pairs: bool
) -> None:
    """Rooms of two, or one room of a thousand, on both servers in turn."""
    size, members = (2, bench.pick(1000, 200)) if pairs else (bench.pick(1000, 500), bench.pick(1000, 500))
    rooms = [f"conversation:{1 + index // size + 10_000 * size}" for index in range(members)]
    heard = Counter()
    sockets = await open_sockets(ours[1], [stage.token(1 + index) for index in range(members)], heard)
    await _join(sockets, rooms)
    bare_heard = Counter()
    raw: list[Socket] = []
    for room in sorted(set(rooms)):
        raw += await open_sockets(bare[1], [None] * size, bare_heard, path=f"/ws?room={room}")
    by_room = dict(zip(rooms, raw, strict=True))
    names = sorted(set(rooms))
    messages = bench.pick(10_000, 2_000) if pairs else bench.pick(300, 60)
    title = "rooms of 2" if pairs else f"room of {size:,}"

    def say(room: str) -> None:
        body = stage.neighbour.envelope(f"bare:{room}", time.perf_counter())
        by_room[room].send(b'42["message.created",' + body + b"]")

    found: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(bench.pick(5, 2) + 1):
        spent = await _flood_redis(stage, [ours[0]], names, messages, heard, size)
        raw_spent = await _flood(say, [bare[0]], names, messages, bare_heard, size)
        if number:  # the first warms up
            found["ours"].append(spent)
            found["bare"].append(raw_spent)
    bench.add(GROUP, f"{title}: CPU per message, Callout through Redis", median(found["ours"]), "µs")
    bench.add(GROUP, f"{title}: CPU per message, bare without Redis", median(found["bare"]), "µs")
    ratios = [a / b for a, b in zip(found["ours"], found["bare"], strict=True)]
    bench.add(GROUP, f"{title}: CPU, Callout / bare", median(ratios), "×", 5.5 if pairs else 1.6)
    close([*sockets, *raw])
    await asyncio.sleep(1)


async def _flood(
    say: Callable[[str], None], pids: Sequence[int], rooms: Sequence[str], messages: int, heard: Counter, size: int
) -> float:
    """Send so many messages to rooms in turn; µs of CPU per message received."""
    start, before = heard.heard, cpu_seconds(pids)
    for number in range(messages):
        say(rooms[number % len(rooms)])
        if number % WINDOW == WINDOW - 1:
            await until(lambda sent=number: heard.heard - start >= (sent + 1) * size)  # type: ignore[misc]
    await until(lambda: heard.heard - start >= messages * size)
    return (cpu_seconds(pids) - before) / (messages * size) * 1e6


async def _flood_redis(
    stage: Stage, pids: Sequence[int], rooms: Sequence[str], messages: int, heard: Counter, size: int
) -> float:
    """The same through Redis, published in pipelines as the relay does."""
    start, before = heard.heard, cpu_seconds(pids)
    for first in range(0, messages, WINDOW):
        pipe = stage.redis.pipeline(transaction=False)
        last = min(first + WINDOW, messages)
        for number in range(first, last):
            room = rooms[number % len(rooms)]
            pipe.publish(room_channel(room), stage.neighbour.envelope(room, time.perf_counter()))
        await pipe.execute()
        await until(lambda sent=last: heard.heard - start >= sent * size)  # type: ignore[misc]
    return (cpu_seconds(pids) - before) / (messages * size) * 1e6


async def _two_nodes(bench: Bench, stage: Stage, first: tuple[int, tuple[str, int]]) -> None:
    """The same rooms of two on one node, and spread over two: what a node has no member of costs it nothing."""
    second = stage.node()
    members = bench.pick(1000, 200)
    heard = Counter()
    everyone: list[Socket] = []
    names: dict[str, list[str]] = {}
    for label, nodes, offset in (("one", [first], 1_000_000), ("two", [first, second], 2_000_000)):
        rooms = [f"conversation:{offset + index // 2}" for index in range(members)]
        for position, (_, address) in enumerate(nodes):
            part = rooms[position * members // len(nodes) : (position + 1) * members // len(nodes)]
            tokens = [stage.token(offset + position * members + index) for index in range(len(part))]
            sockets = await open_sockets(address, tokens, heard)
            await _join(sockets, part)
            everyone += sockets
        names[label] = sorted(set(rooms), key=hash)
    ratios = []
    for _ in range(bench.pick(5, 2)):
        pids = [first[0], second[0]]
        one = await _flood_redis(stage, pids, names["one"], bench.pick(10_000, 2_000), heard, 2)
        two = await _flood_redis(stage, pids, names["two"], bench.pick(10_000, 2_000), heard, 2)
        ratios.append(two / one)
    bench.add(GROUP, "CPU per message, two nodes / one", median(ratios), "×", 1.1)
    close(everyone)
    await asyncio.sleep(1)


async def _crowd(bench: Bench, stage: Stage) -> None:
    """Memory of idle connections, and how long a message takes among them."""
    pid, address = stage.node()
    warm = await open_sockets(address, [stage.token(5_000_000 + n) for n in range(50)], Counter())
    close(warm)
    await asyncio.sleep(1)
    before = memory_kb(pid)
    count, rooms = bench.pick(10_000, 1_000), 50
    tokens = [stage.token(6_000_000 + index) for index in range(count)]
    delays: list[float] = []

    def hear(_index: int) -> Heard:
        def take(text: bytes) -> None:
            if text.startswith(b'42["message.created"'):
                event: Any = msgspec.json.decode(text[2:])[1]
                delays.append((time.perf_counter() - event["data"]["message"]["sent"]) * 1000)

        return take

    sockets = await open_sockets(address, tokens, hear)
    await asyncio.sleep(2)
    bench.add(GROUP, f"memory per idle connection, of {count:,}", (memory_kb(pid) - before) / count, "KB", 32)
    talkers = random.sample(sockets, rooms * 2)
    names = [f"conversation:{7_000_000 + index // 2}" for index in range(rooms * 2)]
    await _join(talkers, names)
    gc.collect()
    gc.freeze()  # a look through ten thousand sockets of our own would be taken for a delay of the server's
    messages, began = bench.pick(2_000, 100), time.perf_counter()
    for number in range(messages):
        room = names[2 * number % len(names)]
        await stage.redis.publish(room_channel(room), stage.neighbour.envelope(room, time.perf_counter()))
        await asyncio.sleep(max(0.0, began + (number + 1) / 100 - time.perf_counter()))
    await until(lambda: len(delays) >= messages * 2)
    bench.add(GROUP, f"publish → client among {count:,} idle, median", median(delays), "ms")
    bench.add(GROUP, f"publish → client among {count:,} idle, p99", percentile(delays, 0.99), "ms", 50)
    close(sockets)
    gc.unfreeze()
