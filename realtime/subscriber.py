"""Hears Redis: one connection, one subscription per room that has a member here, and the nodes' channel.

What is heard is a hint; the events table is the truth. So this class promises only to say when it may have missed
something: after every reconnect (`on_restored`), and for a room whose subscription was confirmed late (`on_late`).
redis-py's own PubSub reconnects behind one's back, which would hide exactly that; the bare connection does not.
"""

import asyncio
import contextlib
import math
import random
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from realtime.ending import end
from realtime.environment import Timing
from realtime.metrics import Metrics
from shared_contracts.events import Canary
from shared_contracts.redis_keys import NODES, room_channel

log = structlog.get_logger(__name__)

CHANNELS_A_COMMAND = 500
CONNECT_SECONDS = 2
WRITE_SECONDS = 2
KEEPALIVE_SECONDS = 5
ROOM_PREFIX = room_channel("").encode()
NODES_CHANNEL = NODES.encode()


class Subscriber:
    """Keeps the wanted rooms subscribed and hands on what they say. Run `run()` as a task for the node's life."""

    def __init__(
        self,
        url: str,
        publisher: "Redis",
        *,
        on_event: Callable[[str, bytes], None],
        on_behind: Callable[[list[int]], None],
        on_restored: Callable[[], None],
        on_late: Callable[[str], None],
        timing: Timing,
        metrics: Metrics,
    ) -> None:
        self._publisher = publisher
        self._on_event = on_event
        self._on_behind = on_behind
        self._on_restored = on_restored
        self._on_late = on_late
        self._timing = timing
        self._metrics = metrics
        self.node = uuid.uuid4().hex
        self._pool = ConnectionPool.from_url(url, **connection_options(url))
        self._connection: AbstractConnection | None = None
        self._wanted: dict[str, asyncio.Event | None] = {}
        """What awaits the confirmation of each wanted room; None where it was confirmed."""
        self._late: set[str] = set()
        self._unconfirmed: Counter[str] = Counter()
        self._outbox: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._heard_at = time.monotonic()
        self._unheard_since: float | None = None
        self.deaf = False
        """Canaries that Redis took were not heard, up to now. Redis being away is not deafness."""

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def canary_age(self) -> float:
        """Seconds since any canary was heard."""
        return time.monotonic() - self._heard_at

    def subscribe(self, room: str) -> None:
        """Want a room; the confirmation is awaited with `confirmed`."""
        if room not in self._wanted:
            self._wanted[room] = asyncio.Event()
            self._outbox.put_nowait(("SUBSCRIBE", room))

    def unsubscribe(self, room: str) -> None:
        """Want a room no more."""
        if room in self._wanted:
            del self._wanted[room]
            self._late.discard(room)
            self._outbox.put_nowait(("UNSUBSCRIBE", room))

    def is_confirmed(self, room: str) -> bool:
        """Whether Redis has confirmed the subscription."""
        return room in self._wanted and self._wanted[room] is None

    async def confirmed(self, room: str) -> bool:
        """Wait a moment until Redis confirms the subscription; when it does so later, `on_late` is told."""
        event = self._wanted.get(room)
        if event is None:
            return room in self._wanted
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), self._timing.subscribe)
        if not event.is_set() and self._wanted.get(room) is event:
            self._late.add(room)
        return event.is_set()

    async def run(self) -> None:
        """Connect, listen, and do so again for ever, with growing and jittered pauses."""
        pause = self._timing.retry
        while True:
            began = time.monotonic()
            try:
                await self._listen_once()
            except (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError, EOFError) as error:
                log.warning("redis.lost", error=type(error).__name__)
            except Exception:
                log.exception("redis.failed")
            if time.monotonic() - began > self._timing.retry_limit:
                pause = self._timing.retry
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(pause * 2, self._timing.retry_limit)

    async def _listen_once(self) -> None:
        connection = self._pool.make_connection()
        self._outbox = asyncio.Queue()
        self._unconfirmed.clear()
        self._unheard_since = None
        self._wanted = {room: event or asyncio.Event() for room, event in self._wanted.items()}
        tasks: list[asyncio.Task[None]] = []
        try:
            await connection.connect()
            self._connection = connection
            self._metrics.reconnects.inc()
            for room in self._wanted:
                self._outbox.put_nowait(("SUBSCRIBE", room))
            # Redis answers in order: the confirmation of this last one confirms all of them.
            self._outbox.put_nowait(("SUBSCRIBE", ""))
            tasks = [
                asyncio.create_task(self._read(connection)),
                asyncio.create_task(self._write(connection)),
                asyncio.create_task(self._sing()),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._connection = None
            await end(tasks, again=0.1)  # before whoever ends us tries again
            await connection.disconnect(nowait=True)

    async def _write(self, connection: AbstractConnection) -> None:
        """Send what is to be subscribed, many channels in one command, never in another order."""
        while True:
            verb, room = await self._outbox.get()
            rooms = [room]
            following: tuple[str, str] | None = None
            while len(rooms) < CHANNELS_A_COMMAND and not self._outbox.empty():
                following = self._outbox.get_nowait()
                if following[0] != verb:
                    break
                rooms.append(following[1])
                following = None
            await self._send(connection, verb, rooms)
            if following is not None:
                await self._send(connection, following[0], [following[1]])

    async def _send(self, connection: AbstractConnection, verb: str, rooms: list[str]) -> None:
        if not connection.is_connected:
            raise ConnectionResetError("the connection to Redis is gone")
        if verb == "SUBSCRIBE":
            self._unconfirmed.update(rooms)
        channels = [room_channel(room) if room else NODES for room in rooms]
        async with asyncio.timeout(WRITE_SECONDS):
            await connection.send_command(verb, *channels, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            kind, channel, value = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            if kind == b"message":
                if channel == NODES_CHANNEL:
                    self._hear(value)
                else:
                    self._on_event(channel[len(ROOM_PREFIX) :].decode(), value)
            elif kind == b"subscribe":
                self._confirm(b"" if channel == NODES_CHANNEL else channel[len(ROOM_PREFIX) :])

    def _confirm(self, channel: bytes) -> None:
        room = channel.decode()
        self._unconfirmed[room] -= 1
        if self._unconfirmed[room] > 0:
            return  # an older subscription, given up and asked for again since
        del self._unconfirmed[room]
        if not room:
            log.info("redis.listening", rooms=len(self._wanted))
            self._on_restored()
        elif (event := self._wanted.get(room)) is not None:
            event.set()
            self._wanted[room] = None
            if room in self._late:
                self._late.discard(room)
                self._on_late(room)

    def _hear(self, raw: bytes) -> None:
        try:
            notice = msgspec.json.decode(raw)
        except msgspec.MsgspecError:
            log.warning("nodes.unreadable")
            return
        if not isinstance(notice, dict):
            return
        if "canary" in notice:
            self._heard_at = time.monotonic()
            self._unheard_since = None
            self.deaf = False
        partitions = notice.get("partitions")
        if isinstance(partitions, list):
            self._on_behind([partition for partition in partitions if isinstance(partition, int)])

    async def _sing(self) -> None:
        """Publish the canary, and hang up when it has not been heard for too long although Redis took it."""
        song = Canary(canary=self.node).model_dump_json()
        while self._unheard_since is None or time.monotonic() - self._unheard_since < self._timing.deaf:
            try:
                await self._publisher.publish(NODES, song)
            except (RedisError, OSError, TimeoutError):
                self._unheard_since = None  # Redis is away: not our ears
            else:
                self._unheard_since = self._unheard_since or time.monotonic()
            await asyncio.sleep(self._timing.canary)
        self.deaf = True
        log.error("redis.deaf", seconds=self._timing.deaf)


def connection_options(url: str) -> dict[str, Any]:
    """How we connect to Redis: nothing is retried behind our back, nothing waits for ever, dead peers are noticed."""
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": CONNECT_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
    }
    if url.startswith("unix:"):
        return options
    names = {"TCP_KEEPIDLE": KEEPALIVE_SECONDS, "TCP_KEEPINTVL": KEEPALIVE_SECONDS, "TCP_KEEPCNT": 3}
    keepalive = {getattr(socket, name): value for name, value in names.items() if hasattr(socket, name)}
    return options | {"socket_keepalive": True, "socket_keepalive_options": keepalive}
