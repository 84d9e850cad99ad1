"""Machines fail in the midst of work, and nobody is told too little, too much, twice or out of order.

Every test ends with the proof of the database and a comparison of what everyone heard with what was written. Seen red
with these bugs planted: leases that never run out (killed worker), a fanned-out event without its row (any), gaps that
the node does not fill and heads that it does not ask (Redis), Django's own answer to a database lost around a view
(PostgreSQL).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import psycopg

from tests.faults import faults
from tests.faults.faults import Fault
from tests.faults.harness import PLACES, Field, Run
from tests.faults.load import Load

Meanwhile = Callable[[Run], Coroutine[Any, Any, None]]

RESUMED_SECONDS = 30
"""A killed worker's job is begun again within this time: its lease lasts twenty."""

JOBS = 40
"""Each makes some twenty-five events."""
RECEIPTS, AT_ONCE = 1000, 20
"""As many again, a few in each transaction, for two people who listen."""
EVENTS = "SELECT count(*) FROM core_event"
LEASED = """
    SELECT count(*) FROM core_job WHERE name = 'dispatch.offer_next_wave' AND lease_until > clock_timestamp()
        AND (arguments ->> 'assistance_id')::bigint = ANY(%s)
"""
WAVES = "SELECT assistance_id, number, count(*) FROM dispatch_wave WHERE assistance_id = ANY(%s) GROUP BY 1, 2"
RESUMED = """
    SELECT (arguments ->> 'assistance_id')::bigint, attempts, extract(epoch FROM finished_at - lease_began)
    FROM core_job, LATERAL (SELECT %s::timestamptz AS lease_began) AS killed
    WHERE name = 'dispatch.offer_next_wave' AND (arguments ->> 'wave')::int = 2 AND status = 'done'
        AND (arguments ->> 'assistance_id')::bigint = ANY(%s)
"""


async def play_under(
    run: Run, struck: Sequence[Fault], *, jobs: int, overlap: float = 0, meanwhile: Sequence[Meanwhile] = ()
) -> Load:
    """A town of two zones works through so many jobs while these faults strike. Everything is judged."""
    zones = await run.town(2, clients=8, assistants=8)
    load = await run.under(struck, zones, jobs=jobs, overlap_s=overlap, meanwhile=[one(run) for one in meanwhile])
    assert not run.history.broken, run.history.told()
    assert load.finished == load.begun >= jobs
    return load


class TestKilledProcesses:
    def test_nothing_is_lost_when_each_is_killed_in_the_midst_of_2000_events(self, field: Field) -> None:
        """R1, R2, T2, D5."""
        asyncio.run(self._kill_each(field))

    async def _kill_each(self, field: Field) -> None:
        async with Run(field) as run:
            killed = [faults.kill(name) for name in ("relay", "realtime", "backend", "worker")]
            began = run.checker.rows(EVENTS)
            await play_under(run, killed, jobs=JOBS, meanwhile=[_interrupt_jobs, _acknowledge])
            assert run.checker.rows(EVENTS)[0][0] - began[0][0] >= 2000


async def _acknowledge(run: Run) -> None:
    """One of two people's phone says all the time that it has got what was said."""
    people = await run.gather("client", 2, PLACES[-2])
    await run.connect(people)
    talk = await run.inside("talk", user_ids=[person.id for person in people], title="Receipts")
    assert all([await person.join(f"conversation:{talk}") for person in people])
    await run.inside("say", user_id=people[0].id, conversation_id=talk, count=1, characters=20)
    for _ in range(RECEIPTS // AT_ONCE):
        await run.inside("acknowledge", user_id=people[1].id, conversation_id=talk, count=AT_ONCE)
        await asyncio.sleep(0.4)


async def _interrupt_jobs(run: Run) -> None:
    """The worker is killed while it runs four timers: each is run again, and has its effect once."""
    clients = await run.gather("client", 4, PLACES[-1])
    asked = await asyncio.gather(
        *(
            client.call("POST", "/assistance/", {"pickup": _point(PLACES[-1]), "service_type": "towing"})
            for client in clients
        )
    )
    jobs = [answer["assistance"]["id"] for _, answer in asked]
    killed_at = await asyncio.to_thread(_kill_while_they_run, run, jobs)
    async with asyncio.timeout(RESUMED_SECONDS):
        while len(resumed := await asyncio.to_thread(run.checker.rows, RESUMED, killed_at, jobs)) < len(jobs):
            await asyncio.sleep(0.2)
    assert all(attempts >= 2 for _, attempts, _ in resumed)
    waves = await asyncio.to_thread(run.checker.rows, WAVES, jobs)
    assert {times for _, _, times in waves} == {1}
    await asyncio.gather(
        *(
            client.call("POST", f"/assistance/{job}/status/", {"status": "canceled"})
            for client, job in zip(clients, jobs, strict=True)
        )
    )


def _kill_while_they_run(run: Run, jobs: list[int]) -> object:
    """Hold the rows that the timers want, and kill the worker when it waits for them."""
    with psycopg.connect(run.field.environment["DATABASE_OWNER_URL"]) as holder:
        holder.execute("SELECT FROM dispatch_assistance WHERE id = ANY(%s) FOR UPDATE", [jobs])
        deadline = time.monotonic() + 10
        while run.checker.rows(LEASED, jobs) != [(len(jobs),)]:
            assert time.monotonic() < deadline, "the timers were not begun"
            time.sleep(0.02)
        run.field.kill("worker")
        row = holder.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return row[0]


def _point(place: tuple[float, float]) -> dict[str, float]:
    return {"lat": place[0], "lng": place[1]}


class TestStoppedProcesses:
    def test_who_is_stopped_for_five_seconds_goes_on_and_harms_nobody(self, field: Field) -> None:
        """R2, R9, T2, D5: the relay's locks pass on after three seconds, and it must not number what is not its own."""

        async def play() -> None:
            async with Run(field) as run:
                frozen = [faults.freeze(name, 5) for name in faults.ROLES]
                await play_under(run, frozen, jobs=25, overlap=2.5)

        asyncio.run(play())


class TestLosingRedis:
    def test_emptied_restarted_deaf_slow_and_gone_it_costs_time_only(self, field: Field) -> None:
        """R2, R9, T1, T4, T7, O4. Red with: pub/sub trusted, so that a jump in the numbers is handed out as it is."""

        async def play() -> None:
            async with Run(field) as run:
                harms = [
                    faults.empty_redis(),
                    faults.restart("redis"),
                    faults.forget_listeners(),
                    faults.freeze("redis", 4),
                    faults.cut_off_redis(3),
                    faults.slow_redis(3),
                ]
                await play_under(run, harms, jobs=35)
                assert sum(person.statuses[503] for person in run.people) == 0

        asyncio.run(play())
