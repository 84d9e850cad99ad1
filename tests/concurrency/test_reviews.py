"""Rivals who review one provider, over real connections."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from pytest_django import DjangoDbBlocker

from backend.catalog import public
from backend.catalog.errors import AlreadyReviewed
from backend.catalog.models import FinishedWork, ProviderStanding, Review
from backend.core import clock
from tests.concurrency.rivals import RIVALS, all_at_once, committed
from tests.support.people import Member, make_member


@pytest.fixture
def people(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[Member, Member]]:
    """A client and an assistant."""
    with committed(django_db_blocker):
        author, provider = make_member("client"), make_member("assistant")
        yield author, provider
        Review.objects.filter(reviewed_id=provider.id).delete()
        FinishedWork.objects.filter(provider_id=provider.id).delete()
        ProviderStanding.objects.filter(user_id=provider.id).delete()
        for person in (author, provider):
            person.user.delete()


def review(people: tuple[Member, Member], reference: str, rating: int) -> public.ReviewView:
    author, provider = people
    return public.record_review(
        author_id=author.id, reviewed_id=provider.id, reference=reference, rating=rating, comment="", now=clock.now()
    )


def finish(people: tuple[Member, Member], number: int) -> None:
    author, provider = people
    public.record_finished_work(
        provider_id=provider.id,
        client_id=author.id,
        reference=f"assistance:{number}",
        both_sides_review=False,
        now=clock.now(),
    )


class TestReviewingAtOnce:
    def test_counts_every_job(self, people: tuple[Member, Member]) -> None:
        for number in range(RIVALS):
            finish(people, number)
        jobs = [
            lambda number=number: review(people, f"assistance:{number}", 1 + number % 5) for number in range(RIVALS)
        ]
        all_at_once(jobs)
        row = ProviderStanding.objects.get(user_id=people[1].id)
        assert (row.rating_sum, row.rating_count) == (1 + 2 + 3 + 4 + 5 + 1, RIVALS)

    def test_counts_one_job_once(self, people: tuple[Member, Member]) -> None:
        finish(people, 9)
        results = all_at_once([lambda: review(people, "assistance:9", 4)] * RIVALS)
        assert sum(isinstance(result, public.ReviewView) for result in results) == 1
        assert sum(isinstance(result, AlreadyReviewed) for result in results) == RIVALS - 1
        assert public.standings_of([people[1].id])[people[1].id] == public.Standing(Decimal("4.00"), 1, 1)
