"""Many in one conversation at once, over real connections: one order, right counts, nothing through a block."""

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from threading import Event

import pytest
from django.db import OperationalError, connection, transaction
from pytest_django import DjangoDbBlocker

from backend.accounts.models import User
from backend.core import clock
from backend.core.errors import NotFound, Problem
from backend.core.models import EventRow, JobRow
from backend.core.proof import prove
from backend.messaging import public
from backend.messaging.models import Block, Conversation, Message
from backend.messaging.models import Member as Stay
from backend.messaging.selectors.membership import get_stay, seen_by
from backend.messaging.services import blocks, conversations, messages, news, receipts
from shared_contracts.events import MessageOut
from shared_contracts.jobs import Queue
from tests.concurrency.rivals import RIVALS, all_at_once, committed, in_background, until_somebody_waits
from tests.support.people import Member, make_member
from worker.relay.dispatching import Dispatching

CROWD = 50


@pytest.fixture
def people(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[list[Member]]:
    """Fifty people; whatever they say is taken away again."""
    with committed(django_db_blocker):
        people = [make_member("client", name=f"Person {number}") for number in range(CROWD)]
        yield people
        ids = [person.id for person in people]
        opened = list(Stay.objects.filter(user_id__in=ids).values_list("conversation_id", flat=True).distinct())
        rooms = [f"conversation:{pk}" for pk in opened] + [f"user:{pk}" for pk in ids]
        EventRow.objects.filter(room__in=rooms).delete()
        Conversation.objects.filter(pk__in=opened).delete()
        Block.objects.filter(blocker_id__in=ids).delete()
        User.objects.filter(pk__in=ids).delete()


@pytest.fixture
def unpooled(people: list[Member]) -> Iterator[None]:
    """A connection for whoever wants one: a process's pool has eight."""
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    pool, options["pool"] = options.pop("pool", None), False
    yield
    connection.close()
    options["pool"] = pool


def talk_of(people: list[Member]) -> int:
    opened = conversations.start_conversation(
        actor=people[0].actor,
        participants=[person.id for person in people[1:]],
        subject=None,
        title="Crowd",
        now=clock.now(),
    )
    return opened.id


def say(talk: int, who: Member, content: str = "Hello", client_id: str | None = None) -> MessageOut:
    return public.send_message(
        actor=who.actor, conversation_id=talk, content=content, client_id=client_id, now=clock.now()
    )


def insist(talk: int, who: Member, content: str, client_id: str) -> int:
    """Say it again until it is answered: a busy database may give up a statement that waits for too long."""
    for _ in range(30):
        with contextlib.suppress(OperationalError):
            return say(talk, who, content, client_id).id
    raise TimeoutError(content)


def broken() -> set[str]:
    findings = prove(now=clock.now(), patience_s=60)
    return {one.invariant.name for one in findings if one.invariant.name.startswith("messaging.") and not one.holds}


class TestCrowd:
    @pytest.mark.usefixtures("unpooled")
    def test_fifty_send_at_once_in_one_order(self, people: list[Member]) -> None:
        """Seen red with nobody looking for what they said already, and with counts after an unlocked insert."""
        talk = talk_of(people)

        def speak(place: int) -> list[int]:
            # Each twice, as a client does that did not hear the answer.
            words = [number for number in range(2) for _ in range(2)]
            return [insist(talk, people[place], f"{place}.{number}", f"c-{number}") for number in words]

        # Two hundred, one after the other: longer than a race of six on a busy machine.
        spoken = all_at_once([partial(speak, place) for place in range(CROWD)], patience_s=60)
        assert all(isinstance(ids, list) and ids == sorted(ids) and len(set(ids)) == 2 for ids in spoken), spoken
        stored = list(Message.objects.filter(conversation_id=talk).order_by("pk").values_list("pk", flat=True))
        assert len(stored) == CROWD * 2
        events = EventRow.objects.filter(room=f"conversation:{talk}", type="message.created").order_by("pk")
        assert [json.loads(row.data)["message"]["id"] for row in events] == stored
        for who in people:
            seen = seen_by(get_stay(who.actor, talk)).order_by("pk").values_list("pk", flat=True)
            assert list(seen) == stored
        unread = set(Stay.objects.filter(conversation_id=talk).values_list("unread_count", flat=True))
        assert unread == {CROWD * 2 - 2}
        assert JobRow.objects.filter(name="messaging.tell_members", arguments={"conversation_id": talk}).count() == 1
        assert broken() == set()

    def test_counts_are_right_after_everything_at_once(self, people: list[Member]) -> None:
        """Everything that counts, at once. Seen red with a conversation read without its lock."""
        crowd, late = people[:RIVALS], people[8:12]
        talk = talk_of(crowd)
        for who in crowd:
            say(talk, who, "First")

        def live(place: int) -> None:
            rolls, who = random.Random(place), crowd[place]
            for _ in range(12):
                try:
                    rolls.choice(acts)(who, rolls.choice(late).id)
                except Problem:
                    continue

        def mine(who: Member) -> int:
            own = Message.objects.filter(conversation_id=talk, sender_id=who.id, deleted_at=None)
            return own.order_by("-pk").values_list("pk", flat=True).first() or 0

        acts: list[Callable[[Member, int], object]] = [
            lambda who, _: say(talk, who),
            lambda who, _: say(talk, who),
            lambda who, _: receipts.mark_read(
                actor=who.actor, conversation_id=talk, message_id=mine(who), now=clock.now()
            ),
            lambda who, _: receipts.mark_delivered(
                actor=who.actor, conversation_id=talk, message_id=None, now=clock.now()
            ),
            lambda who, _: messages.edit_message(
                actor=who.actor, message_id=mine(who), content="New", wanted_versions=None, now=clock.now()
            ),
            lambda who, _: messages.delete_message(actor=who.actor, message_id=mine(who), now=clock.now()),
            lambda who, other: conversations.add_members(
                actor=who.actor, conversation_id=talk, user_ids=[other], now=clock.now()
            ),
            lambda _, other: public.remove_member(conversation_id=talk, user_id=other, now=clock.now()),
        ]
        assert all_at_once([partial(live, place) for place in range(len(crowd))]) == [None] * len(crowd)
        with transaction.atomic():
            news.tell_group(conversation_id=talk, now=clock.now())
        assert broken() == set()

    def test_a_message_that_is_deleted_on_many_devices_at_once_is_uncounted_once(self, people: list[Member]) -> None:
        """Seen red with a deletion that does not lock the conversation."""
        talk = talk_of(people[:3])
        kept, gone = say(talk, people[0], "Kept"), say(talk, people[0], "Gone")
        delete = partial(messages.delete_message, actor=people[0].actor, message_id=gone.id, now=clock.now())
        assert all_at_once([delete] * RIVALS) == [None] * RIVALS
        assert get_stay(people[1].actor, talk).unread_count == 1
        assert Message.objects.get(pk=gone.id).version == gone.version + 1
        assert Message.objects.get(pk=kept.id).version == kept.version
        assert broken() == set()

    def test_the_same_news_are_told_once_by_two_jobs_at_once(self, people: list[Member]) -> None:
        """T3. Seen red with a job that does not lock the conversation."""
        talk = talk_of(people[:3])
        say(talk, people[0])
        EventRow.objects.filter(room=f"user:{people[1].id}").delete()

        def tell() -> None:
            with transaction.atomic():
                news.tell_group(conversation_id=talk, now=clock.now())

        assert all_at_once([tell] * 4) == [None] * 4
        assert EventRow.objects.filter(room=f"user:{people[1].id}").count() == 1


class TestJobWhileSending:
    """One job on its way tells of all that is said in a conversation until a relay hands it out."""

    @staticmethod
    def hand_out() -> list[int]:
        """The jobs that a relay marks as sent, in twenty seconds' time."""
        relay = Dispatching(Queue.BULK, wake=Event())
        return list(relay._claim(clock.now() + timedelta(seconds=20), 10**6))

    @staticmethod
    def waiting(talk: int) -> list[int]:
        rows = JobRow.objects.filter(name="notifications.tell_of_message", sent_at=None)
        return list(rows.filter(arguments__event__message__conversation_id=talk).values_list("pk", flat=True))

    def test_is_not_handed_out_before_what_it_is_to_tell_of_is_there(self, people: list[Member]) -> None:
        """Seen red with a conflict that does nothing: it would run, and not see the second message."""
        talk = talk_of(people[:2])
        say(talk, people[0], "First")
        (job,) = self.waiting(talk)
        with transaction.atomic():
            say(talk, people[0], "Second")
            sent = in_background(self.hand_out)()
            assert isinstance(sent, list)
            assert job not in sent
        assert self.waiting(talk) == [job]
        assert job in self.hand_out()

    def test_that_is_handed_out_meanwhile_is_followed_by_another(self, people: list[Member]) -> None:
        """Seen red with a relay that leaves it what it is for."""
        talk = talk_of(people[:2])
        say(talk, people[0], "First")
        (job,) = self.waiting(talk)
        with transaction.atomic():
            assert job in self.hand_out()
            saying = in_background(lambda: say(talk, people[0], "Second"))
            until_somebody_waits()
        assert isinstance(saying(), MessageOut)
        (other,) = self.waiting(talk)
        assert other != job


class TestMembersWhileSending:
    def test_who_is_added_sees_what_is_committed_after_them_and_nothing_before(self, people: list[Member]) -> None:
        talk = talk_of(people[:3])
        with transaction.atomic():
            before = say(talk, people[0], "Before")
            adding = in_background(
                lambda: conversations.add_members(
                    actor=people[1].actor, conversation_id=talk, user_ids=[people[4].id], now=clock.now()
                )
            )
            until_somebody_waits()
        assert adding() is None
        after = say(talk, people[0], "After")
        stay = get_stay(people[4].actor, talk)
        assert (stay.since_message_id, stay.unread_count) == (before.id, 1)
        assert list(seen_by(stay).values_list("pk", flat=True)) == [after.id]
        assert broken() == set()

    def test_who_leaves_meanwhile_says_nothing_more(self, people: list[Member]) -> None:
        talk = talk_of(people[:3])
        with transaction.atomic():
            conversations.end_stay(actor=people[2].actor, conversation_id=talk, user_id=people[2].id, now=clock.now())
            rival = in_background(lambda: say(talk, people[2]))
            until_somebody_waits()
        assert isinstance(rival(), NotFound)
        assert broken() == set()


class TestReadingWhileSomethingGoes:
    def test_a_message_that_goes_meanwhile_is_not_counted(self, people: list[Member]) -> None:
        """Seen red with a deletion that does not lock the conversation."""
        ana, bo = people[:2]
        talk = talk_of([ana, bo])
        first, second = say(talk, ana, "First"), say(talk, ana, "Second")
        with transaction.atomic():
            messages.delete_message(actor=ana.actor, message_id=second.id, now=clock.now())
            reading = in_background(
                lambda: receipts.mark_read(actor=bo.actor, conversation_id=talk, message_id=first.id, now=clock.now())
            )
            until_somebody_waits()
        assert reading() is None
        assert get_stay(bo.actor, talk).unread_count == 0
        assert broken() == set()


class TestBlockWhileSending:
    def test_nothing_comes_through_once_the_block_is_answered(self, people: list[Member]) -> None:
        """Seen red with a block that leaves open conversations as they are."""
        ana, bo = people[:2]
        talk = talk_of([ana, bo])
        with transaction.atomic():
            heard = say(talk, ana, "Heard")
            blocking = in_background(lambda: blocks.block(actor=bo.actor, user_id=ana.id, now=clock.now()))
            until_somebody_waits()
        assert blocking() is None
        assert Message.objects.get(pk=heard.id).is_withheld is False
        assert Message.objects.get(pk=say(talk, ana, "Unheard").id).is_withheld is True
        assert get_stay(bo.actor, talk).unread_count == 1
        assert broken() == set()

    def test_who_sends_meanwhile_waits_and_is_not_heard(self, people: list[Member]) -> None:
        """Seen red with a sender who asks who hears them before the lock."""
        ana, bo = people[:2]
        talk = talk_of([ana, bo])
        with transaction.atomic():
            blocks.block(actor=bo.actor, user_id=ana.id, now=clock.now())
            sending = in_background(lambda: say(talk, ana, "Unheard"))
            until_somebody_waits()
        said = sending()
        assert isinstance(said, MessageOut)
        assert Message.objects.get(pk=said.id).is_withheld is True
        assert get_stay(bo.actor, talk).unread_count == 0
        assert broken() == set()

    def test_opening_and_blocking_wait_for_each_other(self, people: list[Member]) -> None:
        """Seen red without the lock of the two."""
        for place in (0, 2):
            ana, bo = people[place : place + 2]
            opening = partial(talk_of, [ana, bo])
            blocking = partial(blocks.block, actor=bo.actor, user_id=ana.id, now=clock.now())
            calls: list[Callable[[], object]] = [blocking, opening] if place else [opening, blocking]
            with transaction.atomic():
                calls[0]()
                rival = in_background(calls[1])
                until_somebody_waits()
            assert not isinstance(rival(), Exception)
        assert broken() == set()
