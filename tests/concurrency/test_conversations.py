"""Rivals in one conversation, over real connections."""

from collections.abc import Iterator
from functools import partial

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from backend.core import clock
from backend.core.errors import NotFound
from backend.core.models import EventRow
from backend.messaging import public
from backend.messaging.errors import ConversationClosed
from backend.messaging.models import Conversation, Message
from backend.messaging.models import Member as Stay
from shared_contracts.events import MessageOut
from tests.concurrency.rivals import RIVALS, all_at_once, committed, in_background, until_somebody_waits
from tests.support.people import Member, make_member

SUBJECT = "assistance:9"


@pytest.fixture
def people(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[list[Member]]:
    """Two people; whatever they open and say is taken away again, since here everything is committed."""
    with committed(django_db_blocker):
        people = [make_member("client", name=name) for name in ("Ana", "Bo")]
        yield people
        ids = [person.id for person in people]
        opened = list(Stay.objects.filter(user_id__in=ids).values_list("conversation_id", flat=True))
        EventRow.objects.filter(room__in=[f"conversation:{pk}" for pk in opened]).delete()
        Conversation.objects.filter(pk__in=opened).delete()
        for person in people:
            person.user.delete()


@pytest.fixture
def talk(people: list[Member]) -> int:
    return opened(people)


def opened(people: list[Member]) -> int:
    ids = [person.id for person in people]
    return public.open_conversation(actor=None, subject=SUBJECT, user_ids=ids, now=clock.now()).id


def say(talk: int, who: Member, content: str = "Hello", client_id: str | None = None) -> MessageOut:
    return public.send_message(
        actor=who.actor, conversation_id=talk, content=content, client_id=client_id, now=clock.now()
    )


class TestOpeningAtOnce:
    def test_opens_one_conversation_with_each_member_once(self, people: list[Member]) -> None:
        ids = all_at_once([lambda: opened(people)] * RIVALS)
        assert len(set(map(str, ids))) == 1
        assert Stay.objects.filter(user_id__in=[person.id for person in people]).count() == 2


class TestSendingAtOnce:
    def test_the_same_client_id_is_stored_and_told_once(self, people: list[Member], talk: int) -> None:
        answers = all_at_once([lambda: say(talk, people[0], client_id="a-1")] * RIVALS)
        message = Message.objects.get(conversation_id=talk)
        assert [getattr(answer, "id", answer) for answer in answers] == [message.pk] * RIVALS
        assert EventRow.objects.filter(room=f"conversation:{talk}", type="message.created").count() == 1

    def test_everything_is_stored_and_told_in_one_order(self, people: list[Member], talk: int) -> None:
        def say_ten(who: Member) -> list[int]:
            return [say(talk, who, f"{number}").id for number in range(10)]

        spoken = all_at_once([partial(say_ten, people[number % 2]) for number in range(6)])
        assert all(isinstance(ids, list) and ids == sorted(ids) for ids in spoken)
        stored = list(Message.objects.filter(conversation_id=talk).order_by("id").values_list("pk", flat=True))
        assert len(stored) == 60
        events = EventRow.objects.filter(room=f"conversation:{talk}", type="message.created").order_by("id")
        assert [MessageOut.model_validate_json(row.data[len('{"message":') : -1]).id for row in events] == stored

    def test_the_later_id_is_never_committed_first(self, people: list[Member], talk: int) -> None:
        with transaction.atomic():
            first = say(talk, people[0], "First")
            rival = in_background(lambda: say(talk, people[1], "Second"))
            until_somebody_waits()
        second = rival()
        assert isinstance(second, MessageOut)
        assert second.id > first.id


class TestSendingWhileItChanges:
    def test_whoever_is_removed_meanwhile_says_nothing(self, people: list[Member], talk: int) -> None:
        with transaction.atomic():
            public.remove_member(conversation_id=talk, user_id=people[1].id, now=clock.now())
            rival = in_background(lambda: say(talk, people[1]))
            until_somebody_waits()
        assert isinstance(rival(), NotFound)
        assert not Message.objects.filter(conversation_id=talk).exists()

    def test_nothing_is_said_after_it_was_closed_meanwhile(self, people: list[Member], talk: int) -> None:
        with transaction.atomic():
            public.close_conversation(conversation_id=talk, now=clock.now())
            rival = in_background(lambda: say(talk, people[1]))
            until_somebody_waits()
        assert isinstance(rival(), ConversationClosed)
        assert not Message.objects.filter(conversation_id=talk).exists()
