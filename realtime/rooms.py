"""Rooms: each member gets each event once, in order, without a gap.

Per room the node knows the last number that it handed out. A repeat is dropped; a jump is filled from the backend
before anything newer is handed out; another epoch, or a head below the last number, makes the members read afresh.
Whoever enters is held until the backend has said where they stand; then they get what came meanwhile and run level.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import structlog

from realtime.backend import Backend, BackendAway
from realtime.clients import Client
from realtime.environment import Timing
from realtime.frames import Event, envelope_frame
from realtime.metrics import Metrics
from realtime.server import Connection
from realtime.subscriber import Subscriber
from shared_contracts.commands import JoinAnswer
from shared_contracts.errors import ErrorCode
from shared_contracts.events import (
    AccessChanged,
    AssistanceStatus,
    Envelope,
    MemberRemoved,
    ResyncRequired,
    SessionEnded,
    make_cursor,
)
from shared_contracts.internal import MAX_HEADS, JoinResult
from shared_contracts.rooms import CONSOLE, partition_of

log = structlog.get_logger(__name__)

MAX_WAITING = 1000
FILLS_AT_ONCE = 8
JOIN_TRIES = 5

OBEYED = frozenset({AssistanceStatus.type, MemberRemoved.type, SessionEnded.type, AccessChanged.type})
"""Events that are also an order to the node."""

Obey = Callable[["Room", Event, Iterable[Client]], None]


class Stage(Enum):
    """How far a client is that is not yet level with its room."""

    HELD = "held"
    """The backend's answer is awaited, or not yet sent: events are kept for it."""
    AHEAD = "ahead"
    """It was told of events that the room has not handed out yet; it gets those after its own number."""
    BEHIND = "behind"
    """It still reads what it missed, and will join again from its cursor: it gets nothing."""


@dataclass(slots=True)
class Arrival:
    """A client on its way into a room."""

    stage: Stage = Stage.HELD
    position: int = 0
    held: list[Event] = field(default_factory=list)


