"""Seen red with the bug planted: a refresh token that is used again ends nothing."""

from datetime import timedelta
from typing import Any

import jwt
import msgspec
import pytest
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import RefreshToken, Session, User
from backend.core import tokens
from backend.core.models import EventRow
from shared_contracts.tokens import ACCESS_AUDIENCE, ACCESS_TYPE, REFRESH_AUDIENCE, REFRESH_TYPE
from tests.backend.accounts.support import everything, form
from tests.conftest import Moment
from tests.support.api import Answer, Api

pytestmark = pytest.mark.django_db

PHONE = "Phone/1"


@pytest.fixture
def phone(api: Api) -> Api:
    return api.with_headers(User_Agent=PHONE)


@pytest.fixture
def first(phone: Api, at: Moment) -> dict[str, Any]:
    """The tokens of a session that was just opened."""
    body: dict[str, Any] = phone.post("/auth/register/", form()).body
    return body


def refresh(api: Api, token: str) -> Answer:
    return api.post("/auth/token/refresh/", {"refresh": token})


def unverified(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


class TestRefresh:
    def test_gives_the_next_pair(
        self, phone: Api, first: dict[str, Any], at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        at.forward(minutes=20)
        assert phone.with_token(first["access"]).get("/me/").status == 401
        with django_assert_num_queries(6):  # savepoint: token with session and person, insert, read, last seen
            answer = refresh(phone, first["refresh"])
        assert answer.status == 200
        assert answer.body["user"] == first["user"]
        assert phone.with_token(answer.body["access"]).get("/me/").status == 200
        assert Session.objects.get().last_seen_at == at.now
        old, new = unverified(first["refresh"]), unverified(answer.body["refresh"])
        assert (new["sub"], new["sid"], new["exp"]) == (old["sub"], old["sid"], old["exp"])
        assert new["jti"] != old["jti"]

    def test_goes_on_as_a_chain_until_the_sessions_absolute_end(
        self, phone: Api, first: dict[str, Any], at: Moment
    ) -> None:
        token = first["refresh"]
        for _ in range(29):
            at.forward(days=1)
            token = refresh(phone, token).body["refresh"]
        at.forward(days=1, seconds=6)
        assert refresh(phone, token).code == "invalid_token"
        assert RefreshToken.objects.count() == 30

    def test_gives_the_roles_of_this_moment(self, phone: Api, first: dict[str, Any], at: Moment) -> None:
        User.objects.update(roles=["client", "crew"])
        access = refresh(phone, first["refresh"]).body["access"]
        assert unverified(access)["roles"] == ["client", "crew"]

    def test_gives_the_same_device_the_same_successor_for_ten_seconds(
        self, phone: Api, first: dict[str, Any], at: Moment
    ) -> None:
        successor = refresh(phone, first["refresh"]).body["refresh"]
        at.forward(seconds=10)
        again = refresh(phone, first["refresh"])
        assert (again.status, again.body["refresh"]) == (200, successor)
        assert RefreshToken.objects.count() == 2
        assert refresh(phone, successor).status == 200

    @pytest.mark.parametrize(("seconds", "agent"), [(10.001, PHONE), (3600, PHONE), (0, "Thief/1"), (0, "")])
    def test_ends_the_session_when_a_token_is_used_again(
        self, phone: Api, first: dict[str, Any], at: Moment, seconds: float, agent: str
    ) -> None:
        second = refresh(phone, first["refresh"]).body
        at.forward(seconds=seconds)
        answer = refresh(phone.with_headers(User_Agent=agent), first["refresh"])
        assert (answer.status, answer.code) == (401, "invalid_token")
        session = Session.objects.get()
        assert (session.ended_at, session.end_reason) == (at.now, "refresh_reused")
        event = EventRow.objects.get(type="session.ended")
        assert event.room == f"user:{session.user_id}"
        assert msgspec.json.decode(event.data) == {"session_id": session.pk, "reason": "refresh_reused"}
        assert phone.with_token(second["access"]).get("/me/").code == "invalid_token"
        assert refresh(phone, second["refresh"]).code == "invalid_token"
        assert EventRow.objects.filter(type="session.ended").count() == 1

    def test_takes_the_address_for_part_of_the_device(self, phone: Api, first: dict[str, Any], at: Moment) -> None:
        refresh(phone, first["refresh"])
        elsewhere = phone.client.post(
            "/api/v1/auth/token/refresh/",
            {"refresh": first["refresh"]},
            content_type="application/json",
            headers={"User-Agent": PHONE},
            REMOTE_ADDR="203.0.113.9",
        )
        assert elsewhere.status_code == 401
        assert Session.objects.get().end_reason == "refresh_reused"


class TestRefreshRefuses:
    def test_an_ended_session(self, phone: Api, first: dict[str, Any], at: Moment) -> None:
        phone.with_token(first["access"]).post("/auth/logout/")
        before = everything()
        assert refresh(phone, first["refresh"]).code == "invalid_token"
        assert everything() == before

    def test_an_inactive_person(self, phone: Api, first: dict[str, Any], at: Moment) -> None:
        User.objects.update(is_active=False)
        before = everything()
        assert refresh(phone, first["refresh"]).code == "invalid_token"
        assert everything() == before

    def test_a_session_that_ran_out_before_its_token(self, phone: Api, first: dict[str, Any], at: Moment) -> None:
        Session.objects.update(expires_at=at.now)
        before = everything()
        assert refresh(phone, first["refresh"]).code == "invalid_token"
        assert everything() == before

    @pytest.mark.parametrize(
        "changes",
        [
            {"sub": "999999"},
            {"sub": "01"},
            {"sub": ""},
            {"sub": "1 "},
            {"sub": "-1"},
            {"sid": 999999},
            {"sid": "1"},
            {"sid": None},
            {"jti": "0" * 32},
            {"jti": "zz"},
            {"jti": ""},
            {"sid": True},
        ],
    )
    def test_claims_that_name_another(
        self, phone: Api, first: dict[str, Any], at: Moment, changes: dict[str, Any]
    ) -> None:
        right = {name: unverified(first["refresh"])[name] for name in ("sub", "sid", "jti")}
        before = everything()
        assert refresh(phone, self._signed({**right, **changes}, at)).code == "invalid_token"
        assert everything() == before

    def test_the_tokens_of_another_session(self, phone: Api, first: dict[str, Any], at: Moment) -> None:
        other = phone.post("/auth/register/", form(email="b@example.org")).body
        claims = {name: unverified(other["refresh"])[name] for name in ("sub", "sid")}
        claims["jti"] = unverified(first["refresh"])["jti"]
        before = everything()
        assert refresh(phone, self._signed(claims, at)).code == "invalid_token"
        assert everything() == before

    def test_an_access_token(self, phone: Api, first: dict[str, Any]) -> None:
        before = everything()
        answer = refresh(phone, first["access"])
        assert (answer.status, answer.code) == (401, "invalid_token")
        assert everything() == before

    def test_to_take_a_refresh_token_for_an_access_token(self, phone: Api, first: dict[str, Any]) -> None:
        answer = phone.with_token(first["refresh"]).get("/me/")
        assert (answer.status, answer.code) == (401, "invalid_token")

    @pytest.mark.parametrize(
        ("token_type", "audience"),
        [(ACCESS_TYPE, REFRESH_AUDIENCE), (REFRESH_TYPE, ACCESS_AUDIENCE), ("JWT", REFRESH_AUDIENCE)],
    )
    def test_the_right_claims_in_the_wrong_kind_of_token(
        self, phone: Api, first: dict[str, Any], at: Moment, token_type: str, audience: str
    ) -> None:
        right = {name: unverified(first["refresh"])[name] for name in ("sub", "sid", "jti")}
        before = everything()
        token = self._signed(right, at, token_type=token_type, audience=audience)
        assert refresh(phone, token).code == "invalid_token"
        assert everything() == before
        assert refresh(phone, self._signed(right, at)).status == 200

    @pytest.mark.parametrize("token", ["x", "a.b.c", "é.é.é", "." * 4096, "eyJhbGciOiJub25lIn0.e30."])
    def test_what_is_no_token(self, phone: Api, first: dict[str, Any], token: str) -> None:
        before = everything()
        assert refresh(phone, token).code == "invalid_token"
        assert everything() == before

    def test_a_token_that_was_tampered_with(self, phone: Api, first: dict[str, Any]) -> None:
        head, body, signature = first["refresh"].split(".")
        before = everything()
        for token in (f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", f"{head}.{body}x.{signature}"):
            assert refresh(phone, token).code == "invalid_token"
        assert everything() == before

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({}, {"body.refresh": "missing"}),
            ({"refresh": ""}, {"body.refresh": "string_too_short"}),
            ({"refresh": "x" * 4097}, {"body.refresh": "string_too_long"}),
            ({"refresh": 1}, {"body.refresh": "string_type"}),
            ({"refresh": "x", "session_id": 1}, {"body.session_id": "unknown_field"}),
        ],
    )
    def test_what_is_not_valid(
        self, phone: Api, first: dict[str, Any], body: dict[str, Any], wrong: dict[str, str]
    ) -> None:
        before = everything()
        answer = phone.post("/auth/token/refresh/", body)
        assert (answer.status, answer.fields) == (422, wrong)
        assert everything() == before

    @staticmethod
    def _signed(
        claims: dict[str, Any], at: Moment, *, token_type: str = REFRESH_TYPE, audience: str = REFRESH_AUDIENCE
    ) -> str:
        return tokens.mint(
            token_type=token_type, audience=audience, claims=claims, issued_at=at.now, lifetime=timedelta(days=1)
        )
