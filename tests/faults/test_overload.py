"""Who sends slowly, and who asks for too much, costs the others little."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from tests.faults.harness import Field, Run
from tests.faults.person import Person

CLOSED_SECONDS = 30.0
SLOW, SILENT, HALF_OPEN = 100, 100, 100
"""More of each than there are threads that work."""
HEAD = (
    "POST /api/v1/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)
PLAIN = b"GET /api/v1/assistants/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@dataclass
class Crowd:
    """Connections that never finish what they began to ask."""

    host: str
    port: int
    closed_after: list[float] = field(default_factory=list)

    async def send(self, beginning: str, *, drips: bool) -> None:
        """Begin a request, and go on with a byte a second or not at all, until hung up on."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        began = time.monotonic()
        with suppress(OSError):
            writer.write(beginning.encode())
            closing = asyncio.create_task(reader.read())
            while not closing.done():
                if drips:
                    writer.write(b" ")
                await asyncio.wait([closing], timeout=1)
            closing.result()
        self.closed_after.append(time.monotonic() - began)
        writer.close()

    async def ask(self) -> tuple[str, float]:
        """An ordinary request on a connection of its own: the answer's status and the seconds it took."""
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(PLAIN)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer[9:12].decode(), time.monotonic() - began


class TestSlowSenders:
    def test_are_hung_up_on_and_cost_the_others_nothing(self, field: Field) -> None:
        """L4. Red when a worker's thread waits for the body: thirty such senders were all it took, for as long as they
        liked; seen."""
        asyncio.run(self._crowd_in(field))

    async def _crowd_in(self, field: Field) -> None:
        crowd = Crowd(*field.address("backend"))
        senders = [
            *(crowd.send(HEAD, drips=True) for _ in range(SLOW)),
            *(crowd.send(HEAD, drips=False) for _ in range(SILENT)),
            *(crowd.send("GET / HTTP/1.1\r\n", drips=False) for _ in range(HALF_OPEN)),
        ]
        sending = asyncio.gather(*(asyncio.create_task(one) for one in senders))
        answers = []
        while not sending.done():
            answers.append(await crowd.ask())
            await asyncio.sleep(0.1)
        await sending
        assert Counter(status for status, _ in answers) == {"401": len(answers)}
        took = sorted(seconds for _, seconds in answers)
        assert took[int(len(took) * 0.95)] < 1, took[-5:]
        assert len(crowd.closed_after) == len(senders)
        assert max(crowd.closed_after) <= CLOSED_SECONDS + 2


SLOW_QUERIES = 8
"""As many as there are threads that work, in both workers together."""
SLOW_SECONDS = 6.0


class TestSlowQueries:
    def test_do_not_stop_the_rest(self, field: Field) -> None:
        """L3: those who read a locked table are told in two seconds that it is not available; nobody else waits.

        Seen red when who waits for the database keeps the turn of another.
        """
        asyncio.run(self._lock(field))

    async def _lock(self, field: Field) -> None:
        async with Run(field) as run:
            asker, *others = await run.gather("client", 1 + SLOW_QUERIES)
            talk = await run.inside("talk", user_ids=[person.id for person in others], title="Locked")
            until = time.monotonic() + SLOW_SECONDS
            answers: list[tuple[int, float]] = []

            async def read(person: Person, path: str, pause: float, kept: list[tuple[int, float]]) -> None:
                while time.monotonic() < until:
                    began = time.monotonic()
                    status, _ = await person.try_once("GET", path)
                    kept.append((status, time.monotonic() - began))
                    await asyncio.sleep(pause)

            slow: list[tuple[int, float]] = []
            with psycopg.connect(field.environment["DATABASE_OWNER_URL"]) as holder:
                holder.execute("LOCK TABLE messaging_message IN ACCESS EXCLUSIVE MODE")
                reading = (read(person, f"/conversations/{talk}/messages/", 0, slow) for person in others)
                await asyncio.gather(read(asker, "/me/", 0.1, answers), *reading)
                holder.rollback()

            assert {status for status, _ in slow} == {503}
            assert min(seconds for _, seconds in slow) >= 1.9
            assert {status for status, _ in answers} == {200}
            took = sorted(seconds for _, seconds in answers)
            assert took[int(len(took) * 0.95)] < 1.5, took[-5:]
            assert len(answers) > 10
            await run.checker.judge(run.people)
            assert not run.history.broken, run.history.told()


class TestOverload:
    def test_bends_and_does_not_break(self, field: Field) -> None:
        """L6, in short: far more at once than can be served are served one after the other, or refused."""
        asyncio.run(self._overload(field))

    async def _overload(self, field: Field) -> None:
        async with Run(field) as run:
            [asker] = await run.gather("client", 1)

            async def ask_for(seconds: float) -> Counter[int]:
                statuses: Counter[int] = Counter()
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    status, _ = await asker.try_once("GET", "/me/")
                    statuses[status] += 1
                return statuses

            calm = sum(await asyncio.gather(*(ask_for(3) for _ in range(16))), Counter[int]())
            crowd = sum(await asyncio.gather(*(ask_for(3) for _ in range(200))), Counter[int]())
            began = time.monotonic()
            assert (await asker.try_once("GET", "/me/"))[0] == 200
            assert time.monotonic() - began < 10
            assert set(calm) == {200}
            assert set(crowd) <= {200, 429, 503}, crowd
            assert crowd[200] >= calm[200] / 2, (calm, crowd)
