"""What the catalogue does by itself: reviews whose wait is over are shown; what is renamed is found by its new name."""

from datetime import datetime

from backend.catalog.services import categories, reviews, vocabulary
from backend.core.jobs import enqueue, job
from backend.core.timetable import every
from shared_contracts.jobs import Queue


@job("catalog.reveal_reviews", queue=Queue.BULK)
def reveal_reviews(*, now: datetime, **_: object) -> None:
    if reviews.reveal_due(now=now):
        enqueue("catalog.reveal_reviews", now=now)


@job(categories.RENEW, queue=Queue.BULK)
def renew_words(*, now: datetime, category_id: int, **_: object) -> None:
    categories.renew_words(category_id=category_id, now=now)


@job("catalog.renew_vocabulary", queue=Queue.BULK)
def renew_vocabulary(*, now: datetime, **_: object) -> None:
    vocabulary.renew_vocabulary(now=now)


every(name="catalog.renew_vocabulary", seconds=600, job="catalog.renew_vocabulary")
every(name="catalog.reveal_reviews", seconds=600, job="catalog.reveal_reviews")
