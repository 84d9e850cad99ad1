"""The backend as a sidecar needs it to hand out events: everyone may join every room, and heads are where they are."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from shared_contracts.events import make_cursor

EPOCH = "bench"
CONTENT = "I am at the petrol station, on the left side of the road."


class Neighbour:
    """Answers the sidecar's questions, and writes envelopes as the relay does."""

    def __init__(self) -> None:
        self.heads: Counter[str] = Counter()
        self._kept: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=100))
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/internal/realtime/joins/", self._joins)
        app.router.add_post("/internal/realtime/heads/", self._heads)
        app.router.add_post("/internal/realtime/events/", self._events)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def envelope(self, room: str, sent: float) -> bytes:
        """The room's next event, as it is published."""
        self.heads[room] += 1
        message = {
            "id": self.heads[room],
            "conversation_id": 7,
            "sender": {"id": 1, "name": "Lina Haddad"},
            "content": CONTENT,
            "client_id": None,
            "reply_to": None,
            "created_at": datetime.now(UTC),
            "sent": sent,
        }
        wire = msgspec.json.encode(
            {
                "room": room,
                "number": self.heads[room],
                "epoch": EPOCH,
                "type": "message.created",
                "at": datetime.now(UTC),
                "request_id": "r",
                "data": {"message": message},
            }
        )
        self._kept[room].append(wire)
        return wire

    async def _joins(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return self._answer(results=list(self._results(asked["joins"])))

    def _results(self, joins: list[dict[str, str]]) -> Iterator[dict[str, object]]:
        for join in joins:
            head = self.heads[join["room"]]
            yield {"allowed": True, "head": head, "cursor": make_cursor(EPOCH, head), "context": {}}

    async def _heads(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return self._answer(heads={room: self.heads[room] for room in asked["rooms"]})

    async def _events(self, request: web.Request) -> web.Response:
        """What a node asks for that was told of a number before it heard it."""
        asked = await request.json()
        events = [msgspec.json.decode(wire) for wire in self._kept[asked["room"]]]
        missed = [event for event in events if event["number"] > asked["after"]]
        return self._answer(events=missed, head=self.heads[asked["room"]])

    def _answer(self, **fields: object) -> web.Response:
        return web.json_response({"epoch": EPOCH, "clock_offset_ms": 0, **fields})
