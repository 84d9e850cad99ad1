"""Hands numbered events to whoever listens. Best effort, apart from numbering, and never in its way.

Nothing is marked as published. What may not have reached everyone is told by its partition, `partition.behind`, as
soon as Redis hears: the sidecars then ask for the heads of their rooms in it and fill what they miss.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, Full, Queue

import msgspec
import redis
import structlog

from shared_contracts.events import NUMBERED, PartitionBehind
from shared_contracts.redis_keys import NODES, room_channel
from shared_contracts.rooms import CONSOLE
from worker import metrics
from worker.connections import redis_client

LIMIT_SECONDS = 0.2
"""Longer than this nobody waits for Redis."""

REST_SECONDS = 0.2
MAX_BATCHES = 20
IDLE_SECONDS = 0.1

CONSOLE_COPIES = {event.type: event.rooms[0] for event in NUMBERED if CONSOLE in event.rooms}
"""Events that the console sees too, without a number: copied from the first kind of room that carries them."""

log = structlog.get_logger("callout.relay")
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event with its number. `data` is JSON text, kept to the byte."""

    id: int
    room: str
    partition: int
    number: int
    type: str
    created_at: datetime
    request_id: str
    data: str


class _Envelope(msgspec.Struct):
    """`shared_contracts.events.Envelope`, around data that is JSON already."""

    room: str
    number: int | None
    epoch: str
    type: str
    at: str
    request_id: str
    data: msgspec.Raw


def messages(event: Numbered, epoch: str) -> Iterable[tuple[str, bytes]]:
    """The channels that carry this event, and what they carry."""
    envelope = _Envelope(
        room=event.room,
        number=event.number,
        epoch=epoch,
        type=event.type,
        at=event.created_at.isoformat(),
        request_id=event.request_id,
        data=msgspec.Raw(event.data.encode()),
    )
    yield room_channel(event.room), _encoder.encode(envelope)
    if event.room.partition(":")[0] == CONSOLE_COPIES.get(event.type):
        envelope.room, envelope.number = CONSOLE, None
        yield room_channel(CONSOLE), _encoder.encode(envelope)


class Publishing:
    """A bounded queue of batches and the thread that publishes them."""

    def __init__(self, client: redis.Redis | None = None) -> None:
        self._client = client or redis_client(timeout_seconds=LIMIT_SECONDS)
        self._batches: Queue[tuple[str, Sequence[Numbered]]] = Queue(MAX_BATCHES)
        self._behind: set[int] = set()
        self._lock = threading.Lock()
        self._away = False
        self._resting_until = float("-inf")

    def offer(self, epoch: str, events: Sequence[Numbered]) -> None:
        """Take over committed events. Never waits: when too many are queued, their partitions are behind."""
        try:
            self._batches.put_nowait((epoch, events))
        except Full:
            self._fail(events)

    def mark_behind(self, partitions: Iterable[int]) -> None:
        """From now on these partitions are told to be behind, until that was said."""
        with self._lock:
            self._behind.update(partitions)

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                epoch, events = self._batches.get(timeout=IDLE_SECONDS)
            except Empty:
                epoch, events = "", ()
            if time.monotonic() < self._resting_until:
                self._fail(events)
                continue
            try:
                self._tell_behind()
                self._publish(epoch, events)
                self._away = False
            except redis.RedisError as error:
                if not self._away:
                    log.warning("relay.not_published", error=type(error).__name__)
                self._fail(events)
                self._away = True
                self._resting_until = time.monotonic() + REST_SECONDS

    def _publish(self, epoch: str, events: Sequence[Numbered]) -> None:
        if not events:
            return
        with self._client.pipeline(transaction=False) as pipeline:
            for event in events:
                for channel, message in messages(event, epoch):
                    pipeline.publish(channel, message)
            pipeline.execute()
        metrics.EVENTS_PUBLISHED.inc(len(events))

    def _tell_behind(self) -> None:
        with self._lock:
            told, self._behind = self._behind, set()
        if not told:
            return
        try:
            self._client.publish(NODES, PartitionBehind(partitions=sorted(told)).model_dump_json())
        except redis.RedisError:
            self.mark_behind(told)
            raise

    def _fail(self, events: Sequence[Numbered]) -> None:
        if events:
            metrics.PUBLISH_FAILURES.inc()
            self.mark_behind(event.partition for event in events)
