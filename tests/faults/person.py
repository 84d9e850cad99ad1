"""A model of a good client: REST with retries under a key, and a socket that joins from cursors and checks numbers.

Whatever it hears is judged at once: the next number of a room is the last plus one, or it is a repeat that is dropped,
or a promise is broken. It speaks Socket.IO by hand over aiohttp, so that two hundred of them cost little.
"""

import asyncio
import contextlib
import itertools
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from realtime.ending import end
from shared_contracts.events import make_cursor, read_cursor
from tests.faults.history import History

Json = dict[str, Any]

PATIENCE_SECONDS = 150.0
"""How long a client goes on trying before it counts as never served: longer than any fault lasts."""
ANSWER_SECONDS = 10.0
RETRY_SECONDS = 0.2


class Unserved(Exception):
    """The platform did not answer for longer than any fault lasts."""


class Lost(Exception):
    """The socket went away before the answer came."""


@dataclass
class RoomModel:
    """What this person has heard in a room."""

    last: int
    """The last number heard."""
    epoch: str
    heard: list[tuple[int, str, Json]] = field(default_factory=list)
    resyncs: int = 0
    over: bool = False
    """Left for good: nothing more may be heard."""


@dataclass
class Closed:
    """How a socket ended: the code it was told, and when (Unix seconds)."""

    code: str | None
    at: float
    reconnect_in_ms: int | None = None
    """What the client was asked to wait before it comes back."""


