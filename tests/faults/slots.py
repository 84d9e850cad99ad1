"""D4 as long as one likes: two hundred clients want each of a hundred times at once, whatever fails meanwhile."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.harness import Run
from tests.faults.person import Person, Unserved

CLIENTS = 200
TIMES = 100
_SOLD = "SELECT starts_at, count(*) FROM scheduling_booking WHERE provider_id = %s AND holds_slot GROUP BY 1"


class Slots:
    """A shop with one chair, and the crowd before its door. They have no sockets: REST alone is tried here."""

    def __init__(self, run: Run, shop: Person, crowd: list[Person]) -> None:
        self.run, self.shop, self.crowd = run, shop, crowd
        self.first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=60)
        self.sold: Counter[datetime] = Counter()
        self._stopping = asyncio.Event()

    @classmethod
    async def open(cls, run: Run) -> "Slots":
        """New people, who are judged here and nowhere else."""
        known = [
            *await run.inside("people", kind="contractor", count=1, lat=0.0, lng=0.0, mark="slots"),
            *await run.inside("people", kind="client", count=CLIENTS, lat=0.0, lng=0.0, mark="slots"),
        ]
        people = [Person(one, run.http, run.history, random.Random(one["id"])) for one in known]
        for person in people:
            person.apis = run.field.addresses("backend")
        shop, *crowd = people
        await shop.call("PUT", "/me/booking-policy/", {"auto_confirm_minutes": 0, "horizon_days": 365})
        return cls(run, shop, crowd)

    def stop(self) -> None:
        self._stopping.set()

    async def sell(self, times: int = TIMES) -> None:
        """One time after the other, until `stop()`."""
        self._stopping.clear()
        for _ in range(times):
            if self._stopping.is_set() or len(self.sold) >= TIMES:
                return
            at = self.first + len(self.sold) * timedelta(hours=1)
            answers = await asyncio.gather(*(self._want(person, at) for person in self.crowd))
            self.sold[at] = sum(status == 201 for status in answers)
            if Counter(answers) != {201: 1, 409: CLIENTS - 1}:
                self.run.history.blame("sold", at=at.isoformat(), answers=dict(Counter(map(str, answers))))

    async def _want(self, person: Person, at: datetime) -> int:
        wish = {
            "provider": self.shop.id,
            "starts_at": at.isoformat(),
            "ends_at": (at + timedelta(hours=1)).isoformat(),
        }
        try:
            status, _ = await person.call("POST", "/bookings/", wish, refusals=(409,))
        except Unserved:
            return 0
        return status

    async def judge(self) -> None:
        """Every time that was offered is held by one booking."""
        rows: list[tuple[Any, ...]] = await asyncio.to_thread(self.run.checker.rows, _SOLD, self.shop.id)
        if dict(rows) != dict.fromkeys(self.sold, 1):
            self.run.history.blame("held", rows=[(at.isoformat(), times) for at, times in rows])

    async def renew(self) -> None:
        for person in (self.shop, *self.crowd):
            person.access = await self.run.inside("renew", user_id=person.id, session_id=person.session_id)
