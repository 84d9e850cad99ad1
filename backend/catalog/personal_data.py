"""What the catalogue holds of a person: what they think of others, what others think of them, and the work they did."""

from collections.abc import Iterator

from backend.catalog.models import FinishedWork, Review
from backend.core import personal_data
from backend.core.personal_data import Part, rows_of

REVIEW = ("id", "reference", "rating", "comment", "created_at")


def export(user_id: int) -> Iterator[Part]:
    written, received = Review.objects.filter(author_id=user_id), Review.objects.filter(reviewed_id=user_id)
    yield Part(name="catalog/reviews_written.json", rows=rows_of(written, *REVIEW, "reviewed_id"))
    yield Part(name="catalog/reviews_received.json", rows=rows_of(received, *REVIEW))
    work = FinishedWork.objects.filter(provider_id=user_id)
    yield Part(name="catalog/finished_work.json", rows=rows_of(work, "reference", "finished_at"))


# Reviews stay: what a deleted account thought of a provider, and the books of who is gone. Nobody finds them there.
personal_data.holds("catalog", export=export)
