"""What of accounts is purged and when, what stays, and that nobody notices."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Model, QuerySet

from backend.accounts.jobs import purge
from backend.accounts.models import Code, CodePurpose, Invitation, RefreshToken, Session, SignInDelay, User
from backend.accounts.services import forgetting
from backend.core import purging
from backend.core.models import EventRow, JobRow
from backend.core.proof import prove
from backend.core.timetable import entries
from tests.backend.accounts.support import form
from tests.backend.accounts.test_refresh import PHONE, refresh
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member, make_member

pytestmark = pytest.mark.django_db

LITTLE = timedelta(microseconds=1)
Members = Callable[..., Member]


@pytest.fixture
def amel(member: Members, at: Moment) -> Member:
    return member(now=at.now)


def chain(session: Session, length: int) -> None:
    """So many refresh tokens, each the successor of the one before it, a quarter of an hour later."""
    parent = None
    for number in range(length):
        parent = RefreshToken.objects.create(
            jti=uuid4(), session=session, parent=parent, device=b"", expires_at=session.expires_at,
            issued_at=session.created_at + number * timedelta(minutes=15),
        )  # fmt: skip


def open_session(amel: Member, at: Moment, **fields: Any) -> Session:
    return Session.objects.create(
        **{"user": amel.user, "created_at": at.now, "last_seen_at": at.now, "expires_at": at.now + timedelta(days=30)}
        | fields
    )


class TestForgetsAtTheBoundary:
    """What is exactly as old as is kept stays; a microsecond older goes. Seen red with `__lte`."""

    def outlives(self, make: Callable[[], Model], age: timedelta, at: Moment) -> None:
        row = make()
        rows = type(row)._base_manager.filter(pk=row.pk)
        at.now += age
        purge(now=at.now)
        assert rows.exists()
        purge(now=at.now + LITTLE)
        assert not rows.exists()

    def test_codes_a_day_and_an_hour_after_they_were_asked_for(self, at: Moment) -> None:
        self.outlives(
            lambda: Code.objects.create(
                purpose=CodePurpose.VERIFY_EMAIL, address="a@example.org", asked_from="", created_at=at.now
            ),
            timedelta(hours=25),
            at,
        )

    def test_delays_two_days_after_the_last_try(self, at: Moment) -> None:
        self.outlives(
            lambda: SignInDelay.objects.create(key="k", failures=200, tried_at=at.now, next_try_at=at.now),
            timedelta(days=2),
            at,
        )

    @pytest.mark.parametrize("is_accepted", [True, False])
    def test_invitations_thirty_days_after_they_ran_out(self, at: Moment, *, is_accepted: bool) -> None:
        self.outlives(
            lambda: Invitation.objects.create(
                email="a@example.org",
                created_at=at.now - timedelta(days=7),
                expires_at=at.now,
                accepted_at=at.now if is_accepted else None,
            ),
            timedelta(days=30),
            at,
        )

    def test_sessions_a_day_after_they_ran_out(self, amel: Member, at: Moment) -> None:
        self.outlives(lambda: open_session(amel, at, expires_at=at.now), timedelta(days=1), at)
        assert Session.objects.get() == amel.session

    def test_sessions_a_day_after_they_were_ended(self, amel: Member, at: Moment) -> None:
        self.outlives(lambda: open_session(amel, at, ended_at=at.now), timedelta(days=1), at)
        assert Session.objects.get() == amel.session

    def test_refresh_tokens_a_day_after_their_successor_came(self, amel: Member, at: Moment) -> None:
        chain(amel.session, 3)
        _, middle, last = RefreshToken.objects.order_by("issued_at")
        purge(now=middle.issued_at + timedelta(days=1))
        assert RefreshToken.objects.count() == 3
        purge(now=middle.issued_at + timedelta(days=1) + LITTLE)
        assert list(RefreshToken.objects.order_by("issued_at").values_list("pk", "parent")) == [
            (middle.pk, None),
            (last.pk, middle.pk),
        ]
        purge(now=amel.session.expires_at)
        assert RefreshToken.objects.get() == last


class TestForgetsMany:
    def test_a_thousand_and_one_sessions_with_their_chains_take_batches(self, amel: Member, at: Moment) -> None:
        over = at.now - timedelta(days=2)
        sessions = Session.objects.bulk_create(
            Session(user=amel.user, created_at=over, last_seen_at=over, ended_at=over, expires_at=at.now)
            for _ in range(1001)
        )
        RefreshToken.objects.bulk_create(
            RefreshToken(jti=uuid4(), session=session, device=b"", issued_at=over, expires_at=at.now)
            for session in sessions
            for _ in range(2)
        )
        left = []
        for _ in range(4):
            more = forgetting.forget(now=at.now)
            left.append((RefreshToken.objects.count(), Session.objects.exclude(pk=amel.session.pk).count(), more))
        assert left[0][::2] == (1002, True)
        assert left[1][::2] == (2, True)
        assert left[2][0] == 0
        assert left[3] == (0, 0, False)
        assert Session.objects.get() == amel.session

    def test_what_hangs_on_the_rows_of_a_batch_is_not_counted(
        self, amel: Member, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With `delete()`'s own count, which adds the tokens, it was not three, and the fourth stayed: seen red."""
        monkeypatch.setattr(purging, "BATCH", 3)
        for _ in range(4):
            chain(open_session(amel, at, ended_at=at.now), 2)
        over = Session.objects.filter(ended_at=at.now).order_by("pk")
        assert [purging.purge_batch(over), purging.purge_batch(over)] == [True, False]
        assert (Session.objects.get(), RefreshToken.objects.count()) == (amel.session, 0)

    def test_no_session_takes_its_chain_along(self, amel: Member, at: Moment, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purging, "BATCH", 3)
        chain(amel.session, 8)
        Session.objects.update(ended_at=at.now)
        at.forward(days=1, seconds=1)
        left: list[tuple[int, int]] = []
        while not left or left[-1][1]:
            assert forgetting.forget(now=at.now) is (len(left) < 2)
            left.append((RefreshToken.objects.count(), Session.objects.count()))
        assert left == [(5, 1), (2, 1), (0, 0)]

    def test_leaves_the_rest_to_a_job_of_its_own(
        self, amel: Member, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(purging, "BATCH", 1)
        for _ in range(2):
            open_session(amel, at, ended_at=at.now - timedelta(days=2))
        purge(now=at.now, of_tomorrow=1)
        assert list(JobRow.objects.values_list("name", "queue", "status")) == [("accounts.purge", "bulk", "pending")]

    def test_runs_every_hour(self) -> None:
        assert ("accounts.purge", timedelta(hours=1)) in {(entry.job, entry.period) for entry in entries()}


class TestNobodyNotices:
    @pytest.fixture
    def phone(self, api: Api) -> Api:
        return api.with_headers(User_Agent=PHONE)

    def test_a_token_that_was_purged_ends_its_session_when_it_is_used_again(self, phone: Api, at: Moment) -> None:
        """The same as before the purge. Seen red without `_end_of_purged`: the thief got a 401, the session lived."""
        first = phone.post("/auth/register/", form()).body
        at.forward(minutes=15)
        second = refresh(phone, first["refresh"]).body
        at.forward(days=2)
        purge(now=at.now)
        assert RefreshToken.objects.count() == 1
        assert refresh(phone, first["refresh"]).code == "invalid_token"
        session = Session.objects.get()
        assert (session.ended_at, session.end_reason) == (at.now, "refresh_reused")
        assert EventRow.objects.filter(type="session.ended").count() == 1
        assert JobRow.objects.filter(name="accounts.send_notice").count() == 1
        assert refresh(phone, second["refresh"]).code == "invalid_token"

    def test_a_living_session_goes_on(self, phone: Api, at: Moment) -> None:
        token = phone.post("/auth/register/", form()).body["refresh"]
        for _ in range(10):
            at.forward(days=2)
            purge(now=at.now)
            answer = refresh(phone, token)
            assert answer.status == 200
            token = answer.body["refresh"]
        assert RefreshToken.objects.count() == 2
        assert {finding.invariant.name for finding in prove(now=at.now, patience_s=1e9) if not finding.holds} == set()

    def test_the_tokens_of_a_session_that_was_purged_are_plainly_refused(self, phone: Api, at: Moment) -> None:
        first = phone.post("/auth/register/", form()).body
        second = refresh(phone, first["refresh"]).body
        phone.with_token(second["access"]).post("/auth/logout/")
        at.forward(days=1, seconds=1)
        purge(now=at.now)
        assert not Session.objects.exists()
        events = EventRow.objects.count()
        for body in (first, second):
            answer = refresh(phone, body["refresh"])
            assert (answer.status, answer.code) == (401, "invalid_token")
            assert phone.with_token(body["access"]).get("/me/").status == 401
        assert EventRow.objects.count() == events
        assert User.objects.count() == 1


class TestFinding:
    """Of many, the few that are old are found by an index: no table is read from end to end."""

    def test_takes_the_index_of_each_table(self, as_owner: None, at: Moment) -> None:
        with connection.cursor() as cursor:
            cursor.execute(MANY, {"user": make_member(now=at.now).id, "now": at.now})
        plans = [plan_of(rows) for rows in forgetting._outlived(at.now)]
        indexes = ["code_age", "sign_in_delay_age", "invitation_expiry", "refresh_token_replacing"]
        indexes += ["session_ended", "session_expiry", "session_ended", "session_expiry"]
        assert [index in plan for index, plan in zip(indexes, plans, strict=True)] == [True] * 8
        assert ["Seq Scan" in plan for plan in plans] == [False] * 8


def plan_of(rows: QuerySet[Any]) -> str:
    return rows.select_for_update(skip_locked=True, of=("self",)).only("pk")[: purging.BATCH].explain()


MANY = """
INSERT INTO accounts_session
    (user_id, created_at, last_seen_at, expires_at, ended_at, end_reason, agent)
SELECT %(user)s, %(now)s, %(now)s, %(now)s + n * interval '1 hour' - interval '2 days',
    CASE WHEN n %% 2 = 0 THEN %(now)s + n * interval '1 hour' - interval '2 days' END, '', ''
FROM generate_series(1, 30000) AS n;
INSERT INTO accounts_refresh_token (jti, session_id, device, issued_at, expires_at)
SELECT gen_random_uuid(), id, '', %(now)s, expires_at FROM accounts_session;
INSERT INTO accounts_refresh_token (jti, session_id, parent_id, device, issued_at, expires_at)
SELECT gen_random_uuid(), session_id, jti, '', expires_at, expires_at FROM accounts_refresh_token;
INSERT INTO accounts_code (id, purpose, address, asked_from, created_at, tries)
SELECT gen_random_uuid(), 'verify_email', 'a@example.org', '', %(now)s - interval '2 days' + n * interval '1 hour', 0
FROM generate_series(1, 30000) AS n;
INSERT INTO accounts_sign_in_delay (key, failures, tried_at, next_try_at)
SELECT n, 1, %(now)s - interval '3 days' + n * interval '1 hour', %(now)s FROM generate_series(1, 30000) AS n;
INSERT INTO accounts_invitation (email, created_at, expires_at)
SELECT 'a@example.org', %(now)s, %(now)s - interval '31 days' + n * interval '1 hour'
FROM generate_series(1, 30000) AS n;
ANALYZE accounts_session, accounts_refresh_token, accounts_code, accounts_sign_in_delay, accounts_invitation
"""
