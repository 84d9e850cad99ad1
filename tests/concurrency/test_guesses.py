"""Codes and passwords guessed by many at the same moment (RELIABILITY.md A5, A6).

Seen red with these bugs planted: a code's tries counted without their limit (the constraint then answers), a password
judged while the next try has to wait.
"""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from backend.accounts.models import Code, SignInDelay, User
from backend.accounts.services import codes, delays
from backend.accounts.services.passwords import hash_password
from backend.core.environment import environment
from tests.backend.accounts.support import PASSWORD
from tests.concurrency.test_accounts_races import crowd, nobody_is_left
from tests.support.api import Api
from tests.support.people import Member, make_member

__all__ = ["nobody_is_left"]

EMAIL = "guessed@example.org"


def with_code() -> tuple[Member, Code, str]:
    now = datetime.now(UTC)
    person = make_member(email=EMAIL)
    pk = uuid.uuid4()
    right = codes._code(pk)
    row = Code.objects.create(
        id=pk,
        purpose="verify_email",
        address=EMAIL,
        asked_from="127.0.0.1",
        created_at=now,
        user=person.user,
        digest=codes._digest(pk, right),
        expires_at=now + timedelta(minutes=10),
    )
    return person, row, right


def verify(code: str) -> int:
    return Api().post("/auth/email/verify/", {"email": EMAIL, "code": code}).status


class TestGuessedCodes:
    def test_five_of_many_wrong_ones_are_judged(self) -> None:
        _, row, right = with_code()
        wrong = f"{(int(right) + 1) % 10**6:06}"
        assert crowd(lambda _: verify(wrong)) == [422] * 20
        row.refresh_from_db()
        assert row.tries == 5
        assert verify(right) == 422

    def test_one_of_many_right_ones_succeeds(self) -> None:
        person, row, right = with_code()
        assert Counter(crowd(lambda _: verify(right))) == {200: 1, 422: 19}
        row.refresh_from_db()
        assert row.used_at is not None
        assert User.objects.get(pk=person.id).version == person.user.version + 1


class TestGuessedPasswords:
    def test_five_of_many_are_judged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        changed = environment().model_copy(update={"rate_limits": True})
        monkeypatch.setattr(delays, "environment", lambda: changed)
        make_member(email=EMAIL, password=hash_password(PASSWORD))

        def guess(number: int) -> int:
            identifier = EMAIL if number % 2 else EMAIL.upper()
            return Api().post("/auth/login/", {"identifier": identifier, "password": "wrong"}).status

        assert Counter(crowd(guess)) == {401: 5, 429: 15}
        assert sorted(SignInDelay.objects.values_list("failures", flat=True)) == [5, 5]
