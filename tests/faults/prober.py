"""Somebody who asks steadily, as through a balancer that looks who is ready: each request on a connection of its own,
and tried once."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.faults.person import Person

ANSWER_SECONDS = 10.0
LOOK_SECONDS = 0.1


class Prober:
    """Reads and writes in turn, so many times a second, whatever becomes of the ones before.

    A backend that is not ready is not asked while another is, and one where nobody listens never was: the next is.
    Whatever was asked counts, by its answer's status or by what happened instead.
    """

    def __init__(self, person: Person, conversation_id: int, *, apis: Sequence[str], per_second: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self.said: dict[int, str] = {}
        """Messages that were acknowledged: id → client_id."""
        self.last_trouble_at = 0.0
        self._person, self._conversation_id, self._apis = person, conversation_id, apis
        self._unready: set[str] = set()
        self._pause = 1 / per_second
        self._turns = itertools.count()

    async def run(self, stopping: asyncio.Event) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as asking:
            looking = [asking.create_task(self._look(http, api)) for api in self._apis]
            while not stopping.is_set():
                asking.create_task(self._ask(http, next(self._turns)))
                await asyncio.sleep(self._pause)
            for one in looking:
                one.cancel()

    async def _look(self, http: aiohttp.ClientSession, api: str) -> None:
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        while True:
            try:
                async with http.get(f"{api}/readyz", timeout=limit) as answer:
                    is_ready = answer.status == 200
            except (aiohttp.ClientError, OSError, TimeoutError):
                is_ready = False
            (self._unready.discard if is_ready else self._unready.add)(api)
            await asyncio.sleep(LOOK_SECONDS)

    async def _ask(self, http: aiohttp.ClientSession, turn: int) -> None:
        for attempt in range(2 * len(self._apis)):
            apis = [api for api in self._apis if api not in self._unready] or self._apis
            try:
                outcome = await self._try(http, apis[(turn + attempt) % len(apis)], turn)
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
                continue
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                outcome = type(error).__name__
            break
        else:
            outcome = "nobody listened"
        self.outcomes[outcome] += 1
        if not outcome.startswith("2"):
            self.last_trouble_at = time.monotonic()

    async def _try(self, http: aiohttp.ClientSession, api: str, turn: int) -> str:
        headers = {"Authorization": f"Bearer {self._person.access}", "X-Forwarded-For": self._person.address}
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        url, body, name = f"{api}/api/v1/me/", None, f"turn-{turn}"
        if turn % 2:
            url = f"{api}/api/v1/conversations/{self._conversation_id}/messages/"
            body = {"content": name, "client_id": name}
        method = "POST" if body else "GET"
        async with http.request(method, url, json=body, headers=headers, timeout=limit) as answer:
            read: Any = await answer.json(content_type=None)
            if answer.status == 201:
                self.said[read["id"]] = name
            return str(answer.status)
