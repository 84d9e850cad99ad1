"""Deleting an account: who may, what stands in the way, and that one is unknown afterwards.

What is left of a person in all modules is the subject of test_leaving.py.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import DELETED_NAME, NOTHING_PENDING, ExternalIdentity, Session, SignInDelay, User
from backend.accounts.services.delays import FREE_TRIES
from backend.accounts.services.forgetting import forget
from backend.accounts.services.passwords import hash_password
from backend.core import personal_data
from backend.core.environment import environment
from backend.core.models import AuditRow, EventRow
from backend.core.personal_data import Obstacle
from tests.backend.accounts.support import PASSWORD, everything, form
from tests.backend.accounts.test_two_factor import code, turned_on
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db


@pytest.fixture
def amel(at: Moment, member: Callable[..., Member]) -> Member:
    """Signed in ten minutes ago."""
    amel = member(
        username="amel",
        name="Amel Haddad",
        email="amel@example.org",
        phone_number="+213550123456",
        password=hash_password(PASSWORD),
        bio="Twelve years on the road.",
        city="Algiers",
        country="DZ",
        address="12 rue Didouche Mourad",
        lat=36.75,
        lng=3.05,
        time_zone="Africa/Algiers",
        language="fr",
        hide_presence=True,
        is_verified=True,
        email_verified_at=at.now,
        phone_verified_at=at.now,
    )
    at.forward(minutes=10)
    return amel


def delete(api: Api, person: Member, **proof: str) -> Answer:
    return api.as_(person).delete("/me/", proof)


class TestDeleteMe:
    def test_leaves_an_id_and_when_they_came_and_went(
        self,
        api: Api,
        amel: Member,
        at: Moment,
        monkeypatch: pytest.MonkeyPatch,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        created_at = amel.user.created_at
        known = {name: personal_data._holders[name] for name in ("core", "accounts")}
        monkeypatch.setattr(personal_data, "_holders", known)
        # who asks; own row, second factor; row held, farewell, sessions ended, event, audit; row, devices, delays,
        # sessions, tokens, invitations, factor, identities, addresses, assistant, skills, row; answers, reasons; audit;
        # savepoint
        with django_assert_num_queries(27):
            assert delete(api, amel, password=PASSWORD).status == 204
        assert User.objects.values().get() == {
            "id": amel.id,
            "username": f"~{amel.id}",
            "email_proved_apart": False,
            "name": DELETED_NAME,
            "first_name": "",
            "last_name": "",
            "email": None,
            "email_verified_at": None,
            "phone_number": None,
            "phone_verified_at": None,
            **NOTHING_PENDING,
            "phone_signs_in": True,
            "password": "!",
            "roles": [],
            "is_active": False,
            "is_verified": False,
            "bio": "",
            "city": "",
            "country": "",
            "address": "",
            "lat": None,
            "lng": None,
            "time_zone": "UTC",
            "language": "en",
            "hide_presence": False,
            "photo": "",
            "version": 2,
            "created_at": created_at,
            "updated_at": at.now,
            "deleted_at": at.now,
        }

    def test_ends_every_session_at_once_and_tells_the_sockets(self, api: Api, amel: Member, at: Moment) -> None:
        assert delete(api, amel, password=PASSWORD).status == 204
        assert api.as_(amel).get("/me/").code == "invalid_token"
        assert EventRow.objects.values_list("room", "type", "data").get() == (
            f"user:{amel.id}",
            "session.ended",
            '{"session_id":null,"reason":"account_deleted"}',
        )
        session = Session.objects.get()
        assert (session.ended_at, session.end_reason, session.expires_at) == (at.now, "account_deleted", at.now)
        assert (session.agent, session.client_address) == ("", None)

    def test_is_written_down_without_a_name(self, api: Api, amel: Member) -> None:
        delete(api, amel, password=PASSWORD)
        row = AuditRow.objects.get(action="accounts.deleted")
        assert (row.actor_id, row.reference, row.changes) == (amel.id, f"user:{amel.id}", {})

    def test_deletes_once(self, api: Api, amel: Member) -> None:
        assert delete(api, amel, password=PASSWORD).status == 204
        before = everything()
        assert delete(api, amel, password=PASSWORD).code == "invalid_token"
        assert everything() == before

    def test_cannot_be_half_done(self, amel: Member, at: Moment) -> None:
        """The database itself refuses a deleted account that still has something of its own."""
        for left in ({"email": "a@x.example"}, {"bio": "x"}, {"roles": ["client"]}, {"is_active": True}, {"name": "A"}):
            gone = {"username": f"~{amel.id}", "deleted_at": at.now}
            with pytest.raises(IntegrityError, match="user_deleted_is_nobody"), transaction.atomic():
                User.objects.filter(pk=amel.id).update(**{**NOTHING, **gone, **left})

    def test_nobody_else_is_called_so(self, api: Api, amel: Member) -> None:
        answer = api.post("/auth/register/", form(name=DELETED_NAME, email="new@example.org"))
        assert (answer.status, answer.fields) == (422, {"body.name": "validation_failed"})
        answer = api.as_(amel).patch("/me/", {"first_name": "Deleted", "last_name": "account"})
        assert (answer.status, answer.fields) == (422, {"body.name": "validation_failed"})
        with pytest.raises(IntegrityError, match="user_deleted_is_nobody"), transaction.atomic():
            User.objects.filter(pk=amel.id).update(name=DELETED_NAME)


class TestFarewell:
    def test_is_said_once_in_their_language_where_they_could_be_reached(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red with the address looked up by the job: by then it is nobody's."""
        assert delete(api, amel, password=PASSWORD).status == 204
        run_jobs("accounts.send_notice")
        (mail,) = mailoutbox
        assert (mail.to, mail.subject) == (["amel@example.org"], "Votre compte a été supprimé")
        assert "choisissez tout de suite" not in mail.body
        assert "quelqu’un connaissait votre mot de passe" in mail.body  # noqa: RUF001 - French
        assert not EventRow.objects.filter(type="account.notice").exists()

    @pytest.mark.parametrize("is_proved", [True, False])
    def test_goes_by_sms_to_a_number_that_was_proved(
        self, api: Api, amel: Member, at: Moment, monkeypatch: pytest.MonkeyPatch, *, is_proved: bool
    ) -> None:
        texts: list[tuple[str, str]] = []
        monkeypatch.setattr("backend.core.sms.deliver", lambda *, to, text: texts.append((to, text)))
        User.objects.filter(pk=amel.id).update(
            email=None, language="en", phone_verified_at=at.now if is_proved else None
        )
        assert delete(api, amel, password=PASSWORD).status == 204
        run_jobs("accounts.send_notice")
        said = "Callout: Your account was deleted. If it was not you, somebody knew your password: "
        assert texts == [("+213550123456", f"{said}change it wherever else you use it.")] * is_proved


