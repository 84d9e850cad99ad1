"""Every write of the catalogue. A fact and the sum that follows from it are one statement."""

from datetime import datetime

from django.db import connection, transaction

from backend.catalog.errors import AlreadyReviewed
from backend.catalog.values import ReviewView

_RECORD_REVIEW = """
WITH review AS (
    INSERT INTO catalog_review (provider_id, author_id, reference, rating, comment, created_at)
    VALUES (%(provider_id)s, %(author_id)s, %(reference)s, %(rating)s, %(comment)s, %(now)s)
    ON CONFLICT DO NOTHING
    RETURNING id, provider_id, rating, (reference IS NOT NULL)::int AS verified
)
INSERT INTO catalog_provider_standing AS standing (user_id, rating_sum, rating_count, unverified_sum, unverified_count)
SELECT provider_id, rating * verified, verified, rating * (1 - verified), 1 - verified FROM review
ON CONFLICT (user_id) DO UPDATE SET
    rating_sum = standing.rating_sum + excluded.rating_sum,
    rating_count = standing.rating_count + excluded.rating_count,
    unverified_sum = standing.unverified_sum + excluded.unverified_sum,
    unverified_count = standing.unverified_count + excluded.unverified_count
RETURNING (SELECT id FROM review)
"""

_RECORD_FINISHED_WORK = """
WITH work AS (
    INSERT INTO catalog_finished_work (provider_id, reference, finished_at)
    VALUES (%(provider_id)s, %(reference)s, %(now)s)
    ON CONFLICT DO NOTHING
    RETURNING provider_id
)
INSERT INTO catalog_provider_standing AS standing (user_id, finished_jobs)
SELECT provider_id, 1 FROM work
ON CONFLICT (user_id) DO UPDATE SET finished_jobs = standing.finished_jobs + 1
"""


@transaction.atomic
def record_review(
    *, author_id: int, provider_id: int, reference: str | None, rating: int, comment: str, now: datetime
) -> ReviewView:
    """Keep what somebody thinks of a provider, 1 to 5, and count it into the provider's standing.

    `reference` names the finished job, for which the calling module vouches; without it the review is unverified.
    Raises AlreadyReviewed: one per job and author, and one without a job per provider and author.
    """
    values = {
        "provider_id": provider_id,
        "author_id": author_id,
        "reference": reference,
        "rating": rating,
        "comment": comment,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECORD_REVIEW, values)
        row = cursor.fetchone()
    if row is None:
        raise AlreadyReviewed
    return ReviewView(
        id=row[0],
        provider_id=provider_id,
        author_id=author_id,
        reference=reference,
        rating=rating,
        comment=comment,
        is_verified=reference is not None,
        created_at=now,
    )


@transaction.atomic
def record_finished_work(*, provider_id: int, reference: str, now: datetime) -> None:
    """Count a finished job for its provider; the same job counts once, however often it is recorded."""
    with connection.cursor() as cursor:
        cursor.execute(_RECORD_FINISHED_WORK, {"provider_id": provider_id, "reference": reference, "now": now})
