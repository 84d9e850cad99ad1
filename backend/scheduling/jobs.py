"""Entrances of background work."""

from datetime import datetime

from backend.core.jobs import job
from backend.core.timetable import every
from backend.scheduling.services import openings, timers
from shared_contracts.jobs import Queue


@job("scheduling.take_next_step")
def take_next_step(*, now: datetime, booking_id: int, **_: object) -> None:
    timers.take_next_step(booking_id=booking_id, now=now)


@job("scheduling.push_openings", queue=Queue.BULK)
def push_openings(*, now: datetime, provider_id: int, **_: object) -> None:
    openings.push_openings(provider_id=provider_id, now=now)


@job("scheduling.roll_openings", queue=Queue.BULK)
def roll_openings(*, now: datetime, after: int = 0, **_: object) -> None:
    openings.roll_openings(after=after, now=now)


every(name="scheduling.roll_openings", seconds=24 * 3600, job="scheduling.roll_openings")
