"""The door under siege, in short and without limits: `./callout soak` plays it in full, and with them."""

import asyncio

import pytest

from tests.faults import strangers
from tests.faults.harness import Field, Run


class TestStrangers:
    @pytest.mark.parametrize("path", strangers.DISCOVERIES)
    def test_learn_nothing_from_answers(self, field: Field, path: str) -> None:
        """A7 over HTTP: what is said, and which headers say it. By time it takes 4,000 samples to tell."""
        found = asyncio.run(self._discover(field, path))
        assert found.answers[True] == found.answers[False]
        assert [sum(one.values()) for one in found.answers.values()] == [20, 20]

    async def _discover(self, field: Field, path: str) -> strangers.Discovery:
        async with Run(field) as run:
            await run.inside("strangers", count=strangers.STORM)
            return await strangers.discover(run, path, samples=40, seed=7)

    def test_storm_the_door_and_keep_nobody_out(self, field: Field) -> None:
        """A4: a hundred sign in at once, and others wait little.

        Seen red with one lane for all and as many hashes at a time as come.
        """
        waits = asyncio.run(self._storm(field))
        assert strangers.late(waits) < 1, waits[-5:]

    async def _storm(self, field: Field) -> list[float]:
        async with Run(field) as run:
            await run.inside("strangers", count=strangers.STORM)
            return await strangers.storm(run)
