"""The queues of background jobs and the one message that Dramatiq carries."""

from enum import StrEnum
from typing import Final


class Queue(StrEnum):
    """Critical work (offers, timers of a job) waits behind nothing else, and what somebody waits for outside (a code, a
    mail, a push: `prompt`) behind no bulk work (fan-outs, exports)."""

    CRITICAL = "critical"
    PROMPT = "prompt"
    BULK = "bulk"


RUN_JOB: Final = "run_job"
"""The one Dramatiq actor: its only argument is the id of a job's row. Everything else is in the row."""

RESEND_AFTER_SECONDS: Final = {Queue.CRITICAL: 3, Queue.PROMPT: 10, Queue.BULK: 30}
"""A job that was sent but not begun for so long is sent again."""

LEASE_SECONDS: Final = 20
"""A worker holds a job for so long and renews every quarter of it."""

OUT_PER_THREAD: Final = 4
"""At most so many jobs per worker thread are out at once; the rest wait in PostgreSQL."""
