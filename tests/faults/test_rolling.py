"""A deployment: one process after the other is stopped and started again, and nothing is dropped."""

import asyncio
import time
from collections.abc import Sequence

from backend.cli.stack import Stack
from tests.faults.faults import ROLES, Fault
from tests.faults.harness import PLACES, Field, Run
from tests.faults.prober import Prober

STOPPED_SECONDS = 25.0
"""What is begun is finished within it; how long the way back takes is the machine's."""
SPREAD_MS = 5000
BEGUN_AGAIN = "SELECT id, name, attempts, last_error FROM core_job WHERE attempts > 1 AND id > %s"


def _restart(name: str, stopped: dict[str, float]) -> Fault:
    """A clean stop, whose seconds are noted, and the way back."""

    def strike(stack: Stack) -> None:
        began = time.monotonic()
        stack.keeper(name).hold()
        stopped[name] = time.monotonic() - began
        stack.keeper(name).release()

    return Fault(f"restart {name}", strike, name)


class TestRollingRestart:
    def test_of_one_of_each_pair_drops_nothing(self, pairs: Field) -> None:
        """O1, D7: no request fails, no job is begun twice, every socket is told when to come back."""
        asyncio.run(_alone(pairs))


async def _alone(field: Field) -> None:
    async with Run(field) as run:
        await roll(run, ROLES)


async def roll(run: Run, names: Sequence[str]) -> None:
    """Restart these, one after the other, under load."""
    zones = await run.town(1, clients=6, assistants=6)
    asker, listener = await run.gather("client", 2, PLACES[-1])
    await run.connect([listener])
    talk = await run.inside("talk", user_ids=[asker.id, listener.id], title="While all restarts")
    assert await listener.join(f"conversation:{talk}")
    prober = Prober(asker, talk, apis=run.field.addresses("backend"), per_second=20)
    [(last_job,)] = await asyncio.to_thread(run.checker.rows, "SELECT coalesce(max(id), 0) FROM core_job")
    stopping = asyncio.Event()
    probing = asyncio.create_task(prober.run(stopping))
    stopped: dict[str, float] = {}
    try:
        load = await run.under([_restart(name, stopped) for name in names], zones, jobs=6 * len(names))
    finally:
        stopping.set()
        await probing

    assert not run.history.broken, run.history.told()
    assert set(prober.outcomes) == {"200", "201"}, prober.outcomes
    assert sum(person.statuses[500] + person.statuses[503] for person in run.people) == 0
    assert all(took <= STOPPED_SECONDS for took in stopped.values()), stopped
    assert load.finished == load.begun >= 6 * len(names)
    assert await asyncio.to_thread(run.checker.rows, BEGUN_AGAIN, last_job) == []
    sent_away = [closed for person in run.people for closed in person.closings]
    # A sidecar whose backend is just being replaced lets nobody in, and says when to try again: each has but one here.
    assert {closed.code for closed in sent_away} - {"unavailable"} == {"server_draining"}
    pauses = [closed.reconnect_in_ms or 0 for closed in sent_away]
    assert all(0 <= pause < SPREAD_MS for pause in pauses)
    assert len(set(pauses)) > len(pauses) / 2
