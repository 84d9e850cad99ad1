"""Reviews, finished work, and the sums of both."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from backend.catalog import public
from backend.catalog.errors import AlreadyReviewed
from backend.catalog.models import FinishedWork, ProviderStanding, Review
from tests.support.people import Member

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)


@pytest.fixture
def provider(member: Callable[..., Member]) -> Member:
    return member("assistant")


@pytest.fixture
def author(member: Callable[..., Member]) -> Member:
    return member("client")


def review(
    author: Member, provider: Member, rating: int, reference: str | None = None, comment: str = ""
) -> public.ReviewView:
    return public.record_review(
        author_id=author.id, provider_id=provider.id, reference=reference, rating=rating, comment=comment, now=NOW
    )


def standing(provider: Member) -> public.Standing:
    return public.standings_of([provider.id])[provider.id]


def sums_agree() -> bool:
    """Whether every standing is what its reviews and jobs add up to."""
    for row in ProviderStanding.objects.all():
        verified = list(
            Review.objects.filter(provider=row.user_id, reference__isnull=False).values_list("rating", flat=True)
        )
        others = list(
            Review.objects.filter(provider=row.user_id, reference__isnull=True).values_list("rating", flat=True)
        )
        kept = (row.rating_sum, row.rating_count, row.unverified_sum, row.unverified_count, row.finished_jobs)
        jobs = FinishedWork.objects.filter(provider=row.user_id).count()
        if kept != (sum(verified), len(verified), sum(others), len(others), jobs):
            return False
    return True


class TestRecordReview:
    def test_keeps_what_was_said_and_counts_it(self, author: Member, provider: Member) -> None:
        view = review(author, provider, 4, "assistance:9", "Quick and kind")
        row = Review.objects.get()
        assert view == public.ReviewView(
            id=row.pk,
            provider_id=provider.id,
            author_id=author.id,
            reference="assistance:9",
            rating=4,
            comment="Quick and kind",
            is_verified=True,
            created_at=NOW,
        )
        assert (row.provider_id, row.author_id, row.reference, row.rating, row.comment, row.is_verified) == (
            provider.id,
            author.id,
            "assistance:9",
            4,
            "Quick and kind",
            True,
        )
        assert standing(provider) == public.Standing(Decimal("4.00"), total_reviews=1, finished_jobs=0)

    def test_averages_to_two_decimals(self, author: Member, provider: Member) -> None:
        for number, rating in enumerate((5, 4, 4)):
            review(author, provider, rating, f"assistance:{number + 1}")
        assert standing(provider) == public.Standing(Decimal("4.33"), total_reviews=3, finished_jobs=0)
        assert sums_agree()

    def test_refuses_a_second_one_of_the_same_job_and_author(self, author: Member, provider: Member) -> None:
        review(author, provider, 5, "assistance:9")
        before = standing(provider)
        with pytest.raises(AlreadyReviewed) as refusal:
            review(author, provider, 1, "assistance:9")
        assert (refusal.value.status, refusal.value.code) == (409, "already_rated")
        assert standing(provider) == before
        assert Review.objects.count() == 1
        assert sums_agree()

    def test_both_sides_of_a_job_may_write(self, author: Member, provider: Member) -> None:
        review(author, provider, 5, "task:3")
        review(provider, author, 2, "task:3")
        assert standing(author).average_rating == Decimal("2.00")
        assert sums_agree()

    def test_one_without_a_job_is_unverified_and_once_per_author(self, author: Member, provider: Member) -> None:
        assert review(author, provider, 2).is_verified is False
        with pytest.raises(AlreadyReviewed):
            review(author, provider, 1)
        assert standing(provider) == public.Standing(Decimal("2.00"), total_reviews=1, finished_jobs=0)
        assert sums_agree()

    def test_unverified_ones_never_outweigh_verified_ones(self, author: Member, provider: Member) -> None:
        review(author, provider, 1)
        review(author, provider, 5, "assistance:9")
        assert standing(provider) == public.Standing(Decimal("5.00"), total_reviews=2, finished_jobs=0)

    @pytest.mark.parametrize("rating", [0, 6])
    def test_the_table_refuses_other_ratings(self, author: Member, provider: Member, rating: int) -> None:
        with pytest.raises(IntegrityError, match="review_rating_range"), transaction.atomic():
            review(author, provider, rating, "assistance:9")
        assert standing(provider) == public.Standing()

    def test_the_table_refuses_praise_of_oneself(self, provider: Member) -> None:
        with pytest.raises(IntegrityError, match="review_of_another"), transaction.atomic():
            review(provider, provider, 5, "assistance:9")
        assert standing(provider) == public.Standing()

    def test_is_one_statement(
        self, author: Member, provider: Member, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_num_queries(3):  # two are the savepoint's
            review(author, provider, 5, "assistance:9")


class TestRecordFinishedWork:
    def test_counts_every_job_once(self, provider: Member, author: Member) -> None:
        review(author, provider, 5, "assistance:1")
        for reference in ("assistance:1", "assistance:2", "assistance:1"):
            public.record_finished_work(provider_id=provider.id, reference=reference, now=NOW)
        assert standing(provider) == public.Standing(Decimal("5.00"), total_reviews=1, finished_jobs=2)
        assert sums_agree()


class TestStandingsOf:
    def test_answers_for_everyone_asked_with_one_query(
        self, author: Member, provider: Member, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        public.record_finished_work(provider_id=provider.id, reference="assistance:1", now=NOW)
        with django_assert_num_queries(1):
            assert public.standings_of([author.id, provider.id]) == {
                author.id: public.Standing(),
                provider.id: public.Standing(None, total_reviews=0, finished_jobs=1),
            }
