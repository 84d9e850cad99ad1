"""The fault tests run long: a town at work on two of each process, and one fault after the other.

Every few faults the load rests and everything is judged; then it goes on. The history is kept as JSON lines.
"""

import asyncio
import os
import random
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from backend.cli.unprivileged import temporary_home
from tests.faults import faults
from tests.faults.harness import Field, Run
from tests.faults.load import Load, Zone

PROCESSES = (*faults.ROLES, *(f"{role}-2" for role in faults.ROLES))
FREEZE_SECONDS = 90.0
"""Longer than a worker's lease: another takes over what the frozen one, when it goes on, still believes to hold."""
SHORT_SECONDS = 20.0
FAULTS_A_ROUND = 6
RENEW_SECONDS = 20 * 60
"""Access tokens last an hour."""
RESERVED = {"DJANGO_SETTINGS_MODULE": "backend.config.settings"}


class Soak:
    """One long run."""

    def __init__(self, run: Run, *, seed: int, until: float, pause_s: float) -> None:
        self.run, self.until, self.pause_s = run, until, pause_s
        self.rng = random.Random(seed)
        names = [name for name in PROCESSES if name in run.field.ports]
        known = faults.every_fault(names, freeze_seconds=FREEZE_SECONDS, short_seconds=SHORT_SECONDS)
        self.next_fault = faults.endless(known, self.rng)
        self.struck: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self._renewed_at = time.monotonic()

    async def last(self) -> None:
        zones = await self.run.town(4, clients=8, assistants=8)
        while time.monotonic() < self.until:
            await self._round(zones)
            self._tell()

    async def _round(self, zones: list[Zone]) -> None:
        """A load without end, some faults in the midst of it, rest, and the judgement."""
        load = Load(zones, self.run.history, seed=self.rng.getrandbits(32), jobs=10**9)
        playing = asyncio.create_task(load.run())
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
        await playing
        self.outcomes += load.ledger.outcomes
        await self.run.checker.judge(self.run.people, load.ledger)
        for person in self.run.people:
            person.forget_the_past()
        await self._renew()

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed_at < RENEW_SECONDS:
            return
        self._renewed_at = time.monotonic()
        for person in self.run.people:
            person.access = await self.run.inside("renew", user_id=person.id, session_id=person.session_id)
            await person.disconnect()
        await self.run.connect(self.run.people)

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
    return _summary(soak, path)


async def _soak(field: Field, *, minutes: float, seed: int, pause_s: float, path: Path) -> Soak:
    async with Run(field, seed=seed, path=path) as run:
        soak = Soak(run, seed=seed, until=time.monotonic() + minutes * 60, pause_s=pause_s)
        await soak.last()
        return soak


def _summary(soak: Soak, path: Path) -> int:
    history, people = soak.run.history, soak.run.people
    say("")
    for name, times in sorted(soak.struck.items()):
        say(f"  {name:<22} {times:>4}")
    for outcome, jobs in sorted(soak.outcomes.items()):
        say(f"  jobs {outcome:<17} {jobs:>4}")
    answers: Counter[int] = Counter()
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
