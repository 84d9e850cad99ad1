"""Purging by real connections: twice at once, killed in the midst, and while somebody uses what goes."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from backend.accounts.jobs import purge
from backend.accounts.models import RefreshToken, Session, User
from backend.accounts.services import signing_in
from backend.accounts.services.signing_in import Device
from backend.core import clock, purging
from backend.core.models import JobRow
from tests.concurrency.rivals import RIVALS, all_at_once, committed, in_background, until_somebody_waits
from tests.support.api import Api
from tests.support.people import Member, make_member

DEVICE = Device("127.0.0.1", "Phone/1")


@pytest.fixture(autouse=True)
def amel(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Member]:
    """Somebody whose sessions go. Everything is committed, so all of it is deleted again."""
    with committed(django_db_blocker):
        amel = make_member()
        yield amel
        User.objects.filter(pk=amel.id).delete()


@pytest.fixture
def over(amel: Member) -> list[int]:
    """Thirty sessions that ended the day before yesterday, each with two tokens."""
    ended_at = clock.now() - timedelta(days=2)
    sessions = Session.objects.bulk_create(
        Session(user=amel.user, created_at=ended_at, last_seen_at=ended_at, ended_at=ended_at, expires_at=ended_at)
        for _ in range(30)
    )
    RefreshToken.objects.bulk_create(
        RefreshToken(jti=uuid4(), session=session, device=b"", issued_at=ended_at, expires_at=ended_at)
        for session in sessions
        for _ in range(2)
    )
    return [session.pk for session in sessions]


def one_purge() -> None:
    with transaction.atomic():
        purge(now=clock.now())


def purge_to_the_end() -> None:
    """As the workers would: the job, and the jobs that it leaves the rest to."""
    one_purge()
    while JobRow.objects.filter(name="accounts.purge").delete()[0]:
        one_purge()


def left(over: list[int]) -> tuple[int, int]:
    """How many of the sessions and of their tokens."""
    return Session.objects.filter(pk__in=over).count(), RefreshToken.objects.filter(session__in=over).count()


class TestPurgeIsIdempotent:
    def test_twice_in_sequence(self, amel: Member, over: list[int]) -> None:
        purge_to_the_end()
        purge_to_the_end()
        assert left(over) == (0, 0)
        assert Session.objects.filter(user=amel.user).get() == amel.session

    def test_many_at_once_take_different_rows_and_wait_for_nobody(
        self, amel: Member, over: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(purging, "BATCH", 7)
        assert all_at_once([one_purge] * RIVALS) == [None] * RIVALS
        purge_to_the_end()
        assert left(over) == (0, 0)
        assert Session.objects.filter(user=amel.user).get() == amel.session

    def test_killed_in_the_midst_it_goes_on(self, over: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purging, "BATCH", 7)
        one_purge()
        before = left(over)
        assert before[1] < 60
        with transaction.atomic():
            purge(now=clock.now())
            assert left(over) < before
            transaction.set_rollback(True)
        assert left(over) == before
        purge_to_the_end()
        assert left(over) == (0, 0)

    def test_leaves_what_somebody_holds_to_the_next_time(self, over: list[int]) -> None:
        """Red without SKIP LOCKED: the purge waited until its `lock_timeout`."""
        with transaction.atomic():
            RefreshToken.objects.select_for_update().filter(session=over[0]).first()
            assert in_background(purge_to_the_end)() is None
        assert left(over) == (1, 1)
        purge_to_the_end()
        assert left(over) == (0, 0)


class TestUsedWhilePurged:
    def test_a_reused_token_whose_row_goes_at_that_moment_ends_its_session(self, amel: Member) -> None:
        """Its successor is about to lose its parent: nobody may get a second one. Without the second try of `refresh`
        the answer was a 500, and the session lived."""
        started = clock.now() - timedelta(days=3)
        with transaction.atomic():
            first = signing_in.open_session(user=amel.user, device=DEVICE, now=started)
        second = refresh(first.refresh, started + timedelta(hours=1))()
        session_id, old = claims_of(first.refresh)
        with transaction.atomic():
            purge(now=clock.now())
            assert not RefreshToken.objects.filter(pk=old).exists()
            answer = in_background(lambda: Api().post("/auth/token/refresh/", {"refresh": first.refresh}))
            until_somebody_waits()
        refused = answer()
        assert not isinstance(refused, Exception)
        assert (refused.status, refused.code) == (401, "invalid_token")
        assert Session.objects.get(pk=session_id).end_reason == "refresh_reused"
        assert RefreshToken.objects.get(session=session_id).pk == claims_of(second.refresh)[1]


def refresh(token: str, now: datetime) -> Callable[[], signing_in.Tokens]:
    def call() -> signing_in.Tokens:
        _, tokens = signing_in.refresh(token=token, device=DEVICE, now=now)
        return tokens

    return call


def claims_of(token: str) -> tuple[int, UUID]:
    claims = signing_in._read(token, now=clock.now())
    return claims.sid, UUID(claims.jti)
