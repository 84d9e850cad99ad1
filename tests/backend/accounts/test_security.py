"""Passwords changed, addresses changed, devices signed out: what needs proof, what ends, who is told (A3, A10)."""

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.core.mail import EmailMessage
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import Session, User
from backend.accounts.services import notices
from backend.accounts.services.passwords import hash_password, is_password_of
from backend.accounts.services.profile import Reached, tell_of_contacts
from backend.core.jobs import NeverDoneError
from backend.core.models import EventRow, JobRow
from tests.backend.accounts.support import PASSWORD, everything, form
from tests.backend.accounts.test_sessions import ended_events, second_session
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]
NEW = "another battery staple"


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    return member(
        email="amel@example.org", phone_number="+213550123456", password=hash_password(PASSWORD), is_verified=True
    )


class TestChangePassword:
    def test_ends_the_other_sessions_and_tells_the_owner(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        other = second_session(amel, at)
        assert api.as_(amel).post("/auth/password/change/", {"password": PASSWORD, "new_password": NEW}).status == 204
        assert is_password_of(User.objects.get(pk=amel.id), NEW)
        assert ended_events() == [(f"user:{amel.id}", {"session_id": other.pk, "reason": "password_changed"})]
        notice = EventRow.objects.get(type="account.notice")
        assert (notice.room, notice.data) == (f"user:{amel.id}", '{"kind":"password_changed"}')
        assert api.as_(amel).get("/me/").status == 200
        run_jobs()
        assert [(mail.to, mail.subject) for mail in mailoutbox] == [(["amel@example.org"], "Your password was changed")]

    @pytest.mark.parametrize("password", ["wrong one", None])
    def test_wants_the_old_one_however_fresh_the_sign_in(self, api: Api, amel: Member, password: str | None) -> None:
        before = everything()
        refused = api.as_(amel).post("/auth/password/change/", {"password": password, "new_password": NEW})
        assert (refused.status, refused.code) == (403, "proof_required")
        assert everything() == before

    def test_an_account_without_a_password_needs_a_fresh_sign_in(
        self, api: Api, at: Moment, member: MakeMember
    ) -> None:
        me = member(password="!")
        at.forward(minutes=5)
        assert api.as_(me).post("/auth/password/change/", {"new_password": NEW}).code == "proof_required"
        fresh = member(password="!")
        assert api.as_(fresh).post("/auth/password/change/", {"new_password": NEW}).status == 204

    def test_refuses_a_weak_one(self, api: Api, amel: Member) -> None:
        before = everything()
        answer = api.as_(amel).post("/auth/password/change/", {"password": PASSWORD, "new_password": "12345678"})
        assert answer.fields.keys() == {"body.new_password"}
        assert everything() == before


class TestChangeOfContacts:
    @pytest.mark.parametrize("changes", [{"email": "new@example.org"}, {"phone_number": "0551999999"}, {"email": None}])
    def test_wants_fresh_proof(self, api: Api, amel: Member, at: Moment, changes: dict[str, str | None]) -> None:
        at.forward(minutes=5)
        before = everything()
        for proof in ({}, {"current_password": "wrong one"}):
            assert api.as_(amel).patch("/me/", {**changes, **proof}).code == "proof_required"
        assert everything() == before
        assert not JobRow.objects.exists()
        assert api.as_(amel).patch("/me/", {**changes, "current_password": PASSWORD}).status == 200

    def test_needs_none_for_the_rest(self, api: Api, amel: Member, at: Moment) -> None:
        at.forward(minutes=10)
        assert api.as_(amel).patch("/me/", {"city": "Oran", "email": "amel@example.org"}).status == 200

    def test_tells_the_owner_what_is_removed(self, api: Api, amel: Member, mailoutbox: list[EmailMessage]) -> None:
        User.objects.filter(pk=amel.id).update(phone_verified_at=amel.user.created_at)
        api.as_(amel).patch("/me/", {"phone_number": None})
        run_jobs()
        assert [(mail.to[0], mail.subject) for mail in mailoutbox] == [
            ("amel@example.org", "Your phone number was changed")
        ]
        user = User.objects.get(pk=amel.id)
        assert (user.is_verified, user.phone_verified_at) == (False, None)


class TestRefreshReuse:
    def test_tells_the_owner(self, api: Api, at: Moment, mailoutbox: list[EmailMessage]) -> None:
        token = api.post("/auth/register/", form()).body["refresh"]
        assert api.post("/auth/token/refresh/", {"refresh": token}).status == 200
        at.forward(seconds=11)
        for _ in range(2):
            assert api.post("/auth/token/refresh/", {"refresh": token}).code == "invalid_token"
        run_jobs("accounts.send_notice")
        assert [mail.subject for mail in mailoutbox] == ["A device was signed out for your safety"]


class TestSessions:
    def test_lists_my_live_devices(
        self, api: Api, amel: Member, at: Moment, member: MakeMember, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        other, over = second_session(amel, at), second_session(amel, at)
        Session.objects.filter(pk=over.pk).update(ended_at=at.now)
        Session.objects.filter(pk=other.pk).update(client_address="2001:db8::1", agent="Phone/2")
        member()
        with django_assert_num_queries(3):  # who asks, the count, the rows
            answer = api.as_(amel).get("/auth/sessions/")
        assert answer.body["count"] == 2
        moment = "2030-05-15T09:30:00Z"
        assert answer.body["results"] == [
            {
                "id": other.pk,
                "created_at": moment,
                "last_seen_at": moment,
                "client_address": "2001:db8::1",
                "agent": "Phone/2",
                "is_current": False,
            },
            {
                "id": amel.session.pk,
                "created_at": moment,
                "last_seen_at": moment,
                "client_address": None,
                "agent": "tests",
                "is_current": True,
            },
        ]

    def test_ends_one_of_mine_at_once_and_nobody_elses(
        self, api: Api, amel: Member, member: MakeMember, at: Moment
    ) -> None:
        other, stranger = second_session(amel, at), member()
        assert api.as_(amel).delete(f"/auth/sessions/{other.pk}/").status == 204
        assert ended_events() == [(f"user:{amel.id}", {"session_id": other.pk, "reason": "ended_by_owner"})]
        before = everything()
        for session_id in (other.pk, stranger.session.pk, 10**12):
            assert api.as_(amel).delete(f"/auth/sessions/{session_id}/").code == "not_found"
        assert everything() == before
        assert EventRow.objects.count() == 1
        assert api.as_(amel).delete(f"/auth/sessions/{amel.session.pk}/").status == 204
        assert api.as_(amel).get("/me/").code == "invalid_token"


class TestNotices:
    def test_do_not_flood_an_address(
        self, amel: Member, at: Moment, limits_on: None, mailoutbox: list[EmailMessage]
    ) -> None:
        """L7: whoever signs up with a stranger's address has no more written to it than this. Seen red without it."""
        for _ in range(notices.NOTICES_A_DAY + 5):
            call = notices.prepare(user_id=amel.id, kind="password_changed", to=None, language=None, key="k")
            assert call is not None
            with suppress(NeverDoneError):
                call()
        assert len(mailoutbox) == notices.NOTICES_A_DAY

    def test_go_to_no_number_that_nobody_proved(
        self, at: Moment, member: MakeMember, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L7. Seen red with any number: signing up with a stranger's was enough to send texts to it."""
        texts: list[str] = []
        monkeypatch.setattr("backend.core.sms.deliver", lambda *, to, text: texts.append(to))
        for number, proved_at in (("+213550000001", None), ("+213550000002", at.now)):
            me = member(phone_number=number, phone_verified_at=proved_at)
            User.objects.filter(pk=me.id).update(email=None)
            call = notices.prepare(user_id=me.id, kind="password_changed", to=None, language=None, key="k")
            if call is not None:
                call()
        assert texts == ["+213550000002"]

    def test_go_to_no_number_that_was_never_proved_when_it_changes(
        self, api: Api, at: Moment, member: MakeMember, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L7: texts cannot be pumped to strangers. Seen red when each change told the old number."""
        texts: list[str] = []
        monkeypatch.setattr("backend.core.sms.deliver", lambda *, to, text: texts.append(to))
        for number, proved_at in (("+213550000003", None), ("+213550000004", at.now)):
            me = member(email=None, phone_number=number, phone_verified_at=proved_at)
            before = Reached.of(me.user)
            me.user.phone_number = "+213550000006"
            tell_of_contacts(me.user, before, now=at.now)
        run_jobs("accounts.send_notice")
        assert texts == ["+213550000004"]

    def test_do_not_flood_a_number(
        self, at: Moment, member: MakeMember, limits_on: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L7. Seen red when only mails were counted."""
        texts: list[str] = []
        monkeypatch.setattr("backend.core.sms.deliver", lambda *, to, text: texts.append(to))
        me = member(email=None, phone_number="+213550000005", phone_verified_at=at.now)
        for _ in range(notices.NOTICES_A_DAY + 5):
            call = notices.prepare(user_id=me.id, kind="password_changed", to=None, language=None, key="k")
            assert call is not None
            with suppress(NeverDoneError):
                call()
        assert len(texts) == notices.NOTICES_A_DAY


OWN_WORDS = ("amel@example.org", "Amel@Example.org1", "amelhaddad", "Haddad2026", "+213550123456", "amel.haddad-1")
OF_NOBODY = "correct horse battery"


class TestOwnWords:
    """One's own names and addresses make no password. Seen red without the validator, and with one that is not told
    whose password it is, in each of the three."""

    @pytest.fixture
    def owner(self, at: Moment, member: MakeMember) -> Member:
        encoded = hash_password(PASSWORD)
        names = {"name": "Amel Haddad", "username": "amel.haddad"}
        return member(email="amel@example.org", phone_number="+213550123456", password=encoded, **names)

    @pytest.mark.parametrize("password", OWN_WORDS)
    def test_are_no_password_to_begin_with(self, api: Api, at: Moment, password: str) -> None:
        asked = form(username="amel.haddad", phone_number="+213550123456", password=password)
        refused = api.post("/auth/register/", asked)
        assert (refused.status, refused.fields) == (422, {"body.password": "validation_failed"})
        assert not User.objects.exists()
        assert api.post("/auth/register/", {**asked, "password": OF_NOBODY}).status == 201

    @pytest.mark.parametrize("password", OWN_WORDS)
    def test_are_no_password_to_change_to(self, api: Api, owner: Member, password: str) -> None:
        before = User.objects.get().password
        refused = api.as_(owner).post("/auth/password/change/", {"password": PASSWORD, "new_password": password})
        assert (refused.status, refused.fields) == (422, {"body.new_password": "validation_failed"})
        assert User.objects.get().password == before

    @pytest.mark.parametrize("password", OWN_WORDS)
    def test_are_no_password_after_a_reset_and_spend_no_code(
        self, api: Api, owner: Member, mailoutbox: list[EmailMessage], password: str
    ) -> None:
        """Only who has the code learns that they are the owner's words."""
        email, before = "amel@example.org", User.objects.get().password
        api.post("/auth/password/reset/", {"email": email})
        run_jobs("accounts.send_code")
        (code,) = re.findall(r"\b[0-9]{6}\b", str(mailoutbox[0].body))

        def confirm(code: str, new_password: str, email: str = email) -> Answer:
            body = {"email": email, "code": code, "new_password": new_password}
            return api.post("/auth/password/reset/confirm/", body)

        wrong = f"{(int(code) + 1) % 10**6:06}"
        known, unknown = (confirm(wrong, "Haddad2026", one) for one in (email, "no@x.org"))
        assert (known.status, known.code) == (unknown.status, unknown.code) == (422, "invalid_code")
        refused = confirm(code, password)
        assert (refused.status, refused.fields) == (422, {"body.new_password": "validation_failed"})
        assert User.objects.get().password == before
        assert confirm(code, OF_NOBODY).status == 204
