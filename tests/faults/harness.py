"""A platform of its own to be hurt, people on it, and runs: a load, faults in the midst of it, a judgement."""

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from backend.cli import database
from backend.cli.stack import Stack, role_of
from tests.faults.checker import Checker
from tests.faults.faults import Fault
from tests.faults.history import History
from tests.faults.inside import Inside
from tests.faults.load import Load, Zone
from tests.faults.person import Person

FREE_PORTS = {"backend": 0, "realtime": 0, "worker": 0, "relay": 0}
SETTINGS = {
    "DATABASE_URL": "",
    "DATABASE_OWNER_URL": "",
    "REDIS_URL": "",
    "ENVIRONMENT": "development",
    "CLOCK_MOVABLE": "true",
    "RATE_LIMITS": "true",
    "LIMIT_PER_ADDRESS_PER_MINUTE": "1000000",
    "LIMIT_PER_USER_PER_MINUTE": "1000000",
    "TRUSTED_PROXIES": "127.0.0.0/8",
    "ACCESS_TOKEN_MINUTES": "60",
    "WAVE_SIZE": "200",
    "WAVE_SECONDS": "2",
    "MESSAGE_PUSH_SECONDS": "1",
    "BACKEND_WORKERS": "2",
    "BACKEND_DRAIN_SECONDS": "1",
}
"""Every person has an address of their own, every request asks Redis, a wave asks a crowd, timers run all the time."""

LOOKED_AT_SECONDS = 0.2
"""Every process looks at the test clock ten times a second."""

PLACES = [(36.0, -1.0), (34.0, 1.0), (32.0, 3.0), (30.0, 5.0), (28.0, 7.0)]
"""Where zones lie: hundreds of kilometres apart."""


class Field(Stack):
    """The whole platform on servers of its own."""

    def __init__(self, home: Path, **options: Any) -> None:
        settings = {**SETTINGS, **options.pop("env", {})}
        super().__init__(home, ports=FREE_PORTS, env=settings, durable=False, **options)
        self.inside: Inside

    def start(self) -> None:
        super().start()
        self.inside = Inside(self.environment)
        self.inside.call("tariffs")

    def stop(self, *, grace: float = 15) -> None:
        """Ours are killed: how they end by themselves is what tests are for."""
        if "inside" in self.__dict__:
            self.inside.close()
        ours = [name for name in self._supervisor.keepers if name in self.ports]
        all_at_once(lambda name: self.keeper(name).hold(kill=True), ours)
        super().stop(grace=grace)

    def addresses(self, role: str) -> list[str]:
        """Where the running processes of a role answer."""
        return [self.url(name) for name in self.ports if role_of(name) == role and self.keeper(name).is_alive()]

    def _prepare_database(self) -> None:
        """In the suite the tables are the template's: reading its dump takes half a second, migrating ten."""
        if "CALLOUT_TEST_SERVERS" in os.environ:
            from tests.servers import load_template  # whoever imports it has servers

            load_template(self.environment["DATABASE_OWNER_URL"])
        else:
            super()._prepare_database()

    def move_clock(self, by: timedelta) -> None:
        """Move everybody's clock, and wait until every process has looked at it."""
        database.advance_clock(self.environment, by)
        time.sleep(LOOKED_AT_SECONDS)


def all_at_once(act: Callable[[str], object], names: Iterable[str]) -> None:
    """Do it to each of these at the same time. Raises what the first that failed raised."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(act, names))


class Run:
    """A stretch of time with people on the platform. `async with`: everyone goes home at its end."""

    def __init__(self, field: Field, *, seed: int = 0, history: History | None = None) -> None:
        self.field = field
        self.history = history or History()
        self.rng = random.Random(seed)
        self.people: list[Person] = []
        self.checker = Checker(field.environment["DATABASE_OWNER_URL"], field.inside, self.history)
        self.http: aiohttp.ClientSession
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> "Run":
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=5)
        self.http = await self._exits.enter_async_context(
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(person.disconnect() for person in self.people))
        await self._exits.aclose()
        self.history.close()

    async def gather(self, kind: str, count: int, place: tuple[float, float] = PLACES[0]) -> list[Person]:
        """New people of a role at a place, assistants on duty; not connected yet."""
        made = await self.inside(
            "people", kind=kind, count=count, lat=place[0], lng=place[1], mark=secrets.token_hex(4)
        )
        people = [Person(known, self.http, self.history, random.Random(self.rng.random())) for known in made]
        for person in people:
            person.apis, person.sockets = self.field.addresses("backend"), self.field.addresses("realtime")
        self.people += people
        return people

    async def inside(self, do: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(self.field.inside.call, do, **arguments)

    async def connect(self, people: Iterable[Person]) -> None:
        """Bring these people online, and wait until all are."""
        people = list(people)
        for person in people:
            person.connect()
        await asyncio.wait_for(asyncio.gather(*(person.ready.wait() for person in people)), 30)

    async def town(self, zones: int, *, clients: int, assistants: int) -> list[Zone]:
        """So many zones, each with so many people, all online."""
        made = [
            Zone(*place, await self.gather("client", clients, place), await self.gather("assistant", assistants, place))
            for place in PLACES[:zones]
        ]
        await self.connect(person for zone in made for person in [*zone.clients, *zone.assistants])
        return made

    async def under(
        self,
        faults: Sequence[Fault],
        zones: list[Zone],
        *,
        jobs: int,
        overlap_s: float = 0,
        seed: int = 0,
        meanwhile: Sequence[Coroutine[Any, Any, None]] = (),
    ) -> Load:
        """Play so many jobs, strike in the midst of them, and judge when all is at rest, `meanwhile` too.

        Faults follow each other, spread over the jobs; with `overlap_s` the next one comes so many seconds after the
        beginning of the one before.
        """
        load = Load(zones, self.history, seed=seed, jobs=jobs)
        playing = asyncio.create_task(load.run())
        others = [asyncio.create_task(one) for one in meanwhile]
        struck = []
        for number, fault in enumerate(faults, 1):
            while load.begun < jobs * number / (len(faults) + 1) and not playing.done() and not overlap_s:
                await asyncio.sleep(0.02)
            struck.append(asyncio.create_task(self.strike(fault)))
            await asyncio.wait(struck, timeout=overlap_s or None)
        await asyncio.gather(playing, *struck, *others)
        await self.checker.judge(self.people, load.ledger)
        return load

    async def hold(self) -> None:
        """Every promise held, as far as anybody saw."""
        await self.checker.judge(self.people)
        assert not self.history.broken, self.history.told()

    async def strike(self, fault: Fault) -> None:
        began = time.monotonic()
        self.history.write("strikes", fault=fault.name)
        try:
            await asyncio.to_thread(fault.strike, self.field)
        except TimeoutError as error:
            self.history.blame("ready again", fault=fault.name, error=str(error))
        self.history.write("over", fault=fault.name, seconds=round(time.monotonic() - began, 2))
