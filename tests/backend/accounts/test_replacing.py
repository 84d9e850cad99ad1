"""The whole profile in one go: what is left out returns to what it is in a new account."""

from collections.abc import Callable
from typing import Any

import pytest

from backend.accounts.models import User
from backend.accounts.services.passwords import hash_password
from tests.backend.accounts.support import PASSWORD, everything
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

WHOLE: dict[str, Any] = {
    "name": "Amel Benali",
    "email": "amel@example.org",
    "phone_number": "+213550123456",
    "username": "amel-b",
    "bio": "Nights only.",
    "city": "Oran",
    "country": "FR",
    "address": "1 rue Y",
    "location": {"lat": -36.5, "lng": 179.25},
    "time_zone": "Africa/Algiers",
    "language": "fr",
    "hide_presence": True,
}


@pytest.fixture
def me(at: Moment, member: Callable[..., Member]) -> Member:
    """Signed in ten minutes ago."""
    me = member(
        username="amel",
        name="Amel Haddad",
        email="amel@example.org",
        phone_number="+213550123456",
        password=hash_password(PASSWORD),
        bio="Old",
        city="Algiers",
        country="DZ",
        lat=36.75,
        lng=3.05,
        language="ar",
        time_zone="Africa/Algiers",
        is_verified=True,
    )
    at.forward(minutes=10)
    return me


class TestReplaceMe:
    def test_takes_every_field(self, api: Api, me: Member) -> None:
        answer = api.as_(me).put("/me/", WHOLE)
        assert (answer.status, answer.headers["ETag"]) == (200, '"2"')
        rest = {"first_name": "Amel", "last_name": "Benali", "is_verified": True, "roles": ["client"], "id": me.id}
        assert {**answer.body, **WHOLE, **rest} == answer.body

    def test_what_is_left_out_returns_to_its_default(self, api: Api, me: Member) -> None:
        answer = api.as_(me).put("/me/", {"name": "Amel", "email": "amel@example.org", "current_password": PASSWORD})
        assert answer.status == 200, answer.body
        empty = {"bio": "", "city": "", "country": "", "address": "", "location": None, "phone_number": None}
        kept = {"username": "amel", "email": "amel@example.org", "first_name": "Amel", "last_name": ""}
        defaults = {"time_zone": "UTC", "language": "en", "hide_presence": False}
        assert {**answer.body, **empty, **kept, **defaults} == answer.body

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"name": "Amel", "email": "amel@example.org"}, 403, "proof_required"),  # the number would go
            ({"name": "Amel", "current_password": PASSWORD}, 422, "validation_failed"),  # nothing would be left
            ({"email": "amel@example.org", "phone_number": "+213550123456"}, 422, "validation_failed"),
            ({**WHOLE, "name": None}, 422, "validation_failed"),
            ({**WHOLE, "roles": ["admin"]}, 422, "validation_failed"),
        ],
    )
    def test_refuses(self, api: Api, me: Member, body: dict[str, Any], status: int, code: str) -> None:
        before = User.objects.values().get()
        answer = api.as_(me).put("/me/", body)
        assert (answer.status, answer.code) == (status, code)
        assert User.objects.values().get() == before

    def test_holds_only_for_the_version_that_was_read(self, api: Api, me: Member) -> None:
        before = everything()
        assert api.as_(me).with_headers(If_Match='"2"').put("/me/", WHOLE).code == "precondition_failed"
        assert everything() == before
        assert api.as_(me).with_headers(If_Match='"1"').put("/me/", WHOLE).status == 200
