"""Who may be in a person's own room, and what the sidecar learns of them there."""

from collections.abc import Callable

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import User
from backend.core.references import REFUSED, RoomAccess, RoomSeeker, room_gates
from shared_contracts.internal import RoomContext
from shared_contracts.rooms import RoomKind
from tests.conftest import Moment
from tests.support.people import Member

MakeMember = Callable[..., Member]

pytestmark = pytest.mark.django_db


def seek(who: Member, room_id: int) -> RoomSeeker:
    return RoomSeeker(user_id=who.id, roles=frozenset(who.user.roles), room_id=room_id)


class TestUserRoom:
    def test_is_its_person_s_alone_and_says_whether_they_hide(
        self, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        """Seen red with nobody hiding."""
        shown, hidden, boss = member(), member(), member("manager")
        User.objects.filter(pk=hidden.id).update(hide_presence=True)
        seekers = [seek(shown, shown.id), seek(hidden, hidden.id), seek(boss, shown.id)]
        with django_assert_num_queries(1):
            answers = room_gates()[RoomKind.USER](seekers)
        assert answers == [
            RoomAccess(allowed=True, context=RoomContext(hides_presence=False)),
            RoomAccess(allowed=True, context=RoomContext(hides_presence=True)),
            REFUSED,
        ]
