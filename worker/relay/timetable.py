"""Enqueues the timetable's jobs when their moment has come. Several relays may look; one gets each tick."""

import threading
from datetime import datetime

from django.db import transaction

from backend.core import clock, jobs
from backend.core.models import Timer
from backend.core.timetable import Entry, entries
from worker.relay.rounds import repeat

LOOK_SECONDS = 0.5


def run(stopping: threading.Event) -> None:
    repeat("timetable", one_round, stopping=stopping)


def one_round() -> float:
    """Enqueue what is due; returns the seconds to rest."""
    now = clock.now()
    due_at = dict(Timer.objects.values_list("name", "next_run_at"))
    missing = [Timer(name=entry.name, next_run_at=now) for entry in entries() if entry.name not in due_at]
    if missing:
        Timer.objects.bulk_create(missing, ignore_conflicts=True)
    for entry in entries():
        if due_at.get(entry.name, now) <= now:
            _tick(entry, due_at.get(entry.name, now), now)
    return LOOK_SECONDS


def _tick(entry: Entry, due_at: datetime, now: datetime) -> None:
    """Move the entry past `now`, over ticks that nobody was there for, and enqueue its job once."""
    missed = (now - due_at) // entry.period
    with transaction.atomic():
        ours = Timer.objects.filter(name=entry.name, next_run_at=due_at)
        if ours.update(next_run_at=due_at + (missed + 1) * entry.period):
            jobs.enqueue(entry.job, now=now)
