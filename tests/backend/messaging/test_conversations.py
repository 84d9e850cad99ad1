"""Opening and closing conversations, and leaving them."""

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import User
from backend.core.errors import NotFound, ValidationFailed
from backend.core.hot import insert_once
from backend.core.models import EventRow
from backend.messaging import public
from backend.messaging.models import Conversation, Message
from backend.messaging.models import Member as Stay
from backend.messaging.services import conversations
from tests.backend.messaging.conftest import MakeMember, Talk
from tests.conftest import Moment
from tests.support.people import Member

pytestmark = pytest.mark.django_db


class TestOpenConversation:
    def test_makes_everyone_a_member_from_their_own_event_on(self, talk: Talk, at: Moment) -> None:
        conversation = Conversation.objects.get(pk=talk.id)
        assert (conversation.subject, conversation.opened_by_id, conversation.created_at, conversation.closed_at) == (
            "assistance:9",
            None,
            at.now,
            None,
        )
        assert talk.events() == [
            ("member.added", {"user": {"id": talk.ana.id, "name": "Ana"}}),
            ("member.added", {"user": {"id": talk.bo.id, "name": "Bo"}}),
        ]
        event_ids = list(EventRow.objects.filter(room=talk.room).order_by("id").values_list("pk", flat=True))
        assert list(Stay.objects.order_by("user_id").values_list("user_id", "added_event_id", "left_at")) == [
            (talk.ana.id, event_ids[0], None),
            (talk.bo.id, event_ids[1], None),
        ]

    def test_gives_the_open_one_of_the_same_people_and_subject_again(self, talk: Talk, at: Moment) -> None:
        again = public.open_conversation(
            actor=talk.bo.actor, subject="assistance:9", user_ids=[talk.bo.id, talk.ana.id], title="New", now=at.now
        )
        assert again == public.ConversationView(id=talk.id, subject="assistance:9", title="", is_closed=False)
        assert (Conversation.objects.count(), Stay.objects.count(), len(talk.events())) == (1, 2, 2)

    def test_opens_another_for_another_subject_or_other_people(self, talk: Talk, stranger: Member, at: Moment) -> None:
        both = [talk.ana.id, talk.bo.id]
        others = [
            public.open_conversation(actor=None, subject="assistance:10", user_ids=both, now=at.now),
            public.open_conversation(actor=None, subject="assistance:9", user_ids=[*both, stranger.id], now=at.now),
        ]
        assert len({talk.id, *(view.id for view in others)}) == 3

    def test_opens_another_once_the_first_is_closed(self, talk: Talk, at: Moment) -> None:
        public.close_conversation(conversation_id=talk.id, now=at.now)
        again = public.open_conversation(
            actor=None, subject="assistance:9", user_ids=[talk.ana.id, talk.bo.id], now=at.now
        )
        assert again.id != talk.id
        assert not again.is_closed

    def test_without_a_subject_there_is_one_per_title_and_people(self, talk: Talk, at: Moment) -> None:
        def titled(title: str) -> public.ConversationView:
            both = [talk.bo.id, talk.ana.id]
            return public.open_conversation(actor=talk.ana.actor, subject=None, title=title, user_ids=both, now=at.now)

        kitchen, bath = titled("Kitchen"), titled("Bath")
        assert titled("Kitchen") == kitchen
        assert kitchen.id != bath.id
        assert Conversation.objects.get(pk=kitchen.id).opened_by_id == talk.ana.id

    def test_refuses_fewer_than_two_people_and_more_than_a_hundred(self, talk: Talk, at: Moment) -> None:
        for people in ([talk.ana.id, talk.ana.id], range(1, 102)):
            with pytest.raises(ValidationFailed):
                public.open_conversation(actor=None, subject="assistance:11", user_ids=people, now=at.now)
        assert Conversation.objects.count() == 1

    def test_refuses_people_who_are_missing_or_inactive(self, talk: Talk, stranger: Member, at: Moment) -> None:
        User.objects.filter(pk=stranger.id).update(is_active=False)
        for other in (stranger.id, 2**62):
            with pytest.raises(NotFound):
                public.open_conversation(actor=None, subject="assistance:11", user_ids=[talk.ana.id, other], now=at.now)
        assert Conversation.objects.count() == 1

    @pytest.mark.parametrize(("size", "queries"), [(2, 9), (3, 7), (20, 7)])
    def test_costs_the_same_for_any_number_of_people(
        self,
        member: MakeMember,
        at: Moment,
        size: int,
        queries: int,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        """Two: who of them has blocked the other."""
        people = [member("client").id for _ in range(size)]
        with django_assert_num_queries(queries):
            public.open_conversation(actor=None, subject="assistance:12", user_ids=people, now=at.now)

    def test_opens_another_when_the_one_there_is_closed_at_this_very_moment(
        self, talk: Talk, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen red with a look that expects to find it."""

        def insert_then_close(new: Conversation) -> bool:
            is_new = insert_once(new)
            public.close_conversation(conversation_id=talk.id, now=at.now)
            return is_new

        monkeypatch.setattr(conversations, "insert_once", insert_then_close)
        row = Conversation.objects.get(pk=talk.id)
        opened = public.open_conversation(actor=None, subject=row.subject, user_ids=row.opened_with, now=at.now)
        assert opened.id != talk.id
        assert not opened.is_closed

    def test_the_table_refuses_a_second_open_one(self, talk: Talk, at: Moment) -> None:
        row = Conversation.objects.get(pk=talk.id)
        with pytest.raises(IntegrityError, match="conversation_open_once_per_subject"), transaction.atomic():
            Conversation.objects.create(
                subject=row.subject, opened_with=row.opened_with, created_at=at.now, last_message_at=at.now
            )


class TestCloseConversation:
    def test_stays_closed_since_the_first_time(self, talk: Talk, at: Moment) -> None:
        closed_at = at.now
        public.close_conversation(conversation_id=talk.id, now=closed_at)
        public.close_conversation(conversation_id=talk.id, now=at.forward(minutes=5))
        assert Conversation.objects.get(pk=talk.id).closed_at == closed_at


class TestRemoveMember:
    def test_ends_the_stay_and_says_so_in_the_room_once(self, talk: Talk, at: Moment) -> None:
        removed_at = at.now
        public.remove_member(conversation_id=talk.id, user_id=talk.bo.id, now=removed_at)
        public.remove_member(conversation_id=talk.id, user_id=talk.bo.id, now=at.forward(minutes=5))
        assert Stay.objects.get(user_id=talk.bo.id).left_at == removed_at
        assert Stay.objects.get(user_id=talk.ana.id).left_at is None
        assert talk.events()[2:] == [("member.removed", {"user": {"id": talk.bo.id, "name": "Bo"}})]

    def test_whoever_left_finds_nothing(self, talk: Talk, at: Moment) -> None:
        public.remove_member(conversation_id=talk.id, user_id=talk.bo.id, now=at.now)
        with pytest.raises(NotFound), transaction.atomic():
            public.send_message(actor=talk.bo.actor, conversation_id=talk.id, content="Still here", now=at.now)
        assert Message.objects.count() == 0

    def test_nobody_is_removed_who_is_no_member(self, talk: Talk, stranger: Member, at: Moment) -> None:
        public.remove_member(conversation_id=talk.id, user_id=stranger.id, now=at.now)
        assert len(talk.events()) == 2
