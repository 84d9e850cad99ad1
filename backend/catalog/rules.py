"""Pure rules of the catalogue."""

from datetime import datetime, timedelta

HIDDEN_FOR = timedelta(days=14)
"""How long after the work a review waits for the other side's."""


def is_complete(*, business_name: str, business_description: str, has_place: bool, categories: int) -> bool:
    """Whether a provider's profile says enough for people to choose them by."""
    return bool(business_name and business_description and has_place and categories)


def reveals_at(finished_at: datetime) -> datetime:
    """When reviews of this work are shown at the latest."""
    return finished_at + HIDDEN_FOR
