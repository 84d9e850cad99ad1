"""Growing delays for who tries passwords (RELIABILITY.md A6)."""

import re
from collections.abc import Callable

import pytest
from django.core.mail import EmailMessage

from backend.accounts.models import SignInDelay, User
from backend.accounts.services import delays
from backend.accounts.services.passwords import hash_password
from backend.core.environment import environment
from backend.core.request_context import caused_by
from tests.backend.accounts.support import PASSWORD
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]
EMAIL = "amel@example.org"


@pytest.fixture(autouse=True)
def _limited(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = environment().model_copy(update={"rate_limits": True})
    monkeypatch.setattr("backend.accounts.services.delays.environment", lambda: changed)


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    return member(email=EMAIL, username="amel", password=hash_password(PASSWORD))


def sign_in(api: Api, password: str = "wrong", identifier: str = EMAIL) -> Answer:
    return api.post("/auth/login/", {"identifier": identifier, "password": password})


class TestSignIn:
    def test_judges_five_and_then_makes_wait_longer_each_time(self, api: Api, amel: Member, at: Moment) -> None:
        assert [sign_in(api, identifier=one).status for one in (EMAIL, "amel", "AMEL@example.org", EMAIL, "Amel")] == (
            [401] * 5
        )
        for wait in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
            for password in ("wrong", PASSWORD):
                refused = sign_in(api, password)
                assert (refused.status, refused.headers["Retry-After"]) == (429, str(wait))
            at.forward(seconds=wait - 1)
            assert sign_in(api, PASSWORD).headers["Retry-After"] == "1"
            at.forward(seconds=1)
            assert sign_in(api).status == 401

    def test_starts_anew_when_the_password_was_right(self, api: Api, amel: Member) -> None:
        for _ in range(3):
            assert [sign_in(api).status for _ in range(4)] == [401] * 4
            assert sign_in(api, PASSWORD).status == 200

    def test_starts_anew_a_quarter_of_an_hour_later(self, api: Api, amel: Member, at: Moment) -> None:
        for _ in range(3):
            assert [sign_in(api).status for _ in range(4)] == [401] * 4
            at.forward(minutes=15)

    def test_lets_the_hundredth_wait_a_day_and_no_longer(self, api: Api, amel: Member, at: Moment) -> None:
        sign_in(api)
        SignInDelay.objects.update(failures=98)
        assert sign_in(api).status == 401
        at.forward(hours=1)
        assert sign_in(api).status == 401
        assert sign_in(api, PASSWORD).headers["Retry-After"] == "86400"
        at.forward(days=1)
        assert sign_in(api, PASSWORD).status == 200

    def test_waits_no_longer_for_guesses_during_that_day_or_after_it(self, api: Api, amel: Member, at: Moment) -> None:
        """Seen red with the count kept after the day, and with refused tries counted: one guess made it another day."""
        sign_in(api)
        SignInDelay.objects.update(failures=99)
        assert sign_in(api).status == 401
        at.forward(hours=23)
        assert sign_in(api).headers["Retry-After"] == "3600"
        at.forward(hours=1)
        assert [sign_in(api).status for _ in range(5)] == [401] * 5
        assert sign_in(api, PASSWORD).headers["Retry-After"] == "30"
        at.forward(seconds=30)
        assert sign_in(api, PASSWORD).status == 200

    @pytest.mark.parametrize("failures", [6, 99])
    def test_lets_in_whoever_brings_a_code_while_strangers_go_on(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage], failures: int
    ) -> None:
        """Seen red without forgiving, and with the device left unknown: the strangers' next five tries shut it out."""
        tablet = api.with_headers(User_Agent="A new tablet")
        sign_in(api)
        SignInDelay.objects.filter(key=delays._key(f"account:{amel.id}")).update(failures=failures)
        sign_in(api)
        assert sign_in(tablet, PASSWORD).status == 429
        assert api.post("/auth/password/reset/", {"email": EMAIL}).status == 202
        run_jobs("accounts.send_code")
        (code,) = re.findall(r"\b[0-9]{6}\b", str(mailoutbox[0].body))
        new = "another battery staple"
        body = {"email": EMAIL, "code": code, "new_password": new}
        assert tablet.post("/auth/password/reset/confirm/", body).status == 204
        assert [sign_in(api).status for _ in range(6)] == [401] * 5 + [429]
        assert sign_in(tablet, new).status == 200
        assert sign_in(api, new).status == 429

    def test_gives_the_device_that_brought_a_code_five_tries_as_well(self, api: Api, amel: Member, at: Moment) -> None:
        tablet = api.with_headers(User_Agent="A new tablet")
        with caused_by("test", client_address="127.0.0.1"):
            delays.forgive_account(amel.user, device_agent="A new tablet", now=at.now)
        assert [sign_in(tablet).status for _ in range(6)] == [401] * 5 + [429]
        assert sign_in(api, PASSWORD).status == 200

    def test_lets_a_known_device_in_meanwhile(self, api: Api, amel: Member) -> None:
        phone = api.with_headers(User_Agent="Phone/1")
        assert sign_in(phone, PASSWORD).status == 200
        for _ in range(6):
            sign_in(api)
        assert sign_in(api, PASSWORD).status == 429
        assert sign_in(phone, PASSWORD).status == 200
        assert [sign_in(phone).status for _ in range(6)] == [401] * 5 + [429]

    def test_tells_nothing_of_accounts_that_are_not_there(self, api: Api, amel: Member) -> None:
        seen = [
            [(answer.status, answer.body["code"], answer.headers.get("Retry-After")) for answer in answers]
            for answers in (
                [sign_in(api, identifier=identifier) for _ in range(7)] for identifier in (EMAIL, "none@example.org")
            )
        ]
        assert seen[0] == seen[1]

    def test_makes_a_network_wait_that_tries_many_accounts(self, api: Api, amel: Member) -> None:
        statuses = [sign_in(api, identifier=f"n{number}@example.org").status for number in range(40)]
        assert statuses == [401] * 30 + [429] * 10
        assert sign_in(api, PASSWORD).status == 429

    def test_keeps_nothing_of_what_was_typed(self, api: Api, amel: Member) -> None:
        sign_in(api, identifier="my secret password")
        assert "secret" not in str(list(SignInDelay.objects.values()))


class TestProof:
    def test_makes_wait_who_tries_passwords_with_a_stolen_token(self, api: Api, amel: Member, at: Moment) -> None:
        body = {"password": "wrong", "new_password": "another battery staple"}
        assert [api.as_(amel).post("/auth/password/change/", body).status for _ in range(6)] == [403] * 5 + [429]
        assert api.as_(amel).patch("/me/", {"email": "new@example.org", "current_password": PASSWORD}).status == 429
        at.forward(seconds=30)
        assert api.as_(amel).patch("/me/", {"email": "new@example.org", "current_password": PASSWORD}).status == 200
        assert User.objects.get(pk=amel.id).pending_email == "new@example.org"
