"""Reviews: written, revealed, replied to, reported, removed. Each change and the sums it makes are one statement.

Locks are taken in one order: the work, its reviews by id, the standings by person.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from backend.accounts import public as accounts
from backend.catalog import rules
from backend.catalog.errors import AlreadyReplied, AlreadyReported, AlreadyReviewed, NoFinishedWork, OwnReview
from backend.catalog.models import FinishedWork, Review, ReviewReport
from backend.catalog.selectors.reviews import shown_reviews
from backend.catalog.services.news import tell_of_reviews
from backend.catalog.values import ReviewView
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import Forbidden, NotFound
from backend.core.references import make_reference, read_reference

_COUNT = """
INSERT INTO catalog_provider_standing AS standing (user_id, rating_sum, rating_count, unverified_sum, unverified_count)
SELECT reviewed_id,
    coalesce(sum(rating * {sign}) FILTER (WHERE reference IS NOT NULL), 0),
    {sign} * count(*) FILTER (WHERE reference IS NOT NULL),
    coalesce(sum(rating * {sign}) FILTER (WHERE reference IS NULL), 0),
    {sign} * count(*) FILTER (WHERE reference IS NULL)
FROM changed WHERE is_visible GROUP BY reviewed_id ORDER BY reviewed_id
ON CONFLICT (user_id) DO UPDATE SET
    rating_sum = standing.rating_sum + excluded.rating_sum,
    rating_count = standing.rating_count + excluded.rating_count,
    unverified_sum = standing.unverified_sum + excluded.unverified_sum,
    unverified_count = standing.unverified_count + excluded.unverified_count
RETURNING 1
"""

_WRITE = f"""
WITH changed AS (
    INSERT INTO catalog_review
        (reviewed_id, author_id, reference, rating, comment, is_visible, visible_from, reply, created_at)
    VALUES (%(reviewed_id)s, %(author_id)s, %(reference)s, %(rating)s, %(comment)s, %(is_visible)s, %(visible_from)s,
        '', %(now)s)
    ON CONFLICT DO NOTHING
    RETURNING id, reviewed_id, reference, rating, is_visible
), counted AS ({_COUNT.format(sign=1)})
SELECT id FROM changed
"""  # noqa: S608 - the sign is ours

_REVEAL = f"""
WITH chosen AS (
    SELECT id FROM catalog_review
    WHERE id = ANY(%(ids)s) AND NOT is_visible AND removed_at IS NULL ORDER BY id FOR UPDATE
), changed AS (
    UPDATE catalog_review AS review SET is_visible = true FROM chosen WHERE review.id = chosen.id
    RETURNING review.id, reviewed_id, reference, rating, is_visible
), counted AS ({_COUNT.format(sign=1)})
SELECT id FROM changed ORDER BY id
"""  # noqa: S608

_REMOVE = f"""
WITH changed AS (
    UPDATE catalog_review SET removed_at = %(now)s WHERE id = %(id)s AND removed_at IS NULL
    RETURNING id, reviewed_id, reference, rating, is_visible
), counted AS ({_COUNT.format(sign=-1)})
SELECT id FROM changed
"""  # noqa: S608


@transaction.atomic
def record_review(
    *, author_id: int, reviewed_id: int, reference: str | None, rating: int, comment: str, now: datetime
) -> ReviewView:
    """Keep what somebody thinks of another, 1 to 5, and count it into their standing once it is visible.

    `reference` names finished work of both (`record_finished_work`): the review is verified. Where both sides review,
    it stays hidden until both have written or 14 days have passed since the work. Without a reference it is unverified.
    Raises NoFinishedWork, or AlreadyReviewed: one per job and author, and one without a job per person and author.
    """
    work = None if reference is None else _lock_work(reference, author_id=author_id, reviewed_id=reviewed_id)
    waits = work is not None and work.both_sides_review
    visible_from = max(now, rules.reveals_at(work.finished_at)) if work is not None and waits else now
    values = {
        "reviewed_id": reviewed_id,
        "author_id": author_id,
        "reference": reference,
        "rating": rating,
        "comment": comment,
        "is_visible": not waits,
        "visible_from": visible_from,
        "now": now,
    }
    written = _run(_WRITE, values)
    if not written:
        raise AlreadyReviewed
    if not waits:
        tell_of_reviews(written, now=now)
    else:
        others = Review.objects.filter(reference=reference, author_id=reviewed_id, reviewed_id=author_id)
        both = [*written, *others.values_list("pk", flat=True)]
        if len(both) > 1 or visible_from <= now:
            # One statement for both, so that their standings are locked in order.
            reveal(review_ids=both, now=now)
    return view_of(Review.objects.get(pk=written[0]))


def _lock_work(reference: str, *, author_id: int, reviewed_id: int) -> FinishedWork:
    """The work of these two, the author's right to review it checked. Raises NoFinishedWork."""
    done = FinishedWork.objects.select_for_update(no_key=True).filter(reference=reference, withdrawn_at=None)
    work = done.filter(provider_id__in=[author_id, reviewed_id], client_id__in=[author_id, reviewed_id]).first()
    if work is None or not (work.client_id == author_id or work.both_sides_review):
        raise NoFinishedWork
    return work


