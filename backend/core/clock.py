"""The clock: real by default, moved by one row in tests and demonstrations, refused in production.

What is due (jobs, offers, tokens) is compared with `now()`. Leases and time-outs between machines never are: those
use PostgreSQL's own `clock_timestamp()`.
"""

import time
from datetime import UTC, datetime, timedelta

from backend.core.environment import environment
from backend.core.models import Clock

REREAD_SECONDS = 0.1

_offset = timedelta()
_read_at = float("-inf")


def now() -> datetime:
    """The present moment in UTC, moved by the test clock where that is allowed."""
    return datetime.now(UTC) + offset()


def offset() -> timedelta:
    """How far the clock is ahead of the real one; always zero in production. Read at most ten times a second."""
    global _offset, _read_at  # noqa: PLW0603 - one small cache per process
    if environment().clock_movable and time.monotonic() - _read_at > REREAD_SECONDS:
        row = Clock.objects.order_by("id").first()
        _offset = timedelta(milliseconds=row.offset_ms if row else 0)
        _read_at = time.monotonic()
    return _offset


def advance(by: timedelta) -> None:
    """Move the clock of every process forward (or back). Raises RuntimeError where the clock may not be moved."""
    global _read_at  # noqa: PLW0603 - the cache is stale from here on
    if not environment().clock_movable:
        raise RuntimeError("the clock can be moved only where CLOCK_MOVABLE is set")
    row, _ = Clock.objects.get_or_create(id=1)
    Clock.objects.filter(id=1).update(offset_ms=row.offset_ms + round(by.total_seconds() * 1000))
    _read_at = float("-inf")
