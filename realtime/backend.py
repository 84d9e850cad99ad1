"""The backend as the sidecar sees it: who may join, where rooms stand, what was missed, and acting for a person.

Every internal answer names the epoch (the database's life) and how far the test clock is ahead.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError

from realtime.ending import end
from shared_contracts.errors import ErrorCode
from shared_contracts.internal import (
    CREDENTIAL_HEADER,
    MAX_HEADS,
    Events,
    EventsRequest,
    Heads,
    HeadsRequest,
    Internal,
    JoinRequest,
    JoinRequests,
    JoinResult,
    JoinResults,
)

log = structlog.get_logger(__name__)

INTERNAL_SECONDS = 5
ACT_SECONDS = 8
"""Less than a ping's time-out: a socket waits for its own command."""
CONNECT_SECONDS = 2
JOINS_A_CALL = 500
CALLS_AT_ONCE = 64
NO_CONTENT = 204

Answer = TypeVar("Answer", bound=Internal)


class BackendAway(Exception):
    """The backend did not answer in time, or not sensibly."""


@dataclass(frozen=True, slots=True)
class Acted:
    """What the public API answered to an act for a person: the body of a 2xx, or the problem's code and detail."""

    ok: bool
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body.get("code") or ErrorCode.UNAVAILABLE)

    @property
    def detail(self) -> str | None:
        detail = self.body.get("detail")
        return detail if isinstance(detail, str) else None

    @property
    def errors(self) -> list[dict[str, str]] | None:
        errors = self.body.get("errors")
        if not isinstance(errors, list):
            return None
        return [{str(key): str(value) for key, value in error.items()} for error in errors if isinstance(error, dict)]


@dataclass(slots=True)
class _Batch:
    """Joins waiting to be asked together."""

    requests: list[JoinRequest]
    answers: list["asyncio.Future[tuple[str, JoinResult]]"]


class Backend:
    """A client of the backend's internal and public API. Open with `async with`."""

    def __init__(self, url: str, credential: str, *, join_batch_seconds: float) -> None:
        self._url = url
        self._credential = credential
        self._join_batch_seconds = join_batch_seconds
        self._session: aiohttp.ClientSession | None = None
        self._batch: _Batch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.epoch = ""
        self.clock_offset_ms = 0

    async def __aenter__(self) -> "Backend":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CALLS_AT_ONCE),
            headers={CREDENTIAL_HEADER: self._credential},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks)
        if self._session is not None:
            await self._session.close()

    def now(self) -> float:
        """The platform's time, Unix seconds: the machine's, moved as far as the backend last said."""
        return time.time() + self.clock_offset_ms / 1000

    async def join(self, request: JoinRequest) -> tuple[str, JoinResult]:
        """Epoch and answer for one join; joins of the same moment travel in one call. Raises BackendAway."""
        if self._batch is None:
            self._batch = _Batch([], [])
            self._spawn(self._send_batch_soon(self._batch))
        batch = self._batch
        answer: asyncio.Future[tuple[str, JoinResult]] = asyncio.get_running_loop().create_future()
        batch.requests.append(request)
        batch.answers.append(answer)
        if len(batch.requests) >= JOINS_A_CALL:
            self._batch = None
        return await answer

    async def joins(self, requests: Sequence[JoinRequest]) -> list[tuple[str, JoinResult]]:
        """The same for several. Raises BackendAway when any of them was not answered."""
        answers = await asyncio.gather(*(self.join(request) for request in requests), return_exceptions=True)
        results = [answer for answer in answers if not isinstance(answer, BaseException)]
        if len(results) < len(requests):
            raise BackendAway("joins")
        return results

    async def heads(self, rooms: Sequence[str]) -> Heads:
        """The last number of each room (at most 1,000). Raises BackendAway."""
        return await self._ask("heads", HeadsRequest(rooms=list(rooms[:MAX_HEADS])), Heads)

    async def events(self, room: str, after: int) -> Events:
        """The room's events after this number, in order, at most 1,000. Raises BackendAway."""
        return await self._ask("events", EventsRequest(room=room, after=after), Events)

    async def act(self, *, token: str, address: str, path: str, body: dict[str, Any] | None = None) -> Acted:
        """POST to the public API as the token's person, from this client address. Raises BackendAway."""
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Forwarded-For": address,
            "X-Request-ID": structlog.contextvars.get_contextvars().get("request_id") or uuid.uuid4().hex,
        }
        status, answer = await self._post(f"/api/v1/{path}", body or {}, ACT_SECONDS, headers)
        if answer is None and status == NO_CONTENT:
            answer = {}
        if not isinstance(answer, dict):
            raise BackendAway(path)
        return Acted(200 <= status < 300, answer)

    async def _send_batch_soon(self, batch: _Batch) -> None:
        await asyncio.sleep(self._join_batch_seconds)
        if self._batch is batch:
            self._batch = None
        try:
            results = await self._ask("joins", JoinRequests(joins=batch.requests), JoinResults)
            if len(results.results) != len(batch.requests):
                raise BackendAway("joins")
        except BackendAway as error:
            for future in batch.answers:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in zip(batch.answers, results.results, strict=True):
            if not future.done():
                future.set_result((results.epoch, result))

    async def _ask(self, name: str, request: BaseModel, answer: type[Answer]) -> Answer:
        status, body = await self._post(
            f"/internal/realtime/{name}/", request.model_dump(mode="json"), INTERNAL_SECONDS
        )
        if status != 200:
            log.error("backend.refused", call=name, status=status)
            raise BackendAway(name)
        try:
            parsed = answer.model_validate(body)
        except ValidationError:
            log.exception("backend.unreadable", call=name)
            raise BackendAway(name) from None
        self.epoch = parsed.epoch
        self.clock_offset_ms = parsed.clock_offset_ms
        return parsed

    async def _post(
        self, path: str, body: dict[str, Any], seconds: float, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        if self._session is None:
            raise RuntimeError("the client is used inside `async with` only")
        limit = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS)
        try:
            async with self._session.post(
                self._url + path, json=body, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                answer = await response.read()  # JSON in UTF-8, whatever its headers say
                return response.status, json.loads(answer) if answer else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("backend.away", path=path, error=type(error).__name__)
            raise BackendAway(path) from None

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
