"""Waves and expiries that come due while everything is down happen soon after the return, and once."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from tests.faults import faults
from tests.faults.harness import PLACES, Field, Run

PLACE = PLACES[3]
FARTHER = (PLACE[0] + 0.065, PLACE[1])
"""Seven kilometres to the north: the first wave goes five far, the second ten."""
SOON_SECONDS = 5.0
DOWN_SECONDS = 2.5
"""A wave follows the one before after two."""
ALMOST = timedelta(minutes=9, seconds=58)
"""A request ends after ten minutes."""

WAVES = "SELECT number, count(*) FROM dispatch_wave WHERE assistance_id = %s GROUP BY number ORDER BY number"
ENDS = "SELECT count(*) FROM core_state_change WHERE reference = %s AND to_status = 'expired'"
OFFERS = "SELECT count(*) FROM dispatch_offer WHERE assistance_id = %s AND assistant_id = ANY(%s)"


class TestTimersThatCameDueWhileEverythingWasDown:
    def test_happen_within_five_seconds_of_the_return_and_once(self, field: Field) -> None:
        """T4, D5. Red with: the next wave as a timer in the backend's memory instead of a row."""
        asyncio.run(self._come_back(field))

    async def _come_back(self, field: Field) -> None:
        async with Run(field) as run:
            lonely, client = await run.gather("client", 2)
            nowhere = {"lat": PLACE[0] - 2, "lng": PLACE[1] - 2}
            _, asked = await lonely.call("POST", "/assistance/", {"pickup": nowhere, "service_type": "towing"})
            ending = asked["assistance"]["id"]
            field.move_clock(ALMOST)
            far = await run.gather("assistant", 3, FARTHER)
            pickup = {"lat": PLACE[0], "lng": PLACE[1]}
            _, asked = await client.call("POST", "/assistance/", {"pickup": pickup, "service_type": "towing"})
            searching = asked["assistance"]["id"]

            await asyncio.to_thread(all_down, field)
            assert run.checker.rows(WAVES, searching) == [(1, 1)]
            assert run.checker.rows(ENDS, f"assistance:{ending}") == [(0,)]
            await asyncio.sleep(DOWN_SECONDS)
            await asyncio.to_thread(all_up, field)
            back_at = time.monotonic()
            while not (
                (2, 1) in run.checker.rows(WAVES, searching)
                and run.checker.rows(ENDS, f"assistance:{ending}") == [(1,)]
            ):
                assert time.monotonic() - back_at <= SOON_SECONDS
                await asyncio.sleep(0.05)

            await client.call("POST", f"/assistance/{searching}/status/", {"status": "canceled"})
            await run.checker.judge(run.people)
            assert not run.history.broken, run.history.told()
            assert {times for _, times in run.checker.rows(WAVES, searching)} == {1}
            assert run.checker.rows(OFFERS, searching, [person.id for person in far]) == [(3,)]
            assert run.checker.rows(ENDS, f"assistance:{ending}") == [(1,)]


def all_down(field: Field) -> None:
    """Every process killed, and Redis emptied."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: field.keeper(name).hold(kill=True), faults.ROLES))
    faults.empty_redis().strike(field)


def all_up(field: Field) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: field.keeper(name).release(), faults.ROLES))
