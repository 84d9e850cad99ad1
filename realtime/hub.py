"""All rooms of the node: each member of a room gets each event once, in order, without a gap.

Per room the node knows the last number that it handed out. A repeat is dropped; a jump is filled from the backend
before anything newer is handed out; another epoch, or a head below the last number, makes the members read afresh.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from realtime.backend import Backend, BackendAway
from realtime.clients import Client
from realtime.ending import end
from realtime.environment import Timing
from realtime.frames import Event, envelope_frame
from realtime.metrics import Metrics
from realtime.rooms import Arrival, Room, Stage
from realtime.subscriber import Subscriber
from shared_contracts.commands import JoinAnswer
from shared_contracts.errors import ErrorCode
from shared_contracts.events import (
    AccessChanged,
    AssistanceStatus,
    Envelope,
    MemberAdded,
    MemberRemoved,
    ResyncRequired,
    SessionEnded,
    Typing,
    make_cursor,
)
from shared_contracts.internal import MAX_HEADS, JoinResult
from shared_contracts.rooms import CONSOLE, partition_of

log = structlog.get_logger(__name__)

FILLS_AT_ONCE = 8
JOIN_TRIES = 5
HEADS_MOMENTS = 10

OBEYED = frozenset({AssistanceStatus.type, MemberAdded.type, MemberRemoved.type, SessionEnded.type, AccessChanged.type})
"""Events that are also an order to the node."""

Obey = Callable[[Room, Event, Iterable[Client]], None]


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

    def names(self) -> list[str]:
        return list(self._rooms)

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
        room, mine, previous = self._enter(client, name)
        try:
            await self.subscriber.confirmed(name)
            epoch, result, before = await self._ask(client, room, cursor)
        except BackendAway:
            self._restore(client, room, previous)
            raise
        if not result.allowed or client.gone or not room.holds(client):
            return result, self._turn_away(client, room, result)
        if room.arrivals.get(client) is mine:  # else it has come in another way meanwhile
            self._settle(room, epoch, result.head, before)
            mine.stage = Stage.BEHIND if result.more else Stage.HELD
            mine.position = max(result.head, result.first - 1)  # not numbered yet, and not theirs to hear
        return result, self._accept(client, room, result)

    def release(self, client: Client, name: str) -> None:
        """The client has been sent its answer: hand out what came meanwhile, and let it run level."""
        room = self._rooms.get(name)
        if room is None:
            return
        for event in room.release(client):
            if event.type in OBEYED:
                self.obey(room, event, [client])

    def leave(self, client: Client, name: str) -> None:
        """Put the client out of the room; a room without anyone is forgotten."""
        client.rooms.pop(name, None)
        room = self._rooms.get(name)
        if room is None:
            return
        room.remove(client)
        if room.empty:
            del self._rooms[name]
            self._metrics.rooms.set(len(self._rooms))
            self.subscriber.unsubscribe(name)
            if room.filling is not None:
                room.filling.cancel()

    def _enter(self, client: Client, name: str) -> tuple[Room, Arrival, Arrival | None]:
        """Hold the client in the room; answers how it is in it now, and how it was before (None: not at all)."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name)
            self._metrics.rooms.set(len(self._rooms))
            self.subscriber.subscribe(name)
        previous = Arrival(Stage.AHEAD, room.last or 0) if client in room.live else room.arrivals.get(client)
        room.remove(client)
        arrival = room.arrivals[client] = Arrival()
        return room, arrival, previous

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
            room.keep(event)
        elif event.epoch != room.epoch:
            self._fill_soon(room)
        elif event.number <= room.last:
            self._metrics.repeats.inc()
        elif event.number == room.last + 1 and room.filling is None:
            self._hand_out(room, event, event.number)
        else:
            room.keep(event)
            self._fill_soon(room)

    def _pass_on(self, room: Room, event: Event) -> None:
        """Hand out what is of the moment; that somebody writes is no news to themselves, and none to the deaf."""
        if event.type == Typing.type:
            room.tell_of(event.data().get("user_id"), event.frame)
        else:
            room.pass_on(event.frame)
        self._metrics.events.inc()

    def _hand_out(self, room: Room, event: Event, number: int) -> None:
        """Hand out the next number of the room, and obey it where it is an order."""
        concerned = room.concerned(number) if event.type in OBEYED else []
        room.hand_out(event, number)
        self._metrics.events.inc()
        self._metrics.packets.inc(len(room.live))
        self._metrics.delivery.observe(max(0.0, self._backend.now() - event.at.timestamp()))
        if concerned:
            self.obey(room, event, concerned)

    def _advance(self, room: Room) -> None:
        """Hand out what waits and follows on."""
        while room.last is not None and (event := room.waiting.pop(room.last + 1, None)) is not None:
            self._hand_out(room, event, room.last + 1)
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
        notice = Envelope(
            room=room.name,
            number=None,
            epoch=epoch,
            type=ResyncRequired.type,
            at=datetime.fromtimestamp(self._backend.now(), UTC),
            request_id="",
            data=ResyncRequired(cursor=make_cursor(epoch, head)).model_dump(),
        )
        room.restart(epoch, head, envelope_frame(notice))

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
            self._hand_out(room, event, event.number)
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
        """Ask the heads of all rooms every ten seconds, spread over them. Also keeps epoch and clock fresh.

        Each room has its moment in the ten seconds, so that one which was joined just now does not wait for longer.
        """
        for moment in itertools.cycle(range(HEADS_MOMENTS)):
            await asyncio.sleep(self._timing.heads / HEADS_MOMENTS)
            names = [name for name in self._rooms if hash(name) % HEADS_MOMENTS == moment]
            for start in range(0, len(names) or (moment == 0), MAX_HEADS):
                self._spawn(self._check_once(names[start : start + MAX_HEADS]))

    async def _check_once(self, names: Sequence[str]) -> None:
        try:
            await self.check(names)
        except BackendAway:
            pass  # the next time comes soon
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
        await end(self._tasks)
