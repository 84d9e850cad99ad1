"""Only our own tokens of the right kind are accepted, at every operation (RELIABILITY.md A1).

Seen red with two bugs planted: every algorithm for every key, and `typ` left unread, let five of them in.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from backend.config.api import api as callout_api
from backend.core import tokens
from backend.core.environment import Environment
from backend.core.openapi import operations
from tests.support.api import Answer, Api
from tests.support.forgeries import TOKEN_KEYS, claims_of, forgeries, run_out, sign
from tests.support.people import Member, make_member

pytestmark = pytest.mark.django_db

PROTECTED = [
    (operation.methods[0], re.sub(r"\{\w+\}", "1", path))
    for path, operation in operations(callout_api)
    if operation.auth_callbacks
]


@pytest.fixture(autouse=True)
def both_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A backend that signs with a pair and still knows a secret."""
    settings = Environment(token_keys=TOKEN_KEYS)
    monkeypatch.setattr(tokens, "environment", lambda: settings)
    tokens._verify_signature.cache_clear()
    yield
    tokens._verify_signature.cache_clear()


@pytest.fixture
def person() -> Member:
    return make_member("client")


def refusal(answer: Answer) -> tuple[int, Any]:
    """All of an answer that could tell one refusal from another."""
    return answer.status, {name: value for name, value in answer.body.items() if name != "request_id"}


class TestForgedTokens:
    @pytest.mark.parametrize(("method", "path"), PROTECTED)
    def test_none_is_accepted_and_all_get_one_answer(self, person: Member, method: str, path: str) -> None:
        found = {
            what: refusal(Api().with_token(token)._send(method, path, None))
            for what, token in forgeries(person.id, person.session.pk)
        }
        assert len(found) >= 30
        status, body = found["no token"]
        assert (status, body["code"]) == (401, "invalid_token")
        assert [what for what, answer in found.items() if answer != (status, body)] == []

    def test_one_that_has_run_out_says_so_and_no_more(self, person: Member) -> None:
        answers = [refusal(Api().with_token(token).get("/me/")) for _, token in run_out(person.id, person.session.pk)]
        assert [answer[0] for answer in answers] == [401, 401, 401]
        assert answers[0] == answers[1] == answers[2]

    def test_the_genuine_one_is_accepted(self, person: Member) -> None:
        """Or the others would be refused for a reason that nobody meant."""
        for kid in TOKEN_KEYS:
            token = sign(claims_of(person.id, person.session.pk), kid=kid)
            assert Api().with_token(token).get("/me/").body["id"] == person.id

    def test_a_fresh_one_of_a_machine_half_a_minute_ahead_is_accepted(self, person: Member) -> None:
        """T5. Red when the start of a token has the five seconds of its end: seen."""
        soon = int(time.time()) + 28
        token = sign(claims_of(person.id, person.session.pk, iat=soon, nbf=soon, exp=soon + 900))
        assert Api().with_token(token).get("/me/").status == 200

    def test_one_of_somebody_who_is_gone_is_refused(self, person: Member) -> None:
        token = sign(claims_of(person.id, person.session.pk))
        other = make_member("client")
        foreign = sign(claims_of(other.id, person.session.pk))
        nobody = sign(claims_of(10**9, 10**9))
        person.user.is_active = False
        person.user.save()
        answers = [refusal(Api().with_token(given).get("/me/")) for given in (token, foreign, nobody, "abc.def.ghi")]
        assert answers[0][0] == 401
        assert [answer for answer in answers if answer != answers[0]] == []
