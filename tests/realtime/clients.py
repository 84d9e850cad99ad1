"""Clients of the socket: a well-behaved one (python-socketio's), and a raw one that may misbehave."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Self

import aiohttp
import jwt
import socketio
from socketio.exceptions import ConnectionError as SocketRefused

KEY = "a signing key for tests that is long enough for every algorithm"
KID = "test"
PATIENCE_SECONDS = 15

Json = dict[str, Any]


def make_token(
    user_id: int = 1, *, key: str = KEY, header: Json | None = None, algorithm: str = "HS256", **claims: Any
) -> str:
    """An access token; claims given as None are left out."""
    now = int(time.time())
    payload = {
        "iss": "callout",
        "aud": "callout",
        "sub": str(user_id),
        "sid": user_id * 10,
        "roles": ["client"],
        "iat": now,
        "exp": now + 900,
        "jti": "j",
    } | claims
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": KID, "typ": "at+jwt"} | (header or {}))


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Client:
    """A Socket.IO client that remembers everything it was sent."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.socket = socketio.AsyncClient(reconnection=False)
        self.socket.on("*", self._remember)
        self.socket.on("connect_error", self._refuse)
        self.socket.on("disconnect", self._end)
        self.events: list[tuple[str, Json]] = []
        self.refusal: Any = None
        self.closed = asyncio.Event()

    async def connect(self, user_id: int = 1, *, transport: str = "websocket", **options: Any) -> Self:
        """Connect as this person (or with `auth`), and wait for `ready`."""
        auth = options.pop("auth", None) or {"token": make_token(user_id), **options}
        await self.socket.connect(self._url, auth=auth, transports=transport.split(","))
        await self.wait_for("ready")
        return self

    async def refused(self, auth: object) -> Any:
        """Connect, be refused, and answer what was said."""
        with contextlib.suppress(SocketRefused):
            await self.socket.connect(self._url, auth=auth, transports=["websocket"])
            raise AssertionError("was let in")
        return self.refusal

    async def call(self, name: str, **data: Any) -> Json:
        answer: Json = await self.socket.call(name, data, timeout=PATIENCE_SECONDS)
        return answer

    async def wait_for(self, name: str, count: int = 1) -> Json:
        """The `count`th event of this name."""
        try:
            await until(lambda: len(self.named(name)) >= count)
        except TimeoutError:
            raise AssertionError(f"waited for {name}, saw {self.events}") from None
        return self.named(name)[count - 1]

    def named(self, name: str) -> list[Json]:
        return [data for event, data in self.events if event == name]

    def numbers(self, room: str) -> list[int]:
        """The numbers of the room's events, in the order in which they came."""
        return [data["number"] for _, data in self.events if data.get("room") == room and data["number"] is not None]

    async def _remember(self, name: str, data: Json) -> None:
        self.events.append((name, data))

    async def _refuse(self, data: Any) -> None:
        self.refusal = data

    async def _end(self, *_: Any) -> None:
        self.closed.set()


class RawClient:
    """A WebSocket that speaks Engine.IO by hand."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.texts: list[str] = []

    async def let_in(self, user_id: int = 1) -> Self:
        """Authenticate and read up to `ready`."""
        await self.socket.send_str("40" + json.dumps({"token": make_token(user_id)}))
        while not (await self.read()).startswith('42["ready"'):
            pass
        return self

    async def read(self) -> str:
        """The next text. Raises EOFError when the server has hung up."""
        message = await self.socket.receive(PATIENCE_SECONDS)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise EOFError
        self.texts.append(message.data)
        return str(message.data)

    async def read_to_end(self) -> list[str]:
        """Everything up to the server's hanging up."""
        with contextlib.suppress(EOFError):
            while True:
                await self.read()
        return self.texts
