"""Reviews, finished work, and the sums of both."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from backend.catalog import public
from backend.catalog.errors import AlreadyReviewed, NoFinishedWork
from backend.catalog.models import FinishedWork, ProviderStanding, Review
from backend.core.models import EventRow
from backend.core.proof import invariants, prove
from shared_contracts.events import ReviewCreated
from tests.support.people import Member

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)


@pytest.fixture
def provider(member: Callable[..., Member]) -> Member:
    return member("contractor")


@pytest.fixture
def author(member: Callable[..., Member]) -> Member:
    return member("client")


def finish(provider: Member, client: Member, reference: str, *, both: bool = False) -> None:
    public.record_finished_work(
        provider_id=provider.id, client_id=client.id, reference=reference, both_sides_review=both, now=NOW
    )


def review(
    author: Member,
    reviewed: Member,
    rating: int,
    reference: str | None = None,
    comment: str = "",
    now: datetime = NOW,
) -> public.ReviewView:
    return public.record_review(
        author_id=author.id, reviewed_id=reviewed.id, reference=reference, rating=rating, comment=comment, now=now
    )


def standing(person: Member) -> public.Standing:
    return public.standings_of([person.id])[person.id]


def events_of(person: Member) -> list[ReviewCreated]:
    rows = EventRow.objects.filter(room=f"user:{person.id}", type="review.created").order_by("pk")
    return [ReviewCreated.model_validate_json(row.data) for row in rows]


def sums_agree() -> bool:
    """Whether the invariants of the catalogue hold."""
    names = {one.name for one in invariants() if one.name.startswith("catalog.")}
    findings = [finding for finding in prove(now=NOW, patience_s=30) if finding.invariant.name in names]
    return bool(findings) and all(finding.holds for finding in findings)


class TestRecordReview:
    def test_keeps_what_was_said_and_counts_it(self, author: Member, provider: Member) -> None:
        finish(provider, author, "assistance:9")
        view = review(author, provider, 4, "assistance:9", "Quick and kind")
        row = Review.objects.get()
        assert view == public.ReviewView(
            id=row.pk,
            reviewed_id=provider.id,
            author_id=author.id,
            reference="assistance:9",
            rating=4,
            comment="Quick and kind",
            is_verified=True,
            is_visible=True,
            created_at=NOW,
        )
        assert (row.reviewed_id, row.author_id, row.reference, row.rating, row.comment, row.is_verified) == (
            provider.id,
            author.id,
            "assistance:9",
            4,
            "Quick and kind",
            True,
        )
        assert standing(provider) == public.Standing(Decimal("4.00"), total_reviews=1, finished_jobs=1)

    def test_tells_the_one_who_was_reviewed(self, author: Member, provider: Member) -> None:
        finish(provider, author, "assistance:9")
        view = review(author, provider, 4, "assistance:9", "Quick and kind")
        (event,) = events_of(provider)
        assert event.model_dump() == {
            "review_id": view.id,
            "reviewed_id": provider.id,
            "author": {"id": author.id, "name": author.user.name},
            "reference": "assistance:9",
            "rating": 4,
            "comment": "Quick and kind",
            "is_verified": True,
            "created_at": NOW,
            "average_rating": Decimal("4.00"),
            "total_reviews": 1,
        }

    def test_averages_to_two_decimals(self, author: Member, provider: Member) -> None:
        for number, rating in enumerate((5, 4, 4)):
            finish(provider, author, f"assistance:{number + 1}")
            review(author, provider, rating, f"assistance:{number + 1}")
        assert standing(provider) == public.Standing(Decimal("4.33"), total_reviews=3, finished_jobs=3)
        assert sums_agree()

    def test_refuses_a_second_one_of_the_same_job_and_author(self, author: Member, provider: Member) -> None:
        finish(provider, author, "assistance:9")
        review(author, provider, 5, "assistance:9")
        before = standing(provider)
        with pytest.raises(AlreadyReviewed) as refusal:
            review(author, provider, 1, "assistance:9")
        assert (refusal.value.status, refusal.value.code) == (409, "already_rated")
        assert standing(provider) == before
        assert Review.objects.count() == len(events_of(provider)) == 1
        assert sums_agree()

    def test_refuses_those_who_did_not_finish_the_job(
        self, author: Member, provider: Member, member: Callable[..., Member]
    ) -> None:
        """The provider of a one-sided job, a stranger, a job that is not there, and one that was withdrawn."""
        finish(provider, author, "assistance:9")
        finish(provider, author, "assistance:10")
        public.withdraw_finished_work(provider_id=provider.id, reference="assistance:10", now=NOW)
        for who, whom, reference in (
            (provider, author, "assistance:9"),
            (member("client"), provider, "assistance:9"),
            (author, provider, "assistance:8"),
            (author, provider, "assistance:10"),
        ):
            with pytest.raises(NoFinishedWork) as refusal:
                review(who, whom, 5, reference)
            assert (refusal.value.status, refusal.value.code) == (409, "no_finished_work")
        assert not Review.objects.exists()
        assert standing(provider) == public.Standing(None, total_reviews=0, finished_jobs=1)

    def test_one_without_a_job_is_unverified_and_once_per_author(self, author: Member, provider: Member) -> None:
        assert review(author, provider, 2).is_verified is False
        with pytest.raises(AlreadyReviewed):
            review(author, provider, 1)
        assert standing(provider) == public.Standing(Decimal("2.00"), total_reviews=1, finished_jobs=0)
        assert sums_agree()

    def test_unverified_ones_never_outweigh_verified_ones(self, author: Member, provider: Member) -> None:
        finish(provider, author, "assistance:9")
        review(author, provider, 1)
        review(author, provider, 5, "assistance:9")
        assert standing(provider) == public.Standing(Decimal("5.00"), total_reviews=2, finished_jobs=1)

    @pytest.mark.parametrize("rating", [0, 6])
    def test_the_table_refuses_other_ratings(self, author: Member, provider: Member, rating: int) -> None:
        with pytest.raises(IntegrityError, match="review_rating_range"), transaction.atomic():
            review(author, provider, rating)
        assert standing(provider) == public.Standing()

    def test_the_table_refuses_praise_of_oneself(self, provider: Member) -> None:
        with pytest.raises(IntegrityError, match="review_of_another"), transaction.atomic():
            review(provider, provider, 5)
        assert standing(provider) == public.Standing()


class TestReviewsOfBothSides:
    def test_stay_hidden_and_uncounted_until_both_are_written(self, author: Member, provider: Member) -> None:
        finish(provider, author, "booking:3", both=True)
        assert review(author, provider, 5, "booking:3").is_visible is False
        assert standing(provider) == public.Standing(None, total_reviews=0, finished_jobs=1)
        assert events_of(provider) == []
        assert review(provider, author, 2, "booking:3", now=NOW + timedelta(days=1)).is_visible is True
        assert standing(provider).average_rating == Decimal("5.00")
        assert standing(author).average_rating == Decimal("2.00")
        assert [event.rating for event in events_of(provider) + events_of(author)] == [5, 2]
        assert sums_agree()

    def test_are_shown_at_once_when_the_fourteen_days_are_over(self, author: Member, provider: Member) -> None:
        finish(provider, author, "booking:3", both=True)
        late = NOW + timedelta(days=14)
        assert review(author, provider, 5, "booking:3", now=late - timedelta(seconds=1)).is_visible is False
        assert review(provider, author, 2, "booking:3", now=late).is_visible is True
        assert (standing(author).total_reviews, standing(provider).total_reviews) == (1, 1)
        assert sums_agree()


class TestRecordFinishedWork:
    def test_counts_every_job_once(self, provider: Member, author: Member) -> None:
        for reference in ("assistance:1", "assistance:2", "assistance:1"):
            finish(provider, author, reference)
        assert standing(provider) == public.Standing(None, total_reviews=0, finished_jobs=2)
        assert sums_agree()

    def test_can_be_withdrawn_and_recorded_again(self, provider: Member, author: Member) -> None:
        finish(provider, author, "booking:1")
        counts = [standing(provider).finished_jobs]
        for _ in range(2):
            public.withdraw_finished_work(provider_id=provider.id, reference="booking:1", now=NOW)
            counts.append(standing(provider).finished_jobs)
        finish(provider, author, "booking:1")
        assert [*counts, standing(provider).finished_jobs] == [1, 0, 0, 1]
        assert FinishedWork.objects.get().withdrawn_at is None
        assert sums_agree()


class TestStandings:
    def test_are_read_for_everyone_asked_with_one_query(
        self, author: Member, provider: Member, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        finish(provider, author, "assistance:1")
        with django_assert_num_queries(1):
            assert public.standings_of([author.id, provider.id]) == {
                author.id: public.Standing(),
                provider.id: public.Standing(None, total_reviews=0, finished_jobs=1),
            }

    def test_the_database_averages(self, provider: Member) -> None:
        for sums, average in (
            ((0, 0, 0, 0), None),
            ((13, 3, 0, 0), Decimal("4.33")),
            ((0, 0, 11, 3), Decimal("3.67")),
            ((5, 1, 1, 1), Decimal("5.00")),
        ):
            names = ("rating_sum", "rating_count", "unverified_sum", "unverified_count")
            ProviderStanding.objects.update_or_create(user_id=provider.id, defaults=dict(zip(names, sums, strict=True)))
            assert standing(provider).average_rating == average