REVEAL_BATCH = 500


@transaction.atomic
def reveal_due(*, now: datetime) -> bool:
    """Show the reviews whose fourteen days are over, up to 500; true when there may be more."""
    hidden = Review.objects.filter(is_visible=False, removed_at=None, visible_from__lte=now)
    due = list(hidden.order_by("visible_from", "pk").values_list("pk", flat=True)[:REVEAL_BATCH])
    reveal(review_ids=due, now=now)
    return len(due) == REVEAL_BATCH


@transaction.atomic
def reveal(*, review_ids: Sequence[int], now: datetime) -> None:
    """Show these reviews from now on and count them; those that are shown or removed already stay as they are."""
    revealed = _run(_REVEAL, {"ids": list(review_ids)})
    tell_of_reviews(revealed, now=now)


def view_of(review: Review) -> ReviewView:
    """As other modules get it."""
    return ReviewView(
        id=review.pk,
        reviewed_id=review.reviewed_id,
        author_id=review.author_id,
        reference=review.reference,
        rating=review.rating,
        comment=review.comment,
        is_verified=review.is_verified,
        is_visible=review.is_visible,
        created_at=review.created_at,
    )


@transaction.atomic
def review_provider(
    *, actor: Actor, provider_id: int, rating: int, comment: str, job: str | None, now: datetime
) -> ReviewView:
    """A client's review of a provider, of a job (verified) or of none.

    Raises NotFound, OwnReview, UnknownReference, or as `record_review`.
    """
    if provider_id == actor.id:
        raise OwnReview
    accounts.hold_active([actor.id, provider_id])
    accounts.hold_provider(provider_id)
    if job is not None:
        read_reference(job)
    return record_review(
        author_id=actor.id, reviewed_id=provider_id, reference=job, rating=rating, comment=comment, now=now
    )


@transaction.atomic
def reply_to_review(*, actor: Actor, review_id: int, reply: str, now: datetime) -> Review:
    """What the one who was reviewed says to it, once. Raises NotFound, Forbidden or AlreadyReplied."""
    review = _lock_shown(review_id)
    if review.reviewed_id != actor.id:
        raise Forbidden("Only who was reviewed replies.")
    if review.replied_at is not None:
        raise AlreadyReplied
    review.reply, review.replied_at = reply, now
    review.save(update_fields=["reply", "replied_at"])
    return review


@transaction.atomic
def report_review(*, actor: Actor, review_id: int, reason: str, now: datetime) -> None:
    """Tell the managers that a review should not stand, once per person. Raises NotFound or AlreadyReported."""
    accounts.hold_active([actor.id])
    review = _lock_shown(review_id)
    _, is_new = ReviewReport.objects.get_or_create(
        review=review, reporter_id=actor.id, defaults={"reason": reason, "created_at": now}
    )
    if not is_new:
        raise AlreadyReported
    audit.record(actor=actor, action="catalog.review_reported", reference=review.own_reference, now=now)


@transaction.atomic
def remove_review(*, actor: Actor, review_id: int, now: datetime) -> None:
    """Take a review away, hidden ones too; it counts no more. For managers. Raises NotFound."""
    if not _run(_REMOVE, {"id": review_id, "now": now}):
        raise NotFound
    reference = make_reference("review", review_id)
    audit.record(actor=actor, action="catalog.review_removed", reference=reference, now=now)


def _lock_shown(review_id: int) -> Review:
    review = shown_reviews().select_for_update(no_key=True, of=("self",)).filter(pk=review_id).first()
    if review is None:
        raise NotFound
    return review


def _run(statement: str, values: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [pk for (pk,) in cursor.fetchall()]