class Room:
    """One room with a member on this node."""

    __slots__ = ("arrivals", "epoch", "filling", "last", "live", "name", "party_ids", "status", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = ""
        self.last: int | None = None
        """The last number handed out; None until the backend first says where the room stands."""
        self.live: dict[Client, Connection] = {}
        self.arrivals: dict[Client, Arrival] = {}
        self.waiting: dict[int, Event] = {}
        self.filling: asyncio.Task[None] | None = None
        self.status: str | None = None
        """Of a roadside job: its status, and who is party to it now."""
        self.party_ids: frozenset[int] = frozenset()

    @property
    def empty(self) -> bool:
        return not self.live and not self.arrivals

    def clients(self) -> list[Client]:
        """Everyone who is in it, held or not."""
        return [*self.live, *self.arrivals]


class Hub:
    """All rooms of this node."""

    def __init__(self, backend: Backend, timing: Timing, metrics: Metrics) -> None:
        self._backend = backend
        self._timing = timing
        self._metrics = metrics
        self._rooms: dict[str, Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._fills = asyncio.Semaphore(FILLS_AT_ONCE)
        self.subscriber: Subscriber
        self.obey: Obey

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, name: str) -> Room | None:
        return self._rooms.get(name)

    # Coming and going

    async def join(self, client: Client, name: str, cursor: str | None) -> tuple[JoinResult, JoinAnswer]:
        """Ask the backend, and hold this client's events until `release`. Raises BackendAway.

        Subscribed first, asked then: what is numbered before the answer is in it, what comes after is heard. A client
        that is in the room already and names no cursor just goes on where it is.
        """
        room = self._rooms.get(name)
        if room is not None and client in room.live and cursor is None:
            _, result = await self._backend.join(client.join_request(name))
            return result, self._accept(client, room, result) if result.allowed else self._turn_away(
                client, room, result
            )
        room, previous = self._enter(client, name)
        try:
            await self.subscriber.confirmed(name)
            epoch, result, before = await self._ask(client, room, cursor)
        except BackendAway:
            self._restore(client, room, previous)
            raise
        arrival = room.arrivals.get(client)
        if not result.allowed or arrival is None or client.gone:
            return result, self._turn_away(client, room, result)
        self._settle(room, epoch, result.head, before)
        arrival.stage = Stage.BEHIND if result.more else Stage.HELD
        arrival.position = result.head
        return result, self._accept(client, room, result)

    def release(self, client: Client, name: str) -> None:
        """The client has been sent its answer: hand out what came meanwhile, and let it run level."""
        room = self._rooms.get(name)
        arrival = room.arrivals.get(client) if room is not None else None
        if room is None or arrival is None:
            return
        held, arrival.held = [event for event in arrival.held if (event.number or 0) > arrival.position], []
        if arrival.stage is Stage.HELD:
            for event in held:
                client.connection.push(event.frame)
            arrival.stage = Stage.AHEAD
            self._level(room, client, arrival)
        for event in held:
            if event.type in OBEYED:
                self.obey(room, event, [client])

    def leave(self, client: Client, name: str) -> None:
        """Put the client out of the room; a room without anyone is forgotten."""
        client.rooms.pop(name, None)
        room = self._rooms.get(name)
        if room is None:
            return
        room.live.pop(client, None)
        room.arrivals.pop(client, None)
        if room.empty:
            del self._rooms[name]
            self._metrics.rooms.set(len(self._rooms))
            self.subscriber.unsubscribe(name)
            if room.filling is not None:
                room.filling.cancel()

    def _enter(self, client: Client, name: str) -> tuple[Room, Arrival | None]:
        """Hold the client in the room; answers the room, and how the client was in it before (None: not at all)."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name)
            self._metrics.rooms.set(len(self._rooms))
            self.subscriber.subscribe(name)
        previous = room.arrivals.get(client)
        if room.live.pop(client, None) is not None:
            previous = Arrival(Stage.AHEAD, room.last or 0)
        room.arrivals[client] = Arrival()
        return room, previous

    def _restore(self, client: Client, room: Room, previous: Arrival | None) -> None:
        """The backend could not be asked: the client is in the room as it was before."""
        arrival = room.arrivals.get(client)
        if arrival is None or previous is None or client.gone:
            self.leave(client, room.name)
            return
        arrival.stage = Stage.BEHIND if previous.stage is Stage.BEHIND else Stage.HELD
        arrival.position = previous.position
        self.release(client, room.name)

    async def _ask(self, client: Client, room: Room, cursor: str | None) -> tuple[str, JoinResult, int | None]:
        """Ask until what is held for the client begins where the answer ends; also answers where the room stood then.

        It does not when the room moved on between this answer and another client's, asked later but answered before.
        """
        before = room.last
        for _ in range(JOIN_TRIES):
            epoch, result = await self._backend.join(client.join_request(room.name, cursor))
            arrival = room.arrivals.get(client)
            if arrival is None or not result.allowed or room.last is None or room.epoch != epoch:
                break
            held = {event.number for event in arrival.held}
            restored = before is not None and result.head < before
            if restored or all(number in held for number in range(result.head + 1, room.last + 1)):
                break
        return epoch, result, before

    def _accept(self, client: Client, room: Room, result: JoinResult) -> JoinAnswer:
        client.rooms[room.name] = result.context
        if room.last is None or result.head >= room.last:
            room.status = result.context.status
            room.party_ids = frozenset(result.context.party_ids) or room.party_ids
        return JoinAnswer(
            ok=True,
            cursor=result.cursor,
            missed=result.events,
            more=result.more,
            resync_required=result.resync_required,
        )

    def _turn_away(self, client: Client, room: Room, result: JoinResult) -> JoinAnswer:
        self.leave(client, room.name)
        code = ErrorCode.SESSION_ENDED if result.session_ended else result.code or ErrorCode.NOT_FOUND
        return JoinAnswer(ok=False, code=code)

    def _level(self, room: Room, client: Client, arrival: Arrival) -> None:
        if room.last is None or room.last >= arrival.position:
            del room.arrivals[client]
            room.live[client] = client.connection

    # Events

    def hear(self, name: str, raw: bytes) -> None:
        """Take what Redis said in a room's channel."""
        room = self._rooms.get(name)
        if room is None:
            return
        try:
            event = Event(raw)
        except ValueError:
            log.warning("event.unreadable", room=name)
            return
        if event.number is None:
            self._pass_on(room, event)
        elif room.last is None:
            self._keep(room, event)
        elif event.epoch != room.epoch:
            self._fill_soon(room)
        elif event.number <= room.last:
            self._metrics.repeats.inc()
        elif event.number == room.last + 1 and room.filling is None:
            self._hand_out(room, event)
        else:
            self._keep(room, event)
            self._fill_soon(room)

    def _pass_on(self, room: Room, event: Event) -> None:
        """Hand out what carries no number, to whoever is level at this moment."""
        for connection in room.live.values():
            connection.push(event.frame)
        for client, arrival in room.arrivals.items():
            if arrival.stage is Stage.AHEAD:
                client.connection.push(event.frame)
        self._metrics.events.inc()

    def _keep(self, room: Room, event: Event) -> None:
        if event.number is not None and len(room.waiting) < MAX_WAITING:
            room.waiting[event.number] = event

    def _hand_out(self, room: Room, event: Event) -> None:
        """Hand out the next number of the room."""
        room.last = event.number or 0
        for connection in room.live.values():
            connection.push(event.frame)
        self._metrics.events.inc()
        self._metrics.packets.inc(len(room.live))
        self._metrics.delivery.observe(max(0.0, self._backend.now() - event.at.timestamp()))
        obeying = list(room.live) if event.type in OBEYED else []
        if room.arrivals:
            obeying += self._hand_to_arrivals(room, event, room.last)
        if event.type in OBEYED:
            self.obey(room, event, obeying)

    def _hand_to_arrivals(self, room: Room, event: Event, number: int) -> list[Client]:
        """The same for those on their way in; answers those of them for whom it is news now."""
        concerned = []
        for client, arrival in list(room.arrivals.items()):
            if arrival.stage is Stage.HELD:
                arrival.held.append(event)
                continue
            if number > arrival.position:
                concerned.append(client)
                if arrival.stage is Stage.AHEAD:
                    client.connection.push(event.frame)
            if arrival.stage is Stage.AHEAD:
                self._level(room, client, arrival)
        return concerned

    def _advance(self, room: Room) -> None:
        """Hand out what waits and follows on."""
        while room.last is not None and (event := room.waiting.pop(room.last + 1, None)) is not None:
            self._hand_out(room, event)
        for number in [number for number in room.waiting if room.last is not None and number <= room.last]:
            del room.waiting[number]

    # Where rooms stand

    def _settle(self, room: Room, epoch: str, head: int, before: int | None = None) -> None:
        """Take the backend's word on where the room stands; `before` is where it stood here when that was asked."""
        if room.last is None:
            room.epoch, room.last = epoch, head
            self._advance(room)
            if room.waiting:
                self._fill_soon(room)
        elif room.epoch != epoch or (before is not None and head < before):
            self._resync(room, epoch, head)
        elif head > room.last:
            self._fill_soon(room)

    def _resync(self, room: Room, epoch: str, head: int) -> None:
        """The numbers of the room start anew: its members read the snapshot."""
        log.warning("room.resync", room=room.name, head=head, last=room.last)
        self._metrics.resyncs.inc()
        room.epoch, room.last = epoch, head
        room.waiting.clear()
        notice = Envelope(
            room=room.name,
            number=None,
            epoch=epoch,
            type=ResyncRequired.type,
            at=datetime.fromtimestamp(self._backend.now(), UTC),
            request_id="",
            data=ResyncRequired(cursor=make_cursor(epoch, head)).model_dump(),
        )
        frame = envelope_frame(notice)
        for client, arrival in list(room.arrivals.items()):
            if arrival.stage is Stage.HELD:
                arrival.held.clear()
            else:
                client.connection.push(frame)
                arrival.stage, arrival.position = Stage.AHEAD, head
                self._level(room, client, arrival)
        for connection in room.live.values():
            connection.push(frame)

    def _fill_soon(self, room: Room) -> None:
        if room.filling is None:
            room.filling = self._spawn(self._fill(room))

    async def _fill(self, room: Room) -> None:
        """Hand out what is missing from the backend, until nothing waits. Keeps asking while the backend is away."""
        pause = self._timing.retry
        try:
            while room.last is not None:
                before = room.last
                try:
                    async with self._fills:
                        answer = await self._backend.events(room.name, before)
                except BackendAway:
                    await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                    pause = min(pause * 2, self._timing.retry_limit)
                    continue
                self._metrics.fills.inc()
                if answer.epoch != room.epoch or answer.head < before:
                    self._resync(room, answer.epoch, answer.head)
                    return
                self._take_missing(room, [Event.of(envelope) for envelope in answer.events], answer.head)
                self._advance(room)
                if not room.waiting and room.last >= answer.head:
                    return
                if room.last == before:
                    # What waits is not known to the backend (yet): never ask in a tight loop.
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, self._timing.retry_limit)
                    if pause >= self._timing.retry_limit:
                        room.waiting.clear()
        except ValueError:
            log.exception("event.unreadable", room=room.name)
        finally:
            room.filling = None

    def _take_missing(self, room: Room, events: list[Event], head: int) -> None:
        """Hand out the backend's events in order; a number that is not kept any more makes the members read afresh."""
        for event in events:
            if room.last is None or event.number is None or event.number <= room.last:
                continue
            if event.number != room.last + 1:
                self._resync(room, room.epoch, event.number - 1)
            self._hand_out(room, event)
        if room.last is not None and not events and room.last < head:
            self._resync(room, room.epoch, head)

    async def check(self, names: Sequence[str]) -> None:
        """Ask the heads of these rooms (at most 1,000), and fill or resync those that stand elsewhere."""
        before = {name: self._rooms[name].last for name in names if name in self._rooms}
        heads = await self._backend.heads([name for name in before if name != CONSOLE])
        for name, head in heads.heads.items():
            room = self._rooms.get(name)
            if room is not None and before.get(name) is not None:
                self._settle(room, heads.epoch, head, before[name])

    def check_soon(self, names: Sequence[str], jitter: float) -> None:
        """The same a little later, for any number of rooms, until it has succeeded."""
        for start in range(0, len(names), MAX_HEADS):
            self._spawn(self._check_until_done(names[start : start + MAX_HEADS], jitter))

    def check_all_soon(self) -> None:
        """After a reconnect: any room may have missed something."""
        self.check_soon(list(self._rooms), self._timing.heads_jitter)

    def check_partitions(self, partitions: Iterable[int]) -> None:
        """A relay says that events of these partitions may not have reached everyone."""
        behind = set(partitions)
        self.check_soon([name for name in self._rooms if partition_of(name) in behind], self._timing.heads_jitter)

    async def keep_checking(self) -> None:
        """Ask the heads of all rooms every ten seconds, spread over them. Also keeps epoch and clock fresh."""
        while True:
            names = list(self._rooms)
            batches = [names[start : start + MAX_HEADS] for start in range(0, len(names), MAX_HEADS)] or [[]]
            for batch in batches:
                await asyncio.sleep(self._timing.heads / len(batches))
                try:
                    await self.check(batch)
                except BackendAway:
                    continue
                except Exception:
                    log.exception("heads.failed")

    async def _check_until_done(self, names: Sequence[str], jitter: float) -> None:
        pause = self._timing.retry
        await asyncio.sleep(random.uniform(0, jitter))  # noqa: S311 - jitter
        while True:
            try:
                return await self.check(names)
            except BackendAway:
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._timing.retry_limit)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
