"""Taking a time: however many want it, one gets it, and the others are told so."""

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, OperationalError, transaction
from psycopg import errors as postgres

from backend.scheduling.errors import SlotTaken

T = TypeVar("T")

TRIES = 4
"""The first and three more."""


def claiming(claim: Callable[[], T]) -> T:
    """Do it in a transaction of its own. Raises SlotTaken when PostgreSQL says that the time is taken.

    That is the exclusion constraint (23P01), and a deadlock of several who insert at once (40P01) or a serialization
    failure (40001) that three more tries could not mend.
    """
    for _ in range(TRIES):
        try:
            with transaction.atomic():
                return claim()
        except (IntegrityError, OperationalError) as error:
            cause = error.__cause__
            if isinstance(cause, postgres.ExclusionViolation):
                raise SlotTaken from None
            if not isinstance(cause, postgres.DeadlockDetected | postgres.SerializationFailure):
                raise
    raise SlotTaken
