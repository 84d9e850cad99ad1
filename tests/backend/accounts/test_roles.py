from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import AssistantProfile, User
from backend.accounts.services import roles
from backend.accounts.services.assistants import ASSISTANT_CHANGED, NOTHING_GIVEN
from backend.core.actor import Role
from backend.core.errors import Forbidden, NotFound, ValidationFailed
from backend.core.models import AuditRow, EventRow
from tests.backend.accounts.support import ASSISTANT_FIELDS, everything
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whose vehicle and licence those who keep copies were told of."""
    found: list[int] = []
    monkeypatch.setattr(ASSISTANT_CHANGED, "_answers", {"test": lambda *, user_id, now: found.append(user_id)})
    return found


class TestTakeRole:
    def test_adds_one_that_serves_at_once(
        self,
        api: Api,
        member: MakeMember,
        at: Moment,
        told: list[int],
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        me = member()
        with django_assert_num_queries(
            12
        ):  # who asks; the row, its change, audit, event; the catalogue's copies; two savepoints
            answer = api.as_(me).post("/me/roles/", {"role": "freelancer"})
        assert (answer.status, answer.body["roles"]) == (201, ["client", "freelancer"])
        assert api.as_(me).get("/me/").body["roles"] == ["client", "freelancer"]
        assert EventRow.objects.values_list("type", "room").get() == ("access.changed", f"user:{me.id}")
        audit = AuditRow.objects.get()
        assert (audit.actor_id, audit.changes) == (me.id, {"added": ["freelancer"], "removed": []})
        assert told == []

    def test_makes_an_assistant_of_who_shows_vehicle_and_licence(
        self, api: Api, member: MakeMember, at: Moment, told: list[int]
    ) -> None:
        me = member()
        answer = api.as_(me).post("/me/roles/", {"role": "assistant", **ASSISTANT_FIELDS})
        assert (answer.status, answer.body["roles"]) == (201, ["client", "assistant"])
        assert AssistantProfile.objects.get(user_id=me.id).licence_number == "DZ-2210457"
        assert told == [me.id]

    def test_answers_a_repeated_request_once(self, api: Api, member: MakeMember, at: Moment) -> None:
        me = api.as_(member()).with_headers(Idempotency_Key="one")
        first, second = (me.post("/me/roles/", {"role": "crew"}) for _ in range(2))
        assert (second.status, second.body) == (201, first.body)
        assert EventRow.objects.count() == 1

    def test_refuses_one_that_is_held(self, api: Api, member: MakeMember, at: Moment) -> None:
        me = member()
        before = everything()
        answer = api.as_(me).post("/me/roles/", {"role": "client"})
        assert (answer.status, answer.code) == (409, "role_held")
        assert everything() == before

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({}, {"body.role": "missing"}),
            ({"role": "manager"}, {"body.role": "enum"}),
            ({"role": "admin"}, {"body.role": "enum"}),
            ({"role": ["crew"]}, {"body.role": "string_type"}),
            ({"role": "crew", "roles": ["admin"]}, {"body.roles": "unknown_field"}),
            ({"role": "crew", "is_verified": True}, {"body.is_verified": "unknown_field"}),
            ({"role": "crew", "vehicle_type": "x"}, {"body.vehicle_type": "unknown_field"}),
            (
                {"role": "assistant", "vehicle_type": "x", "service_type": "towing"},
                {"body.driving_license": "missing", "body.vehicle_registration_number": "missing"},
            ),
            (
                {
                    **ASSISTANT_FIELDS,
                    "role": "assistant",
                    "driving_license": {"category": "b", "number": "1", "expires_on": "2030-05-15"},
                },
                {"body.driving_license.expires_on": "validation_failed"},
            ),
        ],
    )
    def test_refuses_what_is_not_valid(
        self, api: Api, member: MakeMember, at: Moment, body: dict[str, Any], wrong: dict[str, str]
    ) -> None:
        me = member()
        before = everything()
        answer = api.as_(me).post("/me/roles/", body)
        assert (answer.status, answer.fields) == (422, wrong)
        assert everything() == before

    def test_takes_the_day_where_the_person_is(self, api: Api, member: MakeMember, at: Moment) -> None:
        # 09:30 UTC on the 15th is the 16th on Kiritimati only after 10:00 UTC.
        licence = {**ASSISTANT_FIELDS["driving_license"], "expires_on": "2030-05-16"}
        body = {"role": "assistant", **ASSISTANT_FIELDS, "driving_license": licence}
        at.forward(hours=1)
        assert api.as_(member(time_zone="Pacific/Kiritimati")).post("/me/roles/", body).status == 422
        assert api.as_(member(time_zone="UTC")).post("/me/roles/", body).status == 201

    def test_refuses_who_is_not_signed_in(self, api: Api, db: None) -> None:
        assert api.post("/me/roles/", {"role": "crew"}).code == "not_authenticated"

    @pytest.mark.parametrize("role", [Role.MANAGER, Role.ADMIN])
    def test_never_gives_what_only_others_give(self, member: MakeMember, at: Moment, role: Role) -> None:
        me = member()
        before = everything()
        with pytest.raises(Forbidden):
            roles.take_role(actor=me.actor, role=role, assistant=NOTHING_GIVEN, now=at.now)
        assert everything() == before


class TestSetRoles:
    def test_takes_and_gives(self, api: Api, member: MakeMember, at: Moment, told: list[int]) -> None:
        admin, me = member("admin"), member("assistant", "client")
        roles.set_roles(actor=admin.actor, user_id=me.id, roles=[Role.MANAGER, Role.CLIENT], now=at.now)
        assert User.objects.get(pk=me.id).roles == ["client", "manager"]
        assert EventRow.objects.values_list("type", "room").get() == ("access.changed", f"user:{me.id}")
        assert AuditRow.objects.get().changes == {"added": ["manager"], "removed": ["assistant"]}
        assert told == [me.id]
        roles.set_roles(actor=admin.actor, user_id=me.id, roles=[Role.ASSISTANT], now=at.now)
        assert told == [me.id] * 2

    def test_leaves_what_is_so_already(self, member: MakeMember, at: Moment) -> None:
        admin, me = member("admin"), member("client", "crew")
        before = everything()
        roles.set_roles(actor=admin.actor, user_id=me.id, roles=[Role.CREW, Role.CLIENT], now=at.now)
        assert everything() == before

    def test_refuses(self, member: MakeMember, at: Moment) -> None:
        admin, manager, me = member("admin"), member("manager"), member()
        before = everything()
        for actor, user_id, wanted, error in (
            (manager, me.id, [Role.MANAGER], Forbidden),
            (me, me.id, [Role.ADMIN], Forbidden),
            (admin, 10**12, [Role.CLIENT], NotFound),
            (admin, me.id, [], ValidationFailed),
            (admin, me.id, [Role.ASSISTANT], ValidationFailed),
        ):
            with pytest.raises(error):
                roles.set_roles(actor=actor.actor, user_id=user_id, roles=wanted, now=at.now)
        assert everything() == before
