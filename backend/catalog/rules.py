"""Pure rules of the catalogue."""

from datetime import datetime, timedelta

HIDDEN_FOR = timedelta(days=14)
"""How long after the work a review waits for the other side's."""


def reveals_at(finished_at: datetime) -> datetime:
    """When reviews of this work are shown at the latest."""
    return finished_at + HIDDEN_FOR
