"""A manager reviews a document while its owner replaces it: nobody approves a file that they did not see.

Seen red with these bugs planted: the version compared before the row was locked, in the review and in the replacement.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from backend.accounts.models import User
from backend.core import clock
from backend.core.errors import InvalidState, PreconditionFailed
from backend.core.files import new_key
from backend.core.models import EventRow
from backend.core.states import history_of
from backend.media.models import Document, StoredFile
from backend.media.services import documents
from tests.backend.media.corpus import PDF
from tests.concurrency.rivals import committed, in_background, until_somebody_waits
from tests.concurrency.test_accounts_races import AT_ONCE, crowd, nobody_is_left
from tests.support.api import Api
from tests.support.people import Member, make_member

__all__ = ["nobody_is_left"]


@dataclass(frozen=True)
class Shown:
    owner: Member
    manager: Member
    id: int

    def review(self, *, seen: int | None) -> Document:
        return documents.review_document(
            actor=self.manager.actor,
            document_id=self.id,
            approve=True,
            reason="",
            wanted_versions=None if seen is None else frozenset({seen}),
            now=clock.now(),
        )

    def replace(self, kept: documents.Kept, *, seen: int | None) -> Document:
        wanted = None if seen is None else frozenset({seen})
        return documents._replace(self.owner.actor, self.id, kept, None, wanted, clock.now())

    def now(self) -> Document:
        return Document.objects.get(pk=self.id)


@pytest.fixture
def shown(nobody_is_left: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Shown]:
    with committed(django_db_blocker):
        owner, manager = make_member("assistant"), make_member("manager")
        made = Api().as_(owner).upload("POST", "/documents/", PDF, type="other")
        yield Shown(owner, manager, made.body["id"])
        Document.objects.all().delete()
        StoredFile.objects.all().delete()
        User.objects.filter(pk__in=(owner.id, manager.id)).delete()


def another_file() -> documents.Kept:
    key = new_key("documents", ".pdf")
    StoredFile.objects.create(key=key, created_at=clock.now(), purge_at=clock.now().replace(year=2100))
    return documents.Kept(key, "application/pdf", len(PDF))


class TestReviewAndReplacement:
    def test_a_review_of_what_was_seen_waits_for_the_replacement_and_is_refused(self, shown: Shown) -> None:
        with transaction.atomic():
            shown.replace(another_file(), seen=1)
            reviewed = in_background(lambda: shown.review(seen=1))
            until_somebody_waits()
        assert isinstance(reviewed(), PreconditionFailed)
        assert (shown.now().status, shown.now().version) == ("pending", 2)
        assert not EventRow.objects.filter(type="document.reviewed", room=f"user:{shown.owner.id}").exists()

    def test_a_replacement_waits_for_the_review_and_begins_anew(self, shown: Shown) -> None:
        kept = another_file()
        with transaction.atomic():
            shown.review(seen=1)
            replaced = in_background(lambda: shown.replace(kept, seen=None))
            until_somebody_waits()
        assert isinstance(replaced(), Document)
        after = shown.now()
        assert (after.status, after.version, after.file_id, after.reviewed_at) == ("pending", 3, kept.key, None)
        steps = history_of(after).values_list("from_status", "to_status")
        assert list(steps) == [("", "pending"), ("pending", "approved"), ("approved", "pending")]

    def test_a_replacement_of_what_was_seen_waits_for_the_review_and_is_refused(self, shown: Shown) -> None:
        kept = another_file()
        with transaction.atomic():
            shown.review(seen=1)
            replaced = in_background(lambda: shown.replace(kept, seen=1))
            until_somebody_waits()
        assert isinstance(replaced(), PreconditionFailed)
        assert (shown.now().status, shown.now().version) == ("approved", 2)

    def test_a_second_review_waits_for_the_first_and_is_refused(self, shown: Shown) -> None:
        with transaction.atomic():
            shown.review(seen=1)
            second = in_background(lambda: shown.review(seen=None))
            until_somebody_waits()
        assert isinstance(second(), InvalidState)

    def test_one_of_twenty_reviews_and_replacements_of_one_version_is_done(self, shown: Shown) -> None:
        owner, manager = (Api().as_(who).with_headers(If_Match='"1"') for who in (shown.owner, shown.manager))

        def act(number: int) -> int:
            if number % 2:
                return manager.post(f"/documents/{shown.id}/review/", {"decision": "approve"}).status
            return owner.upload("PUT", f"/documents/{shown.id}/", PDF + b"\n" * number).status

        assert Counter(crowd(act)) == {200: 1, 412: AT_ONCE - 1}
        assert shown.now().version == 2
