"""The fault tests run long: a town at work on two of each process, and one fault after the other.

Every few faults the load rests and everything is judged. Then, with the town at home: a crowd accepts one job, every
process restarts in turn under load, somebody comes back who was away. The history is kept as JSON lines.
"""

import asyncio
import os
import random
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from backend.cli.unprivileged import temporary_home
from tests.faults import faults, strangers
from tests.faults.harness import PLACES, Field, Run
from tests.faults.history import History
from tests.faults.load import Load, Zone
from tests.faults.slots import Slots
from tests.faults.test_absence import miss
from tests.faults.test_accept import race
from tests.faults.test_rolling import roll
from tests.support.outside import http_server

PROCESSES = (*faults.ROLES, *(f"{role}-2" for role in faults.ROLES))
FREEZE_SECONDS = 90.0
"""Longer than a worker's lease: another takes over what the frozen one, when it goes on, still believes to hold."""
SHORT_SECONDS = 20.0
FAULTS_A_ROUND = 6
RACES = 10
LONG_MINUTES = 25.0
ROLLS = 4
"""Rolling restarts in every round of a long run: some twenty in all. In a shorter one, one."""
RESERVED = {"DJANGO_SETTINGS_MODULE": "backend.config.settings"}


class Soak:
    """One long run."""

    def __init__(self, run: Run, *, seed: int, minutes: float, pause_s: float) -> None:
        self.run, self.pause_s = run, pause_s
        self.until = time.monotonic() + minutes * 60
        self.rolls = ROLLS if minutes >= LONG_MINUTES else 1
        self.rng = random.Random(seed)
        names = [name for name in PROCESSES if name in run.field.ports]
        known = faults.every_fault(names, freeze_seconds=FREEZE_SECONDS, short_seconds=SHORT_SECONDS)
        self.next_fault = faults.endless(known, self.rng)
        self.struck: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.rounds = 0

    async def last(self) -> None:
        zones = await self.run.town(4, clients=8, assistants=8)
        self.slots = await Slots.open(self.run)
        while time.monotonic() < self.until:
            self.rounds += 1
            await self._round(zones)
            self._tell()
            await self._at_home()
            await self._come_back(zones)
            self._tell()

    async def _at_home(self) -> None:
        """What wants nobody else at work."""
        lat, lng = PLACES[-1]
        there = (lat - 3 * self.rounds, lng)  # hundreds of kilometres from the crowd of the last time
        await self._stretch("races", lambda run: race(run, rounds=RACES, place=there))
        for _ in range(self.rolls):
            await self._stretch("rolling restart", lambda run: roll(run, PROCESSES))
        await self._stretch("absence", lambda run: miss(run, said=300, receipts=0, characters=1500, resyncs=0))
        await self._stretch("long absence", lambda run: miss(run, said=20, receipts=1980, characters=20, resyncs=1))

    async def _stretch(self, name: str, act: Callable[[Run], Awaitable[object]]) -> None:
        """A run of its own, on the same platform."""
        if time.monotonic() > self.until:
            return
        self.struck[name] += 1
        history = self.run.history
        history.write("begins", part=name)
        async with Run(self.run.field, seed=self.rng.getrandbits(32), history=History(beside=history)) as run:
            try:
                await act(run)
            except (AssertionError, TimeoutError) as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                run.history.blame("unmet", part=name, error=repr(error), where=f"{frame.filename}:{frame.lineno}")
        for person in run.people:
            self.answers += person.statuses

    async def _come_back(self, zones: list[Zone]) -> None:
        """The clock was moved meanwhile: everybody signs in anew and says where they are."""
        for person in self.run.people:
            person.access = await self.run.inside("renew", user_id=person.id, session_id=person.session_id)
            await person.disconnect()
        for zone in zones:
            ids = [person.id for person in zone.assistants]
            await self.run.inside("locate", user_ids=ids, lat=zone.lat, lng=zone.lng)
        await self.slots.renew()
        await self.run.connect(self.run.people)

    async def _round(self, zones: list[Zone]) -> None:
        """A load without end, some faults in the midst of it, rest, and the judgement."""
        load = Load(zones, self.run.history, seed=self.rng.getrandbits(32), jobs=10**9)
        playing, selling = asyncio.create_task(load.run()), asyncio.create_task(self.slots.sell())
        lasting: dict[str, asyncio.Task[None]] = {}
        for _ in range(FAULTS_A_ROUND):
            await asyncio.sleep(self.pause_s)
            fault = self.next_fault([part for part, task in lasting.items() if not task.done()])
            self.struck[fault.name] += 1
            striking = asyncio.create_task(self.run.strike(fault))
            if fault.lasts:
                lasting[fault.part] = striking
            else:
                await striking
            if time.monotonic() > self.until:
                break
        await asyncio.gather(*lasting.values())
        await asyncio.sleep(min(self.pause_s, 5))
        load.stop()
        self.slots.stop()
        await asyncio.gather(playing, selling)
        self.outcomes += load.ledger.outcomes
        await self.run.checker.judge(self.run.people, load.ledger)
        await self.slots.judge()
        for person in self.run.people:
            person.forget_the_past()

    def _tell(self) -> None:
        left = max(0.0, self.until - time.monotonic())
        say(
            f"{sum(self.struck.values()):>4} faults, {sum(self.outcomes.values()):>6} jobs,"
            f" {self.run.history.counts['heard']:>8} events heard, {len(self.run.history.broken)} promises broken;"
            f" {left / 60:.1f} minutes left"
        )


def run(*, minutes: float, seed: int, pause_s: float, folder: Path) -> int:
    """Soak for so long; the exit code is 0 when every promise held."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{seed}.jsonl"
    os.environ.update(RESERVED)
    say(f"Seed {seed}; the history goes to {path}.")
    with temporary_home() as home, Field(home, processes=PROCESSES) as field:
        soak = asyncio.run(_soak(field, minutes=minutes, seed=seed, pause_s=pause_s, path=path))
    return _summary(soak, path) | _besieged(seed=seed)


def _besieged(*, seed: int) -> int:
    """What strangers try, on a platform with its limits on."""
    say("\nStrangers at the door:")
    with http_server() as provider, temporary_home() as home, Field(home, env=strangers.settings(provider)) as field:
        return int(asyncio.run(strangers.in_full(field, provider, seed=seed, say=say)) > 0)


async def _soak(field: Field, *, minutes: float, seed: int, pause_s: float, path: Path) -> Soak:
    async with Run(field, seed=seed, history=History(path)) as run:
        soak = Soak(run, seed=seed, minutes=minutes, pause_s=pause_s)
        await soak.last()
        return soak


def _summary(soak: Soak, path: Path) -> int:
    history, people = soak.run.history, soak.run.people
    say("")
    for name, times in sorted(soak.struck.items()):
        say(f"  {name:<22} {times:>4}")
    say(f"  times sold             {len(soak.slots.sold):>4}, each wanted by {len(soak.slots.crowd)}")
    for outcome, jobs in sorted(soak.outcomes.items()):
        say(f"  jobs {outcome:<17} {jobs:>4}")
    answers = soak.answers.copy()
    for person in people:
        answers += person.statuses
    say("  answers: " + ", ".join(f"{times} of {status or 'none'}" for status, times in sorted(answers.items())))
    say(f"  events heard: {history.counts['heard']}, repeats dropped: {sum(person.repeats for person in people)}")
    say(f"  sockets lost and opened again: {sum(len(person.closings) for person in people)}")
    if not history.broken:
        say("Every promise held.")
        return 0
    say(f"{history.told()}\nAll of it is in {path}.")
    return 1


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a command's own page
