"""The backend as the sidecar meets it on the wire: joins, heads, events and the acts for a person, kept in memory."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from redis.asyncio import Redis

from shared_contracts.events import make_cursor, read_cursor
from shared_contracts.internal import CREDENTIAL_HEADER, MAX_MISSED_EVENTS
from shared_contracts.redis_keys import room_channel

CREDENTIAL = "a credential for tests that is long enough"

Envelope = dict[str, Any]


@dataclass
class Act:
    """One request that the sidecar made for a person."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class StandIn:
    """What the tests say about the world, and what was asked."""

    redis: Redis
    epoch: str = "e1"
    clock_offset_ms: int = 0
    away: bool = False
    missed_limit: int = MAX_MISSED_EVENTS
    rooms: dict[str, list[Envelope]] = field(default_factory=lambda: defaultdict(list))
    members: set[tuple[int, str]] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    contexts: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    purged: dict[str, int] = field(default_factory=dict)
    """How many of a room's first events are not kept any more."""
    joins_held: asyncio.Event | None = None
    """Set: answers to joins, though made, wait for it."""
    joins_made: int = 0
    act_pauses: list[float] = field(default_factory=list)
    """Seconds that the next acts take."""
    act_answer: tuple[int, dict[str, Any] | None] = (201, {"id": 1})

    def allow(self, user_id: int, *rooms: str) -> None:
        self.members |= {(user_id, room) for room in rooms}

    def forbid(self, user_id: int, room: str) -> None:
        self.members.discard((user_id, room))

    def commit(self, room: str, type: str = "message.created", **data: Any) -> Envelope:  # noqa: A002
        """Number an event of the room, as the relay does, without publishing it."""
        envelope = self.envelope(room, type, len(self.rooms[room]) + 1, data)
        self.rooms[room].append(envelope)
        return envelope

    def envelope(self, room: str, type: str, number: int | None, data: dict[str, Any]) -> Envelope:  # noqa: A002
        return {
            "room": room,
            "number": number,
            "epoch": self.epoch,
            "type": type,
            "at": datetime.now(UTC).isoformat(),
            "request_id": "r1",
            "data": data,
        }

    def restore(self, epoch: str) -> None:
        """The database is an older one: no events, perhaps another epoch."""
        self.epoch = epoch
        self.rooms.clear()

    async def publish(self, envelope: Envelope) -> int:
        """Say it in Redis; answers how many nodes heard."""
        heard: int = await self.redis.publish(room_channel(envelope["room"]), msgspec.json.encode(envelope))
        return heard

    async def emit(self, room: str, type: str = "message.created", **data: Any) -> Envelope:  # noqa: A002
        """Commit and publish."""
        envelope = self.commit(room, type, **data)
        await self.publish(envelope)
        return envelope

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/internal/realtime/joins/", self._joins)
        app.router.add_post("/internal/realtime/heads/", self._heads)
        app.router.add_post("/internal/realtime/events/", self._events)
        app.router.add_post("/api/v1/{path:.*}", self._act)
        return app

    async def _read(self, request: web.Request, name: str) -> dict[str, Any]:
        if self.away:
            raise web.HTTPServiceUnavailable
        if request.headers.get(CREDENTIAL_HEADER) != CREDENTIAL:
            raise web.HTTPForbidden
        self.calls.append(name)
        body: dict[str, Any] = await request.json()
        return body

    def _answer(self, **fields: Any) -> web.Response:
        return web.json_response({"epoch": self.epoch, "clock_offset_ms": self.clock_offset_ms, **fields})

    async def _joins(self, request: web.Request) -> web.Response:
        body = await self._read(request, "joins")
        answer = self._answer(results=[self._join(join) for join in body["joins"]])
        self.joins_made += 1
        if self.joins_held is not None:
            await self.joins_held.wait()
        return answer

    def _join(self, join: dict[str, Any]) -> dict[str, Any]:
        room, user_id = join["room"], join["user_id"]
        if join["session_id"] in self.ended:
            return {"allowed": False, "session_ended": True, "code": "session_ended"}
        if room != f"user:{user_id}" and (user_id, room) not in self.members:
            return {"allowed": False, "code": "not_found"}
        log = self.rooms[room]
        head = len(log)
        answer = {
            "allowed": True,
            "head": head,
            "cursor": make_cursor(self.epoch, head),
            "context": self.contexts.get(room, {}),
        }
        if join["cursor"] is None:
            return answer
        epoch, after = read_cursor(join["cursor"])
        if epoch != self.epoch or after > head:
            return answer | {"resync_required": True}
        events = log[after : after + self.missed_limit]
        more = after + len(events) < head
        return answer | {"events": events, "more": more, "cursor": make_cursor(self.epoch, after + len(events))}

    async def _heads(self, request: web.Request) -> web.Response:
        body = await self._read(request, "heads")
        return self._answer(heads={room: len(self.rooms[room]) for room in body["rooms"]})

    async def _events(self, request: web.Request) -> web.Response:
        body = await self._read(request, "events")
        log = self.rooms[body["room"]]
        return self._answer(
            events=log[max(body["after"], self.purged.get(body["room"], 0)) :][:MAX_MISSED_EVENTS], head=len(log)
        )

    async def _act(self, request: web.Request) -> web.Response:
        body = await self._read(request, "act")
        await asyncio.sleep(self.act_pauses.pop(0) if self.act_pauses else 0)
        self.acts.append(Act(f"/api/v1/{request.match_info['path']}", body, dict(request.headers)))
        status, answer = self.act_answer
        return web.Response(status=status) if answer is None else web.json_response(answer, status=status)
