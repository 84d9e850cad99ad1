"""A town at work: clients ask for help, assistants race for jobs, talk, drive, finish, give back, cancel.

Every choice comes from a seeded generator; what is in flight when a fault strikes is the machine's.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime.ending import end
from tests.faults.history import History
from tests.faults.person import Lost, Person, Unserved

STORY_SECONDS = 300.0
"""A job that takes longer is stuck: that is a broken promise."""


@dataclass
class Zone:
    """A part of the country, too far from the others to share anything."""

    lat: float
    lng: float
    clients: list[Person]
    assistants: list[Person]


@dataclass
class Ledger:
    """What was acknowledged, to be found in the database at the end."""

    jobs: dict[int, str] = field(default_factory=dict)
    """Job → how it must have ended."""
    messages: dict[int, str] = field(default_factory=dict)
    """Message → its client_id."""
    outcomes: Counter[str] = field(default_factory=Counter)


class Load:
    """Plays jobs until it has begun `jobs` of them, or until `stop()`."""

    def __init__(self, zones: Sequence[Zone], history: History, *, seed: int, jobs: int) -> None:
        self.zones, self.history = zones, history
        self.ledger = Ledger()
        self.begun = 0
        self._left = jobs
        self._rng = random.Random(seed)
        self._stopping = asyncio.Event()

    @property
    def finished(self) -> int:
        return len(self.ledger.jobs)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Play. Raises nothing that the platform did: what it did not do is in the history."""
        helpers = [
            asyncio.create_task(_Assistant(person, self, random.Random(self._rng.random())).work())
            for zone in self.zones
            for person in zone.assistants
        ]
        try:
            await asyncio.gather(*(self._client(zone, person) for zone in self.zones for person in zone.clients))
        finally:
            await end(helpers)

    async def _client(self, zone: Zone, person: Person) -> None:
        rng = random.Random(self._rng.random())
        while self._left > 0 and not self._stopping.is_set():
            self._left -= 1
            self.begun += 1
            try:
                async with asyncio.timeout(STORY_SECONDS):
                    await self._story(zone, person, rng)
            except TimeoutError:
                person.blame("stuck", doing="a job did not come to its end")
                return
            except Unserved as error:
                person.blame("unserved", doing=str(error))
                return

    async def _story(self, zone: Zone, person: Person, rng: random.Random) -> None:
        """One job as its client sees it."""
        pickup = {"lat": zone.lat + rng.uniform(-0.01, 0.01), "lng": zone.lng + rng.uniform(-0.01, 0.01)}
        status, asked = await person.call("POST", "/assistance/", {"pickup": pickup, "service_type": "towing"})
        if status != 201:
            return
        job = asked["assistance"]["id"]
        self.history.write("requested", who=person.id, job=job)
        room = f"assistance:{job}"
        if not await person.join(room):
            person.blame("refused", room=room)
            return
        if rng.random() < 0.1:
            await person.call("POST", f"/assistance/{job}/status/", {"status": "canceled"}, refusals=(409,))
        else:
            await person.until(lambda: _status(person, room) in {"ongoing", *ENDS})
            if rng.random() < 0.1:
                await person.call("POST", f"/assistance/{job}/status/", {"status": "canceled"}, refusals=(409,))
        await person.until(lambda: _status(person, room) in ENDS)
        ended = _status(person, room)
        await person.leave(room)
        if ended == "completed":
            await person.call("POST", f"/assistance/{job}/rating/", {"rating": rng.randint(1, 5)})
        self.ledger.jobs[job] = ended
        self.ledger.outcomes[ended] += 1

    async def talk(self, person: Person, job: int, rng: random.Random) -> None:
        """A sentence to the other side; the job may be over by the time it is said."""
        name = f"{person.id}-{rng.getrandbits(60):x}"
        status, message = await person.call(
            "POST", f"/assistance/{job}/messages/", {"content": "On my way.", "client_id": name}, refusals=(404, 409)
        )
        if status == 201:
            self.ledger.messages[message["id"]] = name


ENDS = {"completed", "canceled", "expired"}


def _status(person: Person, room: str) -> str:
    """The last state that this person heard of."""
    model = person.rooms[room]
    told = [data["status"] for _, type_, data in model.heard if type_ == "assistance.status"]
    return str(told[-1]) if told else ""


class _Assistant:
    """An assistant takes whatever is on offer, when free."""

    def __init__(self, person: Person, load: Load, rng: random.Random) -> None:
        self.person, self.load, self.rng = person, load, rng
        self.offers: dict[int, None] = {}
        person.on_event = self._hear

    def _hear(self, _room: str, envelope: dict[str, Any]) -> None:
        job = envelope["data"].get("assistance_id")
        if envelope["type"] == "assistance.offered":
            self.offers[job] = None
        elif envelope["type"] == "assistance.withdrawn":
            self.offers.pop(job, None)

    async def work(self) -> None:
        while True:
            await self.person.until(lambda: bool(self.offers), 3600)
            await asyncio.sleep(self.rng.uniform(0, 0.05))
            if not self.offers:
                continue
            job = self.rng.choice(list(self.offers))
            try:
                taken = await self._accept(job)
                self.offers.pop(job, None)
                if taken:
                    await self._do(job)
            except Unserved as error:
                self.person.blame("unserved", doing=str(error))
                return

    async def _accept(self, job: int) -> bool:
        """Try to get the job, over the socket or REST. A lost answer is asked for again: it does the winner no harm."""
        if self.rng.random() < 0.5:
            try:
                answer = await self.person.command("assistance.accept", id=job)
                if answer.get("code") not in {"unavailable", "internal_error"}:
                    return bool(answer["ok"])
            except Lost:
                pass
        status, _ = await self.person.call("POST", f"/assistance/{job}/accept/", refusals=(404, 409))
        return status == 200

    async def _do(self, job: int) -> None:
        person, room = self.person, f"assistance:{job}"
        self.load.history.write("accepted", who=person.id, job=job)
        if not await person.join(room):
            return  # the client was quicker to cancel, or gave up
        await self.load.talk(person, job, self.rng)
        if self.rng.random() < 0.1:
            await self._move(job, "canceled")  # given back, unless the client was quicker to cancel it for good
        elif await self._move(job, "ongoing"):
            await self.load.talk(person, job, self.rng)
            await self._move(job, "completed")
        await person.until(lambda: person.rooms[room].over or _status(person, room) in ENDS)
        if not person.rooms[room].over:
            await person.leave(room)

    async def _move(self, job: int, status: str) -> bool:
        answer, _ = await self.person.call(
            "POST", f"/assistance/{job}/status/", {"status": status}, refusals=(403, 404, 409)
        )
        return answer == 200
