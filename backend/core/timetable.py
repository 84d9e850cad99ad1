"""What happens again and again: a job enqueued by the relay each time its period has passed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the timetable. Its row in `core_timer` says when it runs next."""

    name: str
    period: timedelta
    job: str


_entries: dict[str, Entry] = {}


def every(*, name: str, seconds: float, job: str) -> None:
    """Enqueue this job (without arguments) every so many seconds, and once after an outage of any length.

    Called in `AppConfig.ready()`, or by the module that registers the job.
    """
    _entries[name] = Entry(name, timedelta(seconds=seconds), job)


def entries() -> Iterable[Entry]:
    return tuple(_entries.values())
