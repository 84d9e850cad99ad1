"""A person's phone: the public API with their token, and a Socket.IO client that remembers what it heard."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import socketio

PATIENCE_SECONDS = 10.0


class StoryFailed(Exception):
    """Something did not happen as it should; the message says what."""


@dataclass(frozen=True)
class Heard:
    """An event as it arrived, and when (seconds of `time.perf_counter`)."""

    type: str
    room: str
    number: int | None
    data: dict[str, Any]
    at: float


class Phone:
    """One person, signed up and signed in."""

    def __init__(self, http: aiohttp.ClientSession, api_url: str, realtime_url: str, name: str) -> None:
        self.http, self.api_url, self.realtime_url, self.name = http, api_url, realtime_url, name
        self.id = 0
        self.access = ""
        self.heard: list[Heard] = []
        self.cursors: dict[str, str] = {}
        self._news = asyncio.Event()
        self._socket: socketio.AsyncClient | None = None

    @classmethod
    async def sign_up(
        cls, http: aiohttp.ClientSession, api_url: str, realtime_url: str, fields: dict[str, Any]
    ) -> Self:
        phone = cls(http, api_url, realtime_url, fields["name"])
        answer = await phone.call("POST", "/auth/register/", fields, expect=201)
        phone.id, phone.access = answer["user"]["id"], answer["access"]
        return phone

    async def call(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        """One request. Raises StoryFailed when the status is another than expected."""
        headers = {"Authorization": f"Bearer {self.access}"} if self.access else {}
        async with self.http.request(method, f"{self.api_url}/api/v1{path}", json=body, headers=headers) as response:
            content = await response.json(content_type=None) if response.status != 204 else None
            if response.status != expect:
                raise StoryFailed(f"{method} {path} for {self.name}: {response.status} instead of {expect}: {content}")
            return content

    @classmethod
    async def sign_in(
        cls, http: aiohttp.ClientSession, api_url: str, realtime_url: str, *, name: str, email: str, password: str
    ) -> Self:
        phone = cls(http, api_url, realtime_url, name)
        answer = await phone.call("POST", "/auth/login/", {"identifier": email, "password": password})
        phone.id, phone.access = answer["user"]["id"], answer["access"]
        return phone

    async def send_file(self, path: str, content: bytes, **fields: str) -> Any:
        """A form with a file; something is created by it."""
        form = aiohttp.FormData(fields)
        form.add_field("file", content, filename="file", content_type="application/octet-stream")
        headers = {"Authorization": f"Bearer {self.access}"}
        async with self.http.post(f"{self.api_url}/api/v1{path}", data=form, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status != 201:
                raise StoryFailed(f"POST {path} for {self.name}: {response.status} instead of 201: {answer}")
            return answer

    async def connect(self) -> dict[str, Any]:
        """Open the socket, from the cursors of the last one; returns `ready`'s rooms."""
        socket = socketio.AsyncClient(reconnection=False)
        ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        async def note(event: str, payload: Any = None) -> None:
            if event == "ready" and not ready.done():
                ready.set_result(payload["rooms"])
            elif isinstance(payload, dict) and "type" in payload:
                self._hear(payload)

        socket.on("*", note)
        self._socket = socket
        await socket.connect(
            self.realtime_url,
            auth={"token": self.access, "cursors": self.cursors},
            transports=["websocket"],
            wait_timeout=PATIENCE_SECONDS,
        )
        rooms = await asyncio.wait_for(ready, PATIENCE_SECONDS)
        for answer in rooms.values():
            self._take_missed(answer)
        return rooms

    async def disconnect(self) -> None:
        if self._socket is not None:
            await self._socket.disconnect()
            self._socket = None

    async def command(self, name: str, **payload: Any) -> dict[str, Any]:
        """One command and its acknowledgement, whatever it says."""
        if self._socket is None:
            raise StoryFailed(f"{self.name} is not connected")
        answer: dict[str, Any] = await self._socket.call(name, payload, timeout=PATIENCE_SECONDS)
        return answer

    async def join(self, room: str) -> dict[str, Any]:
        answer = await self.command("join", room=room, cursor=self.cursors.get(room))
        if not answer["ok"]:
            raise StoryFailed(f"{self.name} may not join {room}: {answer}")
        self._take_missed(answer)
        self.cursors[room] = answer["cursor"]
        return answer

    def _take_missed(self, answer: dict[str, Any]) -> None:
        for envelope in answer.get("missed", []):
            self._hear(envelope)

    def _hear(self, envelope: dict[str, Any]) -> None:
        number = envelope["number"]
        if number is not None:
            self.cursors[envelope["room"]] = f"{envelope['epoch']}.{number}"
        self.heard.append(Heard(envelope["type"], envelope["room"], number, envelope["data"], time.perf_counter()))
        self._news.set()

    def count(self, type_: str) -> int:
        return sum(event.type == type_ for event in self.heard)

    async def wait_for(self, type_: str, matching: Callable[[dict[str, Any]], bool] = lambda _: True) -> Heard:
        """The first event of this type that matches, past or to come."""
        deadline = time.perf_counter() + PATIENCE_SECONDS
        while True:
            for event in self.heard:
                if event.type == type_ and matching(event.data):
                    return event
            left = deadline - time.perf_counter()
            if left <= 0:
                raise StoryFailed(f"{self.name} did not hear {type_} within {PATIENCE_SECONDS:.0f} s")
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                continue
