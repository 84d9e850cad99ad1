"""A machine whose clock is wrong by a minute and a half: nothing happens twice, and nobody is locked out."""

import asyncio

from tests.faults import faults
from tests.faults.harness import Field, Run

BEGUN_AGAIN = "SELECT id, name, attempts, last_error FROM core_job WHERE attempts > 1 AND id > %s"

OFFSETS = {
    "relay-2": faults.SKEW_SECONDS,
    "realtime-2": faults.SKEW_SECONDS,
    "backend-2": -faults.SKEW_SECONDS,
    "worker-2": -faults.SKEW_SECONDS,
}
"""`./callout soak` tries each process with both."""


class TestSkewedClocks:
    def test_of_one_of_each_pair_does_nothing_twice(self, pairs: Field) -> None:
        """T5, A1: leases are the database's time, so what one clock calls run out the other does not run as well."""
        asyncio.run(self._play(pairs))

    async def _play(self, field: Field) -> None:
        async with Run(field) as run:
            zones = await run.town(1, clients=8, assistants=8)
            [(last_job,)] = await asyncio.to_thread(run.checker.rows, "SELECT coalesce(max(id), 0) FROM core_job")
            changes = (asyncio.to_thread(faults.set_clock, field, name, by) for name, by in OFFSETS.items())
            await asyncio.gather(*changes)
            try:
                await run.under([], zones, jobs=25)
            finally:
                for name in OFFSETS:  # whoever wants them next starts them
                    await asyncio.to_thread(field.keeper(name).hold, kill=True)
                    faults.give_clock(field, name, 0)
            assert not run.history.broken, run.history.told()
            assert await asyncio.to_thread(run.checker.rows, BEGUN_AGAIN, last_job) == []
