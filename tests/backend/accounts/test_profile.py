from collections.abc import Callable
from typing import Any

import pytest
import redis
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import User
from backend.core import live
from backend.core.environment import environment
from backend.core.models import AuditRow, EventRow
from backend.core.redis_link import RedisLink
from shared_contracts.redis_keys import last_seen, presence
from tests.backend.accounts.support import everything
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]


@pytest.fixture
def me(at: Moment, member: MakeMember) -> Member:
    return member(
        username="amel", name="Amel Haddad", email="amel@example.org", phone_number="+213550123456", is_verified=True
    )


class TestReadMe:
    def test_gives_my_own_profile(
        self, api: Api, me: Member, member: MakeMember, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        member()
        with django_assert_num_queries(2):  # who asks, the row
            answer = api.as_(me).get("/me/")
        assert (answer.status, answer.headers["ETag"]) == (200, '"1"')
        assert answer.body == {
            "id": me.id,
            "username": "amel",
            "name": "Amel Haddad",
            "first_name": "Amel",
            "last_name": "Haddad",
            "email": "amel@example.org",
            "phone_number": "+213550123456",
            "roles": ["client"],
            "bio": "",
            "city": "",
            "country": "",
            "address": "",
            "location": None,
            "time_zone": "UTC",
            "language": "en",
            "hide_presence": False,
            "photo": None,
            "is_verified": True,
            "pending_email": None,
            "pending_phone_number": None,
            "created_at": "2030-05-15T09:30:00Z",
        }

    def test_refuses_who_is_not_signed_in(self, api: Api, db: None) -> None:
        assert api.get("/me/").code == "not_authenticated"


class TestUpdateMe:
    def test_changes_what_was_given_and_nothing_else(
        self, api: Api, me: Member, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        changes = {
            "bio": "Drives at night.\nAnd by day.",
            "city": "Oran",
            "country": "fr",
            "address": "1 rue Y",
            "location": {"lat": -36.5, "lng": 179.25},
            "time_zone": "Africa/Algiers",
            "language": "fr",
            "hide_presence": True,
            "username": "Amel.H",
        }
        at.forward(minutes=1)
        before = api.as_(me).get("/me/").body
        # Who asks; the row, its change, the audit, the word to the sidecar, and to Redis; two savepoints.
        with django_assert_num_queries(12):
            answer = api.as_(me).patch("/me/", changes)
        assert EventRow.objects.filter(room=f"user:{me.id}", type="access.changed").count() == 1
        assert (answer.status, answer.headers["ETag"]) == (200, '"2"')
        assert answer.body == {**before, **changes, "country": "FR"}
        assert api.as_(me).get("/me/").body == answer.body
        row = User.objects.get(pk=me.id)
        assert (row.version, row.updated_at) == (2, at.now)
        audit = AuditRow.objects.get(action="accounts.profile_changed")
        assert audit.actor_id == me.id
        assert audit.changes == {
            "fields": sorted([*changes.keys() - {"location"}, "lat", "lng"]),
        }

    def test_lets_nothing_say_when_somebody_was_there_who_hides_it(
        self, api: Api, me: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also while they are away, when no node of the sidecar hears of it. Seen red with no job for it."""
        monkeypatch.setattr(live, "_link", RedisLink("tests", timeout_s=10))
        kept = redis.Redis.from_url(environment().redis_url)
        for hides, left in ((True, 0), (False, 2)):
            kept.mset({last_seen(me.id): "2030-05-15T09:30:00+00:00", presence(me.id): "x"})
            assert api.as_(me).patch("/me/", {"hide_presence": hides}).status == 200
            run_jobs("accounts.forget_presence")
            assert kept.exists(last_seen(me.id), presence(me.id)) == left
        kept.delete(last_seen(me.id), presence(me.id))

    @pytest.mark.parametrize(
        ("changes", "kept"),
        [
            ({"name": "Lina Kaci Amrane"}, ("Lina Kaci Amrane", "Lina", "Kaci Amrane")),
            ({"name": "山田 太郎"}, ("山田 太郎", "太郎", "山田")),
            ({"first_name": "Lina"}, ("Lina Haddad", "Lina", "Haddad")),
            ({"last_name": "Kaci"}, ("Amel Kaci", "Amel", "Kaci")),
            ({"last_name": ""}, ("Amel", "Amel", "")),
            ({"name": "Dr. Haddad", "first_name": "Lina"}, ("Dr. Haddad", "Lina", "Haddad")),
        ],
    )
    def test_keeps_the_three_names_together(
        self, api: Api, me: Member, changes: dict[str, str], kept: tuple[str, str, str]
    ) -> None:
        body = api.as_(me).patch("/me/", changes).body
        assert (body["name"], body["first_name"], body["last_name"]) == kept

    @pytest.mark.parametrize("changes", [{"phone_number": None}, {"email": None}])
    def test_asks_for_verification_again_when_the_address_or_number_is_gone(
        self, api: Api, me: Member, changes: dict[str, Any]
    ) -> None:
        assert api.as_(me).patch("/me/", changes).body["is_verified"] is False

    def test_keeps_the_verification_when_they_are_the_same(self, api: Api, me: Member) -> None:
        answer = api.as_(me).patch("/me/", {"email": "amel@example.org", "phone_number": "0550 12 34 56", "city": "X"})
        assert answer.body["is_verified"] is True

    @pytest.mark.parametrize("changes", [{}, {"city": ""}, {"email": "amel@example.org", "name": "Amel Haddad"}])
    def test_leaves_the_version_when_nothing_changes(self, api: Api, me: Member, changes: dict[str, Any]) -> None:
        before = everything()
        answer = api.as_(me).patch("/me/", changes)
        assert (answer.status, answer.headers["ETag"]) == (200, '"1"')
        assert everything() == before

    def test_removes_the_place_with_null(self, api: Api, me: Member) -> None:
        api.as_(me).patch("/me/", {"location": {"lat": 1, "lng": 2}})
        assert api.as_(me).patch("/me/", {"location": None}).body["location"] is None

    @pytest.mark.parametrize("tag", ['"1"', "*", '"0", "1"', 'W/"1", "1"'])
    def test_changes_the_version_that_was_read(self, api: Api, me: Member, tag: str) -> None:
        assert api.as_(me).with_headers(If_Match=tag).patch("/me/", {"city": "Oran"}).headers["ETag"] == '"2"'

    @pytest.mark.parametrize("tag", ['"2"', 'W/"1"', '""', "1", '"one"', '"99999999999999999999"'])
    def test_refuses_to_change_another_version(self, api: Api, me: Member, tag: str) -> None:
        before = everything()
        answer = api.as_(me).with_headers(If_Match=tag).patch("/me/", {"city": "Oran"})
        assert (answer.status, answer.code) == (412, "precondition_failed")
        assert everything() == before

    def test_refuses_a_username_that_another_has(self, api: Api, me: Member, member: MakeMember) -> None:
        member(username="other")
        before = everything()
        answer = api.as_(me).patch("/me/", {"username": "OTHER", "city": "Oran"})
        assert (answer.status, answer.code) == (409, "username_taken")
        assert everything() == before

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"email": None, "phone_number": None}, "email"),
            ({"name": None}, "name"),
            ({"name": ""}, "name"),
            ({"bio": None}, "bio"),
            ({"bio": "x" * 1001}, "bio"),
            ({"city": "x" * 101}, "city"),
            ({"country": "XX"}, "country"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"time_zone": "../../etc/passwd"}, "time_zone"),
            ({"time_zone": "africa/algiers"}, "time_zone"),
            ({"language": "francais"}, "language"),
            ({"hide_presence": None}, "hide_presence"),
            ({"location": {"lat": 1}}, "location.lng"),
            ({"location": {"lat": "NaN", "lng": 1}}, "location.lat"),
            ({"first_name": "x" * 150}, "last_name"),
            ({"username": None}, "username"),
        ],
    )
    def test_refuses_what_is_not_valid(self, api: Api, me: Member, changes: dict[str, Any], field: str) -> None:
        before = everything()
        answer = api.as_(me).patch("/me/", {"address": "elsewhere", **changes})
        assert (answer.status, list(answer.fields)) == (422, [f"body.{field}"])
        assert everything() == before

    @pytest.mark.parametrize(
        "name",
        "id roles role is_active is_verified is_staff is_superuser version created_at updated_at password lat lng "
        "phone_signs_in pending_email pending_phone_number user_id service_type vehicle_type driving_license rating "
        "balance isVerified".split(),
    )
    def test_refuses_fields_that_are_not_mine_to_set(self, api: Api, me: Member, name: str) -> None:
        before = everything()
        answer = api.as_(me).patch("/me/", {"city": "Oran", name: 1})
        assert (answer.status, answer.fields) == (422, {f"body.{name}": "unknown_field"})
        assert everything() == before

    def test_refuses_who_is_not_signed_in(self, api: Api, me: Member) -> None:
        before = everything()
        assert api.patch("/me/", {"city": "Oran"}).code == "not_authenticated"
        assert everything() == before
