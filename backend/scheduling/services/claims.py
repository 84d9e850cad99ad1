"""Taking a time: however many want it, one gets it, and the others are told so."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, OperationalError, transaction
from psycopg import errors as postgres

from backend.scheduling.errors import SlotTaken

T = TypeVar("T")

TRIES = 4
"""The first and three more."""
PAUSE_SECONDS = 0.02
_UNDECIDED = (postgres.DeadlockDetected, postgres.SerializationFailure, postgres.LockNotAvailable)


def claiming(claim: Callable[[], T]) -> T:
    """Do it in a transaction of its own. Raises SlotTaken when PostgreSQL says that the time is taken.

    That is the exclusion constraint (23P01), or what three more tries could not mend: a deadlock of several who insert
    at once (40P01), a serialization failure (40001), or a wait behind such a deadlock for longer than anybody waits for
    a lock (55P03: deadlocks are looked for only after a second, and broken one at a time).
    """
    for tried in range(TRIES):
        if tried:
            # At different times, longer from try to try: rivals who come back at once meet again.
            time.sleep(PAUSE_SECONDS * 2**tried * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        try:
            with transaction.atomic():
                return claim()
        except (IntegrityError, OperationalError) as error:
            cause = error.__cause__
            if isinstance(cause, postgres.ExclusionViolation):
                raise SlotTaken from None
            if not isinstance(cause, _UNDECIDED):
                raise
    raise SlotTaken