NOTHING: dict[str, Any] = {
    "name": DELETED_NAME,
    "first_name": "",
    "last_name": "",
    "email": None,
    "email_verified_at": None,
    "phone_number": None,
    "phone_verified_at": None,
    "roles": [],
    "is_active": False,
    "is_verified": False,
    "bio": "",
    "city": "",
    "country": "",
    "address": "",
    "lat": None,
    "lng": None,
    "time_zone": "UTC",
    "language": "en",
    "hide_presence": False,
    "photo": "",
    "password": "!",
}


class TestProof:
    def test_wants_the_password_of_who_signed_in_earlier(self, api: Api, amel: Member) -> None:
        """Seen red without the proof: a stolen access token of up to fifteen minutes deleted the account."""
        before = everything()
        assert [delete(api, amel).code, api.as_(amel).delete("/me/", {}).code] == ["proof_required"] * 2
        assert delete(api, amel, password="wrong password").code == "proof_required"
        assert everything() == before

    def test_a_fresh_sign_in_is_proof_for_who_has_no_password(
        self, api: Api, at: Moment, member: Callable[..., Member]
    ) -> None:
        google = member(email="amel@example.org")
        ExternalIdentity.objects.create(
            user=google.user, issuer="https://accounts.google.com", subject="1", created_at=at.now
        )
        at.forward(minutes=5)
        assert delete(api, google, password="any").code == "proof_required"
        assert delete(api, google).code == "proof_required"
        at.forward(seconds=-1)
        assert api.as_(google).delete("/me/", {}).status == 204
        assert not ExternalIdentity.objects.exists()

    def test_slows_down_who_guesses(self, api: Api, amel: Member, monkeypatch: pytest.MonkeyPatch) -> None:
        changed = environment().model_copy(update={"rate_limits": True})
        monkeypatch.setattr("backend.accounts.services.delays.environment", lambda: changed)
        for _ in range(FREE_TRIES):
            assert delete(api, amel, password="wrong password").code == "proof_required"
        answer = delete(api, amel, password=PASSWORD)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
        assert User.objects.get().is_active

    def test_wants_a_code_where_two_factor_is_on(self, api: Api, amel: Member, at: Moment) -> None:
        Session.objects.update(created_at=at.now)
        secret = turned_on(api, amel, at)
        Session.objects.update(created_at=at.now - timedelta(minutes=5))
        before = everything()
        assert delete(api, amel, password=PASSWORD).code == "proof_required"
        assert delete(api, amel, otp=code(secret, at)).code == "proof_required"
        wrong = f"{(int(code(secret, at)) + 1) % 10**6:06}"
        assert delete(api, amel, password=PASSWORD, otp=wrong).code == "proof_required"
        assert everything() == before
        assert delete(api, amel, password=PASSWORD, otp=code(secret, at)).status == 204

    def test_two_factor_asks_who_has_just_signed_in_too(self, api: Api, amel: Member, at: Moment) -> None:
        Session.objects.update(created_at=at.now)
        secret = turned_on(api, amel, at)
        assert delete(api, amel).code == "proof_required"
        assert delete(api, amel, otp=secret["recovery_codes"][0]).status == 204