class Person:
    """One client with one device."""

    def __init__(self, known: Json, http: aiohttp.ClientSession, history: History, rng: random.Random) -> None:
        self.id: int = known["id"]
        self.name: str = known["name"]
        self.roles: list[str] = known["roles"]
        self.session_id: int = known["session_id"]
        self.access: str = known["access"]
        self.address = f"10.{self.id >> 16 & 255}.{self.id >> 8 & 255}.{self.id & 255}"
        self.apis: list[str] = []
        self.sockets: list[str] = []
        self.rooms: dict[str, RoomModel] = {}
        self.past: list[tuple[str, RoomModel]] = []
        """Stays in rooms that were left for good and entered again."""
        self.closings: list[Closed] = []
        self.statuses: Counter[int] = Counter()
        """Answers by status; 0 counts requests without an answer."""
        self.repeats = 0
        self.on_event: Callable[[str, Json], None] = lambda room, envelope: None
        self.ready = asyncio.Event()
        self.news = asyncio.Event()
        self._http, self._history, self._rng = http, history, rng
        self._refs = itertools.count(1)
        self._waiting: dict[int, Callable[[Json], None]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self._helpers: set[asyncio.Task[Any]] = set()

    # REST

    async def call(
        self, method: str, path: str, body: Any = None, *, refusals: tuple[int, ...] = ()
    ) -> tuple[int, Any]:
        """One request, tried again under one key until it is answered: its status, a 2xx or one of `refusals`.

        Raises Unserved. Any other status but those of a platform in trouble is a broken promise.
        """
        key = uuid.uuid4().hex
        deadline = time.monotonic() + PATIENCE_SECONDS
        for attempt in itertools.count():
            if time.monotonic() > deadline:
                raise Unserved(f"{method} {path}")
            status, answer = await self.try_once(method, path, body, key=key, attempt=attempt)
            in_flight = status == 409 and answer.get("code") == "request_in_flight"
            if (200 <= status < 300 or status in refusals) and not in_flight:
                return status, answer
            if status not in {0, 503} and not in_flight:
                self.blame("answered", method=method, path=path, status=status, answer=answer)
                return status, answer
            await asyncio.sleep(RETRY_SECONDS * self._rng.uniform(0.5, 1.5))
        raise AssertionError

    async def try_once(
        self, method: str, path: str, body: Any = None, *, key: str = "", attempt: int = 0
    ) -> tuple[int, Any]:
        """One request: its status and content, (0, {}) when there was no answer."""
        api = self.apis[(self.id + attempt) % len(self.apis)]
        headers = {"Authorization": f"Bearer {self.access}", "X-Forwarded-For": self.address}
        headers |= {"Idempotency-Key": key} if key and method == "POST" else {}
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with self._http.request(
                method, f"{api}/api/v1{path}", json=body, headers=headers, timeout=limit
            ) as response:
                answer = await response.json(content_type=None) if response.status != 204 else {}
                self.statuses[response.status] += 1
                return response.status, answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self.statuses[0] += 1
            return 0, {}

    # The socket

    def connect(self) -> None:
        """Be connected from now on, through whatever happens."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected())

    async def disconnect(self) -> None:
        """Go away, keeping the cursors."""
        task, self._task = self._task, None
        if task is not None:
            await end([task])

    async def command(self, name: str, **payload: Any) -> Json:
        """One command and its answer. Raises Lost when the socket goes before it comes."""
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        await self._ask(name, payload, lambda value: None if answer.done() else answer.set_result(value))
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise Lost(name) from None

    async def join(self, room: str) -> bool:
        """Be in the room from now on, from its first visible event; False when it may not be seen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            await asyncio.wait_for(self.ready.wait(), PATIENCE_SECONDS)
            try:
                answer = await self._join_once(room)
            except Lost:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.get("ok"):
                return True
            if answer.get("code") != "unavailable":
                return False
            await asyncio.sleep(RETRY_SECONDS)
        raise Unserved(f"join {room}")

    async def leave(self, room: str) -> None:
        """Be out of the room; a socket lost on the way leaves it as well."""

        def take(_answer: Json) -> None:
            self.rooms[room].over = True

        try:
            await self._ask("leave", {"room": room}, take)
        except Lost:
            take({})

    async def _join_once(self, room: str) -> Json:
        model = self.rooms.get(room)
        own = next(iter(self.rooms.values()))
        known = model is not None and not model.over
        cursor = make_cursor(model.epoch, model.last) if model and known else make_cursor(own.epoch, 0)
        done: asyncio.Future[Json] = asyncio.get_running_loop().create_future()

        def take(answer: Json) -> None:
            if answer.get("ok"):
                self._take_join(room, answer)
            if not done.done():
                done.set_result(answer)

        await self._ask("join", {"room": room, "cursor": cursor}, take)
        try:
            return await asyncio.wait_for(done, ANSWER_SECONDS)
        except TimeoutError:
            raise Lost(room) from None

    async def _ask(self, name: str, payload: Json, take: Callable[[Json], None]) -> None:
        socket = self._socket
        if socket is None or not self.ready.is_set():
            raise Lost(name)
        ref = next(self._refs)
        self._waiting[ref] = take
        try:
            await socket.send_str(f"42{ref}{json.dumps([name, payload])}")
        except (OSError, aiohttp.ClientError):
            raise Lost(name) from None

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._live_once()
            except (aiohttp.ClientError, OSError, TimeoutError, EOFError):
                pass
            finally:
                self.ready.clear()
                self._socket = None
                self._fail_waiting()
            asked = self.closings[-1].reconnect_in_ms if self.closings else None
            await asyncio.sleep(asked / 1000 if asked else RETRY_SECONDS * self._rng.uniform(0.5, 1.5))

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for take in waiting.values():
            take({"ok": False, "code": "unavailable"})

    async def _live_once(self) -> None:
        """One connection, from its opening to its end."""
        url = self._rng.choice(self.sockets) + "/socket.io/?EIO=4&transport=websocket"
        async with asyncio.timeout(ANSWER_SECONDS):
            socket = await self._http.ws_connect(url, headers={"X-Forwarded-For": self.address}, max_msg_size=0)
        closed = Closed(None, 0)
        try:
            opened = json.loads((await socket.receive_str(timeout=ANSWER_SECONDS))[1:])
            silence = (opened["pingInterval"] + opened["pingTimeout"]) / 1000
            cursors = {room: make_cursor(model.epoch, model.last) for room, model in self.rooms.items() if _own(room)}
            await socket.send_str("40" + json.dumps({"token": self.access, "cursors": cursors}))
            while (message := await socket.receive(silence)).type is aiohttp.WSMsgType.TEXT:
                await self._take_packet(socket, message.data, closed)
        finally:
            closed.at = time.time()
            self.closings.append(closed)
            await socket.close()

    async def _take_packet(self, socket: aiohttp.ClientWebSocketResponse, text: str, closed: Closed) -> None:
        if text == "2":
            await socket.send_str("3")
        elif text.startswith("44"):
            refusal = json.loads(text[2:]).get("data", {})
            closed.code, closed.reconnect_in_ms = refusal.get("code") or text[2:], refusal.get("reconnect_in_ms")
            raise EOFError
        elif text.startswith("43"):
            start = text.index("[")
            take = self._waiting.pop(int(text[2:start]), None)
            if take is not None:
                take(json.loads(text[start:])[0])
        elif text.startswith("42"):
            name, payload = json.loads(text[2:])
            if name == "ready":
                self._socket = socket
                self._take_ready(payload["rooms"])
            elif name == "closing":
                closed.code, closed.reconnect_in_ms = payload["code"], payload.get("reconnect_in_ms")
            else:
                self._take(payload)
        elif text in {"1", "41"}:
            raise EOFError

    def _take_ready(self, rooms: dict[str, Json]) -> None:
        for room, answer in rooms.items():
            self._take_join(room, answer)
        if not self.ready.is_set():
            self.ready.set()
            for room, model in self.rooms.items():
                if not _own(room) and not model.over:
                    self._spawn(self._rejoin(room))

    async def _rejoin(self, room: str) -> None:
        """Go on in a room where it was left off; what is lost on the way is done by the next connection."""
        with contextlib.suppress(Lost):
            while not (answer := await self._join_once(room)).get("ok"):
                if answer.get("code") != "unavailable":
                    self.rooms[room].over = True
                    return
                await asyncio.sleep(RETRY_SECONDS)

    def _spawn(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    # What is heard

    def _take_join(self, room: str, answer: Json) -> None:
        epoch, number = read_cursor(answer["cursor"])
        model = self.rooms.get(room)
        if model is None or model.over:
            if model is not None:
                self.past.append((room, model))
            missed = answer.get("missed", [])
            first = missed[0]["number"] if missed else number + 1
            model = self.rooms[room] = RoomModel(first - 1, epoch)
        if answer.get("resync_required"):
            model.resyncs += 1
            model.last, model.epoch = number, epoch
        for envelope in answer.get("missed", []):
            self._take(envelope)
        if model.last != number:
            self.blame("cursor", room=room, cursor=number, last=model.last)
        if answer.get("more"):
            self._spawn(self._rejoin(room))
        self.news.set()

    def _take(self, envelope: Json) -> None:
        room, number = envelope["room"], envelope["number"]
        model = self.rooms.get(room)
        if model is None or model.over:
            self.blame("foreign", room=room, number=number, type=envelope["type"])
            return
        if number is None:
            if envelope["type"] == "resync_required":
                model.resyncs += 1
                model.epoch, model.last = read_cursor(envelope["data"]["cursor"])
            return
        if number <= model.last:
            self.repeats += 1
            return
        if number != model.last + 1 or envelope["epoch"] != model.epoch:
            self.blame("gap", room=room, last=model.last, number=number, epoch=envelope["epoch"])
        model.last = number
        model.heard.append((number, envelope["type"], envelope["data"]))
        if envelope["type"] == "member.removed" and envelope["data"]["user"]["id"] == self.id:
            model.over = True
        self._history.write("heard", who=self.id, room=room, number=number, type=envelope["type"])
        self.on_event(room, envelope)
        self.news.set()

    def blame(self, promise: str, **facts: Any) -> None:
        """Write down a broken promise."""
        self._history.blame(promise, who=self.id, **facts)

    def forget_the_past(self) -> None:
        """Drop what was judged already, so that a long run stays small."""
        self.past.clear()
        for room, model in list(self.rooms.items()):
            model.heard.clear()
            if not _own(room):
                del self.rooms[room]

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait for news that make the condition true; False when they do not come in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), min(left, 1))
        return True


def _own(room: str) -> bool:
    """Whether the room is joined by itself."""
    return room.partition(":")[0] in {"user", "assistant"}
