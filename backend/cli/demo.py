"""`./callout demo`: the platform from nothing, one roadside job played on it, every step with who saw what and when."""

import argparse
import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path

from backend.cli import database
from backend.cli.errors import UserError
from backend.cli.log import Log, silent
from backend.cli.stack import Stack
from backend.cli.story.phone import StoryFailed
from backend.cli.story.roadside import Roadside, Step
from backend.cli.unprivileged import temporary_home

FREE_PORTS = {"backend": 0, "realtime": 0, "worker": 0, "relay": 0}
DEMO_ENVIRONMENT = {
    "ENVIRONMENT": "development",
    "CLOCK_MOVABLE": "true",
    "LOG_LEVEL": "WARNING",
    "REQUIRE_APPROVED_LICENCE": "true",
}


def run_demo(args: argparse.Namespace) -> int:
    """Play the demo in a folder of its own, which is gone afterwards. Exit code 0 only if every step held."""
    with temporary_home() as home:
        return _demonstrate(home, args.logs)


def _demonstrate(home: Path, shows_logs: bool) -> int:
    started = time.perf_counter()
    narrator = Narrator()
    stack = Stack(
        home,
        ports=FREE_PORTS,
        env=DEMO_ENVIRONMENT,
        seed=True,
        log=Log(as_json=False) if shows_logs else silent,
        on_step=lambda step: narrator.progress(step, len(stack.steps)),
    )
    try:
        with stack:
            narrator.say(f"The platform runs: {stack.url('backend')}/api/docs\n")
            asyncio.run(_play(stack, narrator))
    except StoryFailed as failure:
        raise UserError(f"The demo failed: {failure}") from None
    narrator.say(f"\nEvery step held; {time.perf_counter() - started:.0f} s from nothing to the end.")
    narrator.say("`./callout up` keeps the platform running, with demo data and its API pages.")
    return 0


async def _play(stack: Stack, narrator: "Narrator") -> None:
    async def move_clock(by: timedelta) -> None:
        await asyncio.to_thread(database.advance_clock, stack.environment, by)

    await Roadside(
        api_url=stack.url("backend"),
        realtime_url=stack.url("realtime"),
        tell=narrator.step,
        move_clock=move_clock,
    ).play()


class Narrator:
    """Tells the story on the screen: a bar while things start, then one line or two per step."""

    WIDTH = 30

    def __init__(self) -> None:
        self.on_terminal = sys.stdout.isatty()
        self.done = 0
        self.told = 0

    def say(self, text: str) -> None:
        print(text, flush=True)

    def progress(self, name: str, total: int) -> None:
        self.done += 1
        filled = self.WIDTH * self.done // total
        bar = f"Starting [{'#' * filled}{'.' * (self.WIDTH - filled)}] {self.done}/{total} {name}"
        if self.on_terminal:
            print(f"\r{bar:<60}", end="\n" if self.done == total else "", flush=True)
        else:
            self.say(bar)

    def step(self, step: Step) -> None:
        self.told += 1
        self.say(f"{self.told:>3}. {step.title}" + (f"  ({step.ms:.0f} ms)" if step.ms else ""))
        if step.seen:
            self.say(f"       seen by {', '.join(step.seen)}")