class TestObstacles:
    @pytest.fixture
    def in_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(personal_data, "_holders", dict(personal_data._holders))
        debt = Obstacle("open_escrow", "15.00 USD are held for task 7.")
        personal_data.holds("payments", obstacles=lambda user_id: [debt])

    def test_names_what_has_to_end_first(self, api: Api, amel: Member, in_use: None) -> None:
        before = everything()
        answer = delete(api, amel, password=PASSWORD)
        assert (answer.status, answer.code) == (409, "account_in_use")
        assert answer.body["obstacles"] == [{"code": "open_escrow", "detail": "15.00 USD are held for task 7."}]
        assert everything() == before

    def test_uses_up_no_code_in_vain(self, api: Api, amel: Member, at: Moment, in_use: None) -> None:
        Session.objects.update(created_at=at.now)
        secret = turned_on(api, amel, at)
        recovery = secret["recovery_codes"][0]
        assert delete(api, amel, password=PASSWORD, otp=recovery).code == "account_in_use"
        personal_data._holders.pop("payments")
        assert delete(api, amel, password=PASSWORD, otp=recovery).status == 204


class TestAfterwards:
    @pytest.fixture(autouse=True)
    def gone(self, api: Api, amel: Member) -> None:
        assert delete(api, amel, password=PASSWORD).status == 204

    @pytest.mark.parametrize("identifier", ["amel@example.org", "+213550123456", "amel"])
    def test_signing_in_is_like_an_unknown_account(
        self, api: Api, identifier: str, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        SignInDelay.objects.all().delete()
        tried = api.post("/auth/login/", {"identifier": identifier, "password": PASSWORD})
        unknown = api.post("/auth/login/", {"identifier": f"x{identifier[1:]}", "password": PASSWORD})
        assert tried.code == "invalid_credentials"
        assert {**tried.body, "request_id": ""} == {**unknown.body, "request_id": ""}

    def test_nobody_finds_them(self, api: Api, amel: Member) -> None:
        for path in ("/users/amel/", f"/users/~{amel.id}/", f"/users/by-id/{amel.id}/"):
            assert (api.get(path).status, api.get(path).code) == (404, "not_found")
        assert api.get("/users/").body["count"] == 0
        for asked in ({"username": "amel"}, {"email": "amel@example.org"}):
            assert api.get("/auth/availability/", **asked).body == {"is_available": True}

    def test_recovery_finds_nobody(self, api: Api, at: Moment) -> None:
        assert api.post("/auth/password/reset/", {"email": "amel@example.org"}).status in {200, 202, 204}

    def test_the_same_person_may_come_back_as_somebody_new(self, api: Api, amel: Member) -> None:
        answer = api.post("/auth/register/", form(username="amel", phone_number="+213550123456"))
        assert answer.status == 201, answer.body
        assert answer.body["user"]["id"] != amel.id
        assert (answer.body["user"]["email"], answer.body["user"]["username"]) == ("amel@example.org", "amel")
        new = api.with_token(answer.body["access"])
        assert new.get("/me/addresses/").body["count"] == 0

    def test_their_session_is_purged_a_day_later(self, at: Moment) -> None:
        forget(now=at.now + timedelta(days=1, seconds=1))
        assert not Session.objects.exists()
