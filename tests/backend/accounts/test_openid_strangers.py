"""What a sign-in elsewhere tells of accounts here: nothing to who has not proved an address, and to its owner no more
than what becomes of them (A7)."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import ExternalIdentity, SecondFactor, User
from backend.accounts.services.passwords import hash_password
from backend.core.passwords import Argon2id
from tests.backend.accounts.support import PASSWORD
from tests.backend.accounts.test_openid import ISSUER, Issuer, claims, issuer, sign_in, token
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

__all__ = ["issuer"]
KINDS: dict[str, dict[str, Any]] = {
    "nobody": {},
    "wanted": {"pending": True},
    "unproved, with a password": {"email": True, "password": True},
    "unproved, without": {"email": True},
    "proved by a click from elsewhere": {"email": True, "proved": True, "email_proved_apart": True},
    "proved, with a password": {"email": True, "proved": True, "password": True},
    "proved, without": {"email": True, "proved": True},
    "beginning a second factor": {"email": True, "proved": True, "factor": False},
    "with a second factor": {"email": True, "proved": True, "factor": True},
    "linked, with a second factor": {"email": True, "proved": True, "factor": True, "linked": True},
    "out of use": {"email": True, "proved": True, "is_active": False},
    "out of use, with a second factor": {"email": True, "proved": True, "is_active": False, "factor": True},
    "out of use, unproved": {"email": True, "is_active": False, "password": True},
}
ALIKE = (
    ({"nobody", "wanted"}, 200, None),
    ({"unproved, with a password", "unproved, without", "proved by a click from elsewhere"}, 200, None),
    ({"proved, with a password", "proved, without", "beginning a second factor"}, 200, None),
    ({"with a second factor", "linked, with a second factor"}, 401, "otp_required"),
    ({"out of use", "out of use, with a second factor", "out of use, unproved"}, 401, "invalid_credentials"),
)
"""Whose answers and costs are the same: those groups differ because other things become of them."""


@pytest.fixture(scope="module")
def encoded() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def addresses(at: Moment, member: Callable[..., Member], encoded: str) -> dict[str, str]:
    """The e-mail address of an account of each kind; of one length, since answers show them."""
    found = {}
    for number, (kind, made) in enumerate(KINDS.items()):
        address = found[kind] = f"kind{number:02}@example.org"
        one = member(
            email=address if made.get("email") else f"else{number:02}@example.org",
            username=f"kind{number:02}",
            email_verified_at=at.now if made.get("proved") else None,
            email_proved_apart=made.get("email_proved_apart", False),
            is_active=made.get("is_active", True),
            password=encoded if made.get("password") else "!",
            pending_email=address if made.get("pending") else None,
            pending_since=at.now if made.get("pending") else None,
        )
        if "factor" in made:
            confirmed_at = at.now if made["factor"] else None
            SecondFactor.objects.create(user=one.user, sealed_secret=b"x", created_at=at.now, confirmed_at=confirmed_at)
        if made.get("linked"):
            ExternalIdentity.objects.create(user=one.user, issuer=ISSUER, subject=address, created_at=at.now)
    return found


class Witness:
    """Signs in with tokens, and takes each back: what was answered, and what it cost."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self._api = api.with_headers(X_Request_ID="same")
        self._hashes = 0
        for name in ("encode", "verify"):
            monkeypatch.setattr(Argon2id, name, self._counted(getattr(Argon2id, name)))

    def _counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            self._hashes += 1
            return original(*given)

        return counted

    def __call__(self, given: str, **fields: Any) -> tuple[Any, ...]:
        self._hashes = 0
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            answer = sign_in(self._api, given, **fields)
            transaction.set_rollback(True)
        statements = [re.sub(r"'[^']*'|[^A-Za-z_]", "", query["sql"])[:120] for query in queries]
        body = answer.body if answer.status != 200 else sorted(answer.body["user"])
        headers = answer.headers if answer.status != 200 else sorted(answer.headers)
        return answer.status, body, headers, statements, self._hashes


@pytest.fixture
def witness(api: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Witness:
    return Witness(api, monkeypatch)


class TestStrangers:
    def test_learn_nothing_by_tokens_that_prove_no_address(
        self, witness: Witness, at: Moment, addresses: dict[str, str]
    ) -> None:
        """Seen red when an address was looked for before the token's claims were all judged."""
        now = int(at.now.timestamp())
        for wrong in ({"email_verified": False}, {"exp": now - 31}, {"aud": "another.apps.example"}, {"nonce": "x"}):
            seen = [
                witness(token(claims(at, sub=addresses[kind], email=addresses[kind], **wrong)), nonce="n")
                for kind in ("nobody", "unproved, with a password", "linked, with a second factor")
            ]
            assert seen == [seen[0]] * 3, wrong
            assert (seen[0][0], seen[0][1]["code"], seen[0][4]) == (401, "invalid_token", 0)
            # The request's own transaction and this test's, and nothing that was asked.
            assert [one for one in seen[0][3] if not one.startswith(("SAVEPOINT", "ROLLBACK", "RELEASE"))] == []


class TestOwners:
    def test_are_answered_alike_where_the_same_becomes_of_them(
        self, witness: Witness, at: Moment, addresses: dict[str, str]
    ) -> None:
        """To the statement, and without a hash. Seen red when an account out of use asked for its second factor first,
        and when the address that another wants was looked for."""
        seen = {kind: witness(token(claims(at, sub=address, email=address))) for kind, address in addresses.items()}
        assert set(KINDS) == {kind for kinds, _, _ in ALIKE for kind in kinds}
        for kinds, status, code in ALIKE:
            answers = [seen[kind] for kind in kinds]
            assert [answer[:3] for answer in answers] == [answers[0][:3]] * len(kinds), kinds
            assert (answers[0][0], answers[0][1]["code"] if code else None) == (status, code)
            assert {answer[4] for answer in answers} == {0}
            if code is None:
                assert [answer[3] for answer in answers] == [answers[0][3]] * len(kinds), kinds
        signed_in = [answer[:3] for answer in seen.values() if answer[0] == 200]
        assert signed_in == [signed_in[0]] * 8
        assert User.objects.filter(email__startswith="kind").count() == len(KINDS) - 2
