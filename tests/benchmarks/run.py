"""All benchmarks by name, and one run of them."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from backend.cli.stack import Stack
from backend.cli.unprivileged import temporary_home
from tests.benchmarks import (
    accounts,
    catalog,
    contention,
    delays,
    figures,
    machine,
    matching,
    messaging,
    notifications,
    rest,
    scheduling,
    sockets,
)
from tests.benchmarks.figures import Figure
from tests.benchmarks.stage import Bench

BENCHMARKS: Mapping[str, Callable[[Bench], None]] = {
    "rest": rest.run,
    "accounts": accounts.run,
    "sockets": sockets.run,
    "delays": delays.run,
    "messaging": messaging.run,
    "matching": matching.run,
    "catalog": catalog.run,
    "contention": contention.run,
    "scheduling": scheduling.run,
    "notifications": notifications.run,
}

SPINE = ("rest", "sockets", "delays", "matching", "contention")
"""What a quick run measures when none is named: what every request, event and job passes."""

DESCRIPTORS = 65_536


def run(names: Sequence[str], *, quick: bool, save: Path | None, compare: Path | None) -> int:
    """Run these (all when none is named), print the table, and return how many goals were missed."""
    before: list[Figure] = figures.load(compare) if compare else []
    machine.raise_descriptors(DESCRIPTORS)
    machine.pin(os.getpid(), machine.LOAD_CORE)
    described = machine.describe()
    found: list[Figure] = []
    # Each in a process of its own: what Django knows of one platform's database is not true of the next one.
    with (
        temporary_home() as empty,
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as alone,
    ):
        with Stack(empty, processes=()):
            pass  # its tables are made, once for all
        for name in names or (SPINE if quick else BENCHMARKS):
            print(f"{name} …", flush=True)
            found += alone.submit(_measure, name, empty, quick=quick).result()
    print(f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {described}{', quick' if quick else ''}\n")
    print(figures.table(found, before))
    if save:
        figures.save(save, described, found)
    missed = [one for one in found if not one.is_reached]
    print(f"\n{sum(one.at_most is not None for one in found) - len(missed)} goals reached, {len(missed)} missed.")
    return len(missed)


def _measure(name: str, empty: Path, *, quick: bool) -> list[Figure]:
    with temporary_home() as home:
        # The tables belong to the servers' account, and shall go on doing so.
        subprocess.run(["cp", "-a", f"{empty}/.", str(home)], check=True)
        bench = Bench(home, quick)
        stolen, passed = machine.stolen()
        BENCHMARKS[name](bench)
        stolen_now, now = machine.stolen()
        bench.add(
            name, "taken by the machine's host for others meanwhile", 100 * (stolen_now - stolen) / (now - passed), "%"
        )
        return bench.figures
