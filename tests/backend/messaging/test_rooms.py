"""Who may be in a conversation's room."""

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import User
from backend.core.references import REFUSED, RoomAccess, RoomSeeker, room_gates
from backend.messaging import public
from backend.messaging.models import Member as Stay
from backend.messaging.services import blocks
from shared_contracts.internal import RoomContext
from shared_contracts.rooms import RoomKind
from tests.backend.messaging.conftest import Talk
from tests.conftest import Moment
from tests.support.people import Member

pytestmark = pytest.mark.django_db


def seek(*seekers: tuple[Member, int]) -> list[RoomAccess]:
    gate = room_gates()[RoomKind.CONVERSATION]
    return list(
        gate([RoomSeeker(user_id=who.id, roles=frozenset(who.user.roles), room_id=room_id) for who, room_id in seekers])
    )


def from_own_event(talk: Talk, who: Member, *others: Member, is_deaf: bool = False) -> RoomAccess:
    stay = Stay.objects.get(conversation_id=talk.id, user_id=who.id)
    context = RoomContext(party_ids=sorted(member.id for member in (who, *others)), is_deaf=is_deaf)
    return RoomAccess(allowed=True, added_event_id=stay.added_event_id, context=context)


class TestConversationRoom:
    def test_lets_members_in_from_their_own_event_on(self, talk: Talk) -> None:
        assert seek((talk.ana, talk.id), (talk.bo, talk.id)) == [
            from_own_event(talk, talk.ana, talk.bo),
            from_own_event(talk, talk.bo, talk.ana),
        ]

    def test_stays_open_to_members_when_the_conversation_is_closed(self, talk: Talk, at: Moment) -> None:
        public.close_conversation(conversation_id=talk.id, now=at.now)
        assert seek((talk.bo, talk.id)) == [from_own_event(talk, talk.bo, talk.ana)]

    def test_is_shut_to_whoever_was_removed(self, talk: Talk, at: Moment) -> None:
        public.remove_member(conversation_id=talk.id, user_id=talk.bo.id, now=at.now)
        assert seek((talk.bo, talk.id), (talk.ana, talk.id)) == [REFUSED, from_own_event(talk, talk.ana)]

    def test_tells_the_sidecar_that_who_blocked_the_other_hears_no_typing(self, talk: Talk, at: Moment) -> None:
        blocks.block(actor=talk.bo.actor, user_id=talk.ana.id, now=at.now)
        assert seek((talk.bo, talk.id), (talk.ana, talk.id)) == [
            from_own_event(talk, talk.bo, talk.ana, is_deaf=True),
            from_own_event(talk, talk.ana, talk.bo),
        ]

    def test_tells_the_sidecar_whose_presence_is_nobody_s_business(self, talk: Talk) -> None:
        """Seen red with nobody named."""
        User.objects.filter(pk=talk.bo.id).update(hide_presence=True)
        (access,) = seek((talk.ana, talk.id))
        assert access.context.hidden_ids == [talk.bo.id]

    def test_answers_many_in_their_order_with_two_queries(
        self, talk: Talk, stranger: Member, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        other = public.open_conversation(actor=None, subject=None, user_ids=[talk.ana.id, stranger.id], now=at.now)
        granted = from_own_event(talk, talk.bo, talk.ana)
        with django_assert_num_queries(2):
            answers = seek((stranger, talk.id), (talk.bo, other.id), (talk.bo, talk.id), (stranger, talk.id + 1000))
        assert answers == [REFUSED, REFUSED, granted, REFUSED]
