"""`./callout demo`: the platform from nothing, a roadside job and a booking played on it, with who saw what when."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backend.cli import database
from backend.cli.demo_accounts import CLIENT, PASSWORD
from backend.cli.errors import UserError
from backend.cli.log import Log, silent
from backend.cli.processes import PORTS
from backend.cli.stack import Stack
from backend.cli.story.booking import NEAR, SEARCH, Booked
from backend.cli.story.phone import StoryFailed
from backend.cli.story.roadside import Roadside
from backend.cli.story.telling import Step
from backend.cli.unprivileged import temporary_home

CLOSED_ON = 5
"""The barbershop's day off: Friday."""
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
            service = asyncio.run(_play(stack, narrator))
    except StoryFailed as failure:
        raise UserError(f"The demo failed: {failure}") from None
    narrator.say(f"\nEvery step held; {time.perf_counter() - started:.0f} s from nothing to the end.")
    narrator.say("`./callout up` keeps the platform running, with the same town in it and its API pages.")
    narrator.say("\n".join(_words_to_type(service)))
    return 0


def _words_to_type(service: dict[str, Any]) -> Iterator[str]:
    """A search and a booking on the running platform."""
    api, as_json = f"http://127.0.0.1:{PORTS['backend'][1]}/api/v1", "-H 'Content-Type: application/json'"
    who = json.dumps({"identifier": CLIENT[1], "password": PASSWORD})
    start = (datetime.now(UTC) + timedelta(days=3)).replace(hour=10, minute=0, second=0, microsecond=0)
    if start.isoweekday() == CLOSED_ON:
        start += timedelta(days=1)
    wanted = json.dumps({"service": service["id"], "starts_at": start.isoformat()})
    yield "\nA search there, and a booking:"
    yield f"  API={api}"
    yield f'  curl -s "$API/services/?search={SEARCH}&near={NEAR}&page_size=3"'
    yield f"  TOKEN=$(curl -s $API/auth/login/ {as_json} -d '{who}' \\"
    yield "    | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access\"])')"
    yield f'  curl -s $API/bookings/ -H "Authorization: Bearer $TOKEN" {as_json} \\'
    yield f"    -d '{wanted}'"


async def _play(stack: Stack, narrator: "Narrator") -> dict[str, Any]:
    """Returns the service that was booked."""

    async def move_clock(by: timedelta) -> None:
        await asyncio.to_thread(database.advance_clock, stack.environment, by)

    await Roadside(
        api_url=stack.url("backend"),
        realtime_url=stack.url("realtime"),
        tell=narrator.step,
        move_clock=move_clock,
    ).play()
    booked = Booked(
        api_url=stack.url("backend"),
        realtime_url=stack.url("realtime"),
        tell=narrator.step,
        move_clock=move_clock,
    )
    await booked.play()
    return booked.service


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
