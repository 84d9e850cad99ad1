"""The backend as a sidecar needs it to hand out events: everyone may join every room, and heads are where they are."""

from collections import Counter
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
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/internal/realtime/joins/", self._joins)
        app.router.add_post("/internal/realtime/heads/", self._heads)
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
        return msgspec.json.encode(
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

    def _answer(self, **fields: object) -> web.Response:
        return web.json_response({"epoch": EPOCH, "clock_offset_ms": 0, **fields})
