"""A machine whose clock is wrong by a minute and a half: nothing happens twice, and nobody is locked out."""

import asyncio

import pytest

from tests.faults import faults
from tests.faults.harness import Field, Run

OFFSETS = [faults.SKEW_SECONDS, -faults.SKEW_SECONDS]


class TestSkewedClocks:
    @pytest.mark.parametrize("by", OFFSETS)
    def test_of_one_of_each_pair_cost_nothing_twice(self, pairs: Field, by: float) -> None:
        """T5: leases are the database's time, so what one clock calls run out, the other does not run as well."""

        async def play() -> None:
            async with Run(pairs) as run:
                zones = await run.town(2, clients=6, assistants=6)
                names = [f"{role}-2" for role in faults.ROLES]
                for name in names:
                    await asyncio.to_thread(faults.set_clock, pairs, name, by)
                try:
                    await run.under([], zones, jobs=30)
                finally:
                    for name in names:
                        await asyncio.to_thread(faults.set_clock, pairs, name, 0)
                assert not run.history.broken, run.history.told()

        asyncio.run(play())
