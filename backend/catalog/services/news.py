"""What people are told as it happens."""

from collections.abc import Sequence
from datetime import datetime

from backend.accounts import public as accounts
from backend.catalog.models import Review
from backend.catalog.selectors.standings import standings_of
from backend.core.outbox import emit_all
from shared_contracts.events import Person, ReviewCreated
from shared_contracts.rooms import user_room


def tell_of_reviews(review_ids: Sequence[int], *, now: datetime) -> None:
    """Tell those who were reviewed, in order of the reviews; in the transaction that showed and counted them."""
    reviews = list(Review.objects.filter(pk__in=review_ids).order_by("pk"))
    if not reviews:
        return
    people = accounts.people(review.author_id for review in reviews)
    standings = standings_of([review.reviewed_id for review in reviews])
    emit_all(
        [
            (
                ReviewCreated(
                    review_id=review.pk,
                    reviewed_id=review.reviewed_id,
                    author=Person(id=review.author_id, name=people[review.author_id].name),
                    reference=review.reference,
                    rating=review.rating,
                    comment=review.comment,
                    is_verified=review.is_verified,
                    created_at=review.created_at,
                    average_rating=standings[review.reviewed_id].average_rating,
                    total_reviews=standings[review.reviewed_id].total_reviews,
                ),
                [user_room(review.reviewed_id)],
            )
            for review in reviews
        ],
        now=now,
    )
