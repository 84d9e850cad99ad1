"""Judges a run when it has come to rest: the database against itself, and what everyone heard against the database."""

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from tests.faults.history import History
from tests.faults.inside import Inside
from tests.faults.load import Ledger
from tests.faults.person import Person, RoomModel

SETTLE_SECONDS = 60.0
"""How long the platform may take to be done with everything: a worker's lease lasts twenty, and bulk work that Redis
forgot is sent again after thirty."""
CATCH_UP_SECONDS = 25.0
"""How long a listener may take to be level: the heads of all rooms are asked every ten seconds."""

UNDER_WAY = """
    SELECT (SELECT count(*) FROM core_event WHERE number IS NULL),
        (SELECT count(*) FROM core_job WHERE status = 'pending' AND run_at <= now()
            + coalesce((SELECT offset_ms FROM core_clock LIMIT 1), 0) * interval '1 ms')
"""


class Checker:
    """Everything is read as the owner of the tables."""

    def __init__(self, url: str, inside: Inside, history: History) -> None:
        self._url, self._inside, self._history = url, inside, history

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(query, values or None).fetchall()

    async def judge(self, people: Sequence[Person], ledger: Ledger | None = None) -> None:
        """Write every broken promise into the history."""
        await self.settle()
        await self._level(people)
        for person in people:
            for room, model in [*person.past, *person.rooms.items()]:
                self._compare(person, room, model)
        if ledger is not None:
            self._find_acknowledged(ledger)
        for line in await asyncio.to_thread(self._inside.call, "prove", patience_s=5):
            self._history.blame("invariant", line=line)

    async def settle(self) -> None:
        """Wait until every event has its number and no job is due."""
        began = time.monotonic()
        while (waiting := (await asyncio.to_thread(self.rows, UNDER_WAY))[0]) != (0, 0):
            if time.monotonic() - began > SETTLE_SECONDS:
                self._history.blame("unsettled", events=waiting[0], jobs=waiting[1])
                return
            await asyncio.sleep(0.1)
        self._history.write("settled", seconds=round(time.monotonic() - began, 2))

    async def _level(self, people: Sequence[Person]) -> None:
        """Wait until everyone has heard what was the last of each of their rooms.

        Somebody may write on meanwhile: who has heard more is judged by what is written.
        """
        heads: dict[str, int] = dict(await asyncio.to_thread(self.rows, "SELECT room, head FROM core_room_head"))
        began = time.monotonic()

        def behind() -> list[tuple[Person, str]]:
            return [
                (person, room)
                for person in people
                for room, model in person.rooms.items()
                if not model.over and model.last < heads.get(room, 0)
            ]

        while left := behind():
            if time.monotonic() - began > CATCH_UP_SECONDS:
                for person, room in left:
                    person.blame("behind", room=room, last=person.rooms[room].last, head=heads.get(room, 0))
                return
            await asyncio.sleep(0.05)
        self._history.write("level", seconds=round(time.monotonic() - began, 2))

    def _compare(self, person: Person, room: str, model: RoomModel) -> None:
        """What was heard is what was written, from the first to the last heard."""
        if not model.heard or model.resyncs:
            return
        first, last = model.heard[0][0], model.heard[-1][0]
        rows = self.rows(
            "SELECT number, type, data FROM core_event WHERE room = %s AND number BETWEEN %s AND %s ORDER BY number",
            room, first, last,
        )  # fmt: skip
        written = [(number, type_, json.loads(data)) for number, type_, data in rows]
        if written != model.heard:
            person.blame("differs", room=room, heard=len(model.heard), written=len(written))
        if person.roles == ["assistant"] and room.startswith("assistance:"):
            beginning = (model.heard[0][1], model.heard[0][2].get("user", {}).get("id"))
            if beginning != ("member.added", person.id):
                person.blame("overheard", room=room, heard=model.heard[:3])

    def _find_acknowledged(self, ledger: Ledger) -> None:
        ends = dict(self.rows("SELECT id, status FROM dispatch_assistance WHERE id = ANY(%s)", list(ledger.jobs)))
        said = dict(self.rows("SELECT id, client_id FROM messaging_message WHERE id = ANY(%s)", list(ledger.messages)))
        self._lost("job", ledger.jobs.items() - ends.items())
        self._lost("message", ledger.messages.items() - said.items())

    def _lost(self, kind: str, missing: Iterable[tuple[int, str]]) -> None:
        for id_, value in missing:
            self._history.blame("lost", kind=kind, id=id_, value=value)
