from collections.abc import Callable, Sequence

import msgspec
import pytest
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import Session, User
from backend.accounts.rooms import judge_user_rooms
from backend.accounts.services import ending, roles
from backend.accounts.sessions import Sessions
from backend.core.actor import Actor, Role
from backend.core.errors import Forbidden, NotFound
from backend.core.models import AuditRow, EventRow
from backend.core.references import RoomSeeker, room_gates
from shared_contracts.rooms import RoomKind
from tests.backend.accounts.support import everything
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]


def ended_events() -> list[tuple[str, dict[str, object]]]:
    rows = EventRow.objects.filter(type="session.ended").order_by("id")
    return [(row.room, msgspec.json.decode(row.data)) for row in rows]


def second_session(member: Member, at: Moment) -> Session:
    session: Session = Session.objects.get(pk=member.session.pk)
    session.pk = None
    session.save()
    return session


class TestLogout:
    def test_ends_this_session_at_once(
        self, api: Api, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        me = member()
        other = second_session(me, at)
        with django_assert_num_queries(4):  # who asks, the end, the event, the audit
            assert api.as_(me).post("/auth/logout/").status == 204
        me.session.refresh_from_db()
        assert (me.session.ended_at, me.session.end_reason) == (at.now, "signed_out")
        assert Session.objects.get(pk=other.pk).ended_at is None
        assert ended_events() == [(f"user:{me.id}", {"session_id": me.session.pk, "reason": "signed_out"})]
        assert AuditRow.objects.filter(action="accounts.session_ended", reference=f"user:{me.id}").count() == 1
        before = everything()
        for path in ("/auth/logout/", "/me/roles/"):
            assert api.as_(me).post(path, {}).code == "invalid_token"
        assert api.as_(me).get("/me/").code == "invalid_token"
        assert everything() == before

    def test_ends_all_sessions_of_mine_and_nobody_elses(self, api: Api, member: MakeMember, at: Moment) -> None:
        me, other = member(), member()
        second_session(me, at)
        assert api.as_(me).post("/auth/logout/", {"all": True}).status == 204
        assert Session.objects.filter(user_id=me.id, ended_at=None).count() == 0
        assert ended_events() == [(f"user:{me.id}", {"session_id": None, "reason": "signed_out_everywhere"})]
        assert api.as_(other).get("/me/").status == 200

    def test_refuses_who_is_not_signed_in_and_what_is_not_valid(self, api: Api, member: MakeMember, at: Moment) -> None:
        me = member()
        before = everything()
        assert api.post("/auth/logout/").code == "not_authenticated"
        assert api.as_(me).post("/auth/logout/", {"session_id": 1}).fields == {"body.session_id": "unknown_field"}
        for everything_else in ("true", 1, None):
            assert api.as_(me).post("/auth/logout/", {"all": everything_else}).fields == {"body.all": "bool_type"}
        assert everything() == before


class TestEndSession:
    def test_ends_another_device_of_mine(self, member: MakeMember, at: Moment) -> None:
        me = member()
        other = second_session(me, at)
        ending.end_session(actor=me.actor, session_id=other.pk, now=at.now)
        assert ended_events() == [(f"user:{me.id}", {"session_id": other.pk, "reason": "ended_by_owner"})]

    def test_finds_neither_anothers_nor_one_that_is_over(self, member: MakeMember, at: Moment) -> None:
        me, other = member(), member()
        over = second_session(me, at)
        ending.end_session(actor=me.actor, session_id=over.pk, now=at.now)
        before = everything()
        for session_id in (other.session.pk, over.pk, 10**12):
            with pytest.raises(NotFound):
                ending.end_session(actor=me.actor, session_id=session_id, now=at.now)
        assert everything() == before


class TestDeactivateUser:
    def test_stops_everything_of_theirs(self, api: Api, member: MakeMember, at: Moment) -> None:
        manager, me = member("manager"), member()
        roles.deactivate_user(actor=manager.actor, user_id=me.id, now=at.now)
        assert User.objects.get(pk=me.id).is_active is False
        assert ended_events() == [(f"user:{me.id}", {"session_id": None, "reason": "deactivated"})]
        assert api.as_(me).get("/me/").code == "invalid_token"
        before = everything()
        roles.deactivate_user(actor=manager.actor, user_id=me.id, now=at.now)
        assert everything() == before

    @pytest.mark.parametrize(("by", "target"), [("client", "client"), ("manager", "manager"), ("manager", "admin")])
    def test_refuses_who_may_not(self, member: MakeMember, at: Moment, by: str, target: str) -> None:
        actor, me = member(by), member(target)
        before = everything()
        with pytest.raises(Forbidden):
            roles.deactivate_user(actor=actor.actor, user_id=me.id, now=at.now)
        assert everything() == before

    def test_does_not_find_who_is_not_there(self, member: MakeMember, at: Moment) -> None:
        with pytest.raises(NotFound):
            roles.deactivate_user(actor=member("admin").actor, user_id=10**12, now=at.now)


class TestSessionSource:
    def test_knows_the_live_ones_only(
        self, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        alive, ended, expired, inactive = (member("client", "crew") for _ in range(4))
        Session.objects.filter(pk=ended.session.pk).update(ended_at=at.now)
        Session.objects.filter(pk=expired.session.pk).update(expires_at=at.now)
        User.objects.filter(pk=inactive.id).update(is_active=False)
        source = Sessions()
        who = [(person.session.pk, person.id) for person in (alive, ended, expired, inactive)]
        who += [(alive.session.pk, ended.id), (10**12, alive.id)]
        expected = Actor(id=alive.id, roles=frozenset({"client", "crew"}), session_id=alive.session.pk)
        with django_assert_num_queries(1):
            assert source.actors_of(who) == {alive.session.pk: expected}
        for session_id, user_id in who:
            with django_assert_num_queries(1):
                found = source.actor_of(session_id=session_id, user_id=user_id)
            assert found == (expected if (session_id, user_id) == who[0] else None)

    def test_takes_the_roles_from_the_row_and_not_from_the_token(self, member: MakeMember, at: Moment) -> None:
        me = member("client", "admin")
        User.objects.filter(pk=me.id).update(roles=["client"])
        found = Sessions().actor_of(session_id=me.session.pk, user_id=me.id)
        assert found is not None
        assert found.roles == {Role.CLIENT}


class TestUserRooms:
    def test_are_their_owners_alone(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        everybody = frozenset(Role)
        seekers: Sequence[RoomSeeker] = [
            RoomSeeker(1, everybody, 1),
            RoomSeeker(1, everybody, 2),
            RoomSeeker(2, everybody, 1),
        ]
        with django_assert_num_queries(1):  # who hides
            answers = judge_user_rooms(seekers)
        assert [(answer.allowed, answer.added_event_id) for answer in answers] == [
            (True, None),
            (False, None),
            (False, None),
        ]
        assert room_gates()[RoomKind.USER] is judge_user_rooms
