"""Reviews as anybody may see them."""

from django.db.models import QuerySet

from backend.accounts import public as accounts
from backend.catalog.models import Review
from backend.core.errors import NotFound


def shown_reviews() -> QuerySet[Review]:
    """Those that anybody sees: neither waiting for the other side's nor removed."""
    return Review.objects.filter(is_visible=True, removed_at=None)


def list_reviews_of(provider_id: int) -> QuerySet[Review]:
    """A provider's reviews, the newest first. Raises NotFound for who is none. One query, and one for the list."""
    if accounts.provider_of(provider_id) is None:
        raise NotFound
    return shown_reviews().filter(reviewed_id=provider_id).order_by("-pk")
