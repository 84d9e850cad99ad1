"""Rivals who review one provider, over real connections."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoDbBlocker

from backend.catalog import public
from backend.catalog.errors import AlreadyReviewed
from backend.catalog.models import ProviderStanding, Review
from backend.catalog.services import reviews
from backend.core import clock
from backend.core.errors import NotFound
from backend.core.models import EventRow
from tests.concurrency.rivals import RIVALS, all_at_once, committed
from tests.concurrency.test_dispatch import _empty_everything
from tests.support.people import Member, make_member


@pytest.fixture
def people(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[Member, Member]]:
    """A client and an assistant."""
    with committed(django_db_blocker):
        author, provider = make_member("client"), make_member("assistant")
        yield author, provider
        _empty_everything()


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


class TestBothSidesAtOnce:
    """The second of two who wait for each other writes while the timetable shows what has waited for long enough."""

    @pytest.mark.parametrize("number", range(4))
    def test_show_each_review_once(self, people: tuple[Member, Member], number: int) -> None:
        """Reveal against write: both are shown, counted and told once.

        Seen red when what is shown already is revealed again.
        """
        author, provider = people
        reference, begun = f"booking:{number + 1}", clock.now()
        public.record_finished_work(
            provider_id=provider.id, client_id=author.id, reference=reference, both_sides_review=True, now=begun
        )
        first = review(people, reference, 4)
        due = begun + timedelta(days=14)

        def answer() -> object:
            return public.record_review(
                author_id=provider.id, reviewed_id=author.id, reference=reference, rating=2, comment="", now=due
            )

        results = all_at_once([answer, *[lambda: reviews.reveal_due(now=due)] * (RIVALS - 1)])
        assert not [result for result in results if isinstance(result, Exception)]
        assert Review.objects.filter(reference=reference, is_visible=True).count() == 2
        assert public.standings_of([provider.id])[provider.id] == public.Standing(Decimal("4.00"), 1, 1)
        assert public.standings_of([author.id])[author.id] == public.Standing(Decimal("2.00"), 1, 0)
        told = EventRow.objects.filter(type="review.created", room=f"user:{provider.id}")
        assert [json.loads(row.data)["review_id"] for row in told] == [first.id]


class TestRemovingAtOnce:
    def test_counts_a_review_down_once(self, people: tuple[Member, Member]) -> None:
        """Removed by several managers while it is replied to and reported."""
        _, provider = people
        finish(people, 1)
        finish(people, 2)
        kept, gone = review(people, "assistance:1", 5), review(people, "assistance:2", 1)
        manager = make_member("manager")

        def remove() -> None:
            reviews.remove_review(actor=manager.actor, review_id=gone.id, now=clock.now())

        def reply() -> None:
            reviews.reply_to_review(actor=provider.actor, review_id=gone.id, reply="Sorry", now=clock.now())

        results = all_at_once([remove, reply, remove, remove])
        assert sum(isinstance(result, NotFound) for result in results) in {2, 3}
        assert {type(result) for result in results} <= {NotFound, type(None)}
        assert Review.objects.get(pk=kept.id).removed_at is None
        assert public.standings_of([provider.id])[provider.id] == public.Standing(Decimal("5.00"), 1, 2)

    def test_of_what_waits_is_never_shown(self, people: tuple[Member, Member]) -> None:
        """Removed against revealed: either way it counts no more. Seen red when a removed one is revealed."""
        author, provider = people
        manager, begun = make_member("manager"), clock.now()
        public.record_finished_work(
            provider_id=provider.id, client_id=author.id, reference="booking:9", both_sides_review=True, now=begun
        )
        waiting, due = review(people, "booking:9", 5), begun + timedelta(days=14)
        results = all_at_once(
            [
                lambda: reviews.remove_review(actor=manager.actor, review_id=waiting.id, now=due),
                *[lambda: reviews.reveal_due(now=due)] * (RIVALS - 1),
            ]
        )
        assert not [result for result in results if isinstance(result, Exception)]
        assert Review.objects.get(pk=waiting.id).removed_at is not None
        assert public.standings_of([provider.id])[provider.id] == public.Standing(None, 0, 1)
