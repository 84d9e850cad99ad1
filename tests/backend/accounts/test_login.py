from collections.abc import Callable

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import RefreshToken, Session, User
from backend.accounts.services.passwords import hash_password
from backend.core.passwords import Argon2id
from tests.backend.accounts.support import PASSWORD, everything
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db


@pytest.fixture
def amel(at: Moment, member: Callable[..., Member]) -> Member:
    return member(
        "client",
        "assistant",
        username="Amel",
        email="Amel@example.org",
        phone_number="+213550123456",
        password=hash_password(PASSWORD),
    )


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every hash that is computed, by what asked for it."""
    done: list[str] = []
    for name in ("encode", "verify"):
        original = getattr(Argon2id, name)

        def counted(self: Argon2id, *args: str, name: str = name, original: Callable[..., object] = original) -> object:
            done.append(name)
            return original(self, *args)

        monkeypatch.setattr(Argon2id, name, counted)
    return done


class TestLogin:
    @pytest.mark.parametrize(
        "identifier",
        ["amel@example.org", " AMEL@EXAMPLE.ORG ", "0550 12 34 56", "+213550123456", "amel", "AMEL"],
    )
    def test_takes_any_of_the_three_identifiers(self, api: Api, amel: Member, identifier: str) -> None:
        answer = api.post("/auth/login/", {"identifier": identifier, "password": PASSWORD})
        assert answer.status == 200
        assert answer.body["user"]["id"] == amel.id

    def test_opens_a_session_of_its_own(
        self, api: Api, amel: Member, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        phone = api.with_headers(User_Agent="x" * 400)
        with django_assert_num_queries(6):  # person; person held, session, token; a savepoint
            answer = phone.post("/auth/login/", {"identifier": "amel", "password": PASSWORD})
        session = Session.objects.exclude(pk=amel.session.pk).get()
        assert (session.user_id, session.agent, session.created_at) == (amel.id, "x" * 300, at.now)
        token = RefreshToken.objects.get()
        assert (token.session_id, token.parent_id, token.expires_at) == (session.pk, None, session.expires_at)
        assert api.with_token(answer.body["access"]).get("/me/").status == 200

    def test_narrows_to_an_account_that_holds_one_of_the_roles(self, api: Api, amel: Member) -> None:
        asked = {"identifier": "amel", "password": PASSWORD}
        assert api.post("/auth/login/", {**asked, "roles": ["contractor", "assistant"]}).status == 200
        refused = api.post("/auth/login/", {**asked, "roles": ["contractor", "manager"]})
        assert (refused.status, refused.code) == (401, "invalid_credentials")

    def test_answers_and_costs_the_same_whoever_fails(
        self, api: Api, amel: Member, hashes: list[str], django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        inactive = User.objects.get(pk=amel.id)
        inactive.pk, inactive.username, inactive.email, inactive.phone_number = None, "gone", "gone@e.org", None
        inactive.is_active = False
        inactive.save()
        without = User.objects.get(pk=amel.id)
        without.pk, without.username, without.email, without.phone_number = None, "google", "google@e.org", None
        without.set_unusable_password()
        without.save()
        hashes.clear()
        before = everything()
        answers = []
        for asked in (
            {"identifier": "amel", "password": "a wrong one"},
            {"identifier": "nobody", "password": PASSWORD},
            {"identifier": "nobody@example.org", "password": PASSWORD},
            {"identifier": "0550999999", "password": PASSWORD},
            {"identifier": "gone", "password": PASSWORD},
            {"identifier": "google", "password": PASSWORD},
            {"identifier": "amel", "password": PASSWORD, "roles": ["admin"]},
            {"identifier": "\U0001f600", "password": PASSWORD},
        ):
            with django_assert_num_queries(1):
                answer = api.with_headers(X_Request_ID="same").post("/auth/login/", asked)
            answers.append((answer.status, answer.body, answer.headers))
        assert answers == [answers[0]] * 8
        assert answers[0][0] == 401
        assert answers[0][1]["code"] == "invalid_credentials"
        assert hashes == ["verify"] * 8
        assert everything() == before

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({"identifier": "amel"}, {"body.password": "missing"}),
            ({"password": "x"}, {"body.identifier": "missing"}),
            ({"identifier": "", "password": "x"}, {"body.identifier": "string_too_short"}),
            ({"identifier": "a" * 255, "password": "x"}, {"body.identifier": "string_too_long"}),
            ({"identifier": "amel\0", "password": "x"}, {"body.identifier": "value_error"}),
            ({"identifier": "amel", "password": "x" * 129}, {"body.password": "string_too_long"}),
            ({"identifier": "amel", "password": ["x"]}, {"body.password": "string_type"}),
            ({"identifier": "amel", "password": "x", "roles": []}, {"body.roles": "too_short"}),
            ({"identifier": "amel", "password": "x", "user_id": 1}, {"body.user_id": "unknown_field"}),
        ],
    )
    def test_refuses_what_is_not_valid(
        self, api: Api, amel: Member, body: dict[str, object], wrong: dict[str, str]
    ) -> None:
        before = everything()
        answer = api.post("/auth/login/", body)
        assert (answer.status, answer.fields) == (422, wrong)
        assert everything() == before

    def test_does_not_find_a_number_that_signs_nobody_in(self, api: Api, amel: Member) -> None:
        User.objects.filter(pk=amel.id).update(phone_signs_in=False)
        assert api.post("/auth/login/", {"identifier": "0550123456", "password": PASSWORD}).status == 401
