"""Whom messages disturb, and whom not: those who are not looking, of the first that they have not read."""

import json
from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.core.models import JobRow
from backend.messaging import public as messaging
from backend.messaging.services import blocks, receipts
from backend.messaging.services.conversations import start_conversation
from backend.messaging.services.messages import delete_message
from backend.notifications.models import Delivery, Notification, Preferences
from backend.notifications.services.messages import tell_of_messages
from shared_contracts.events import AccountNotice
from tests.backend.notifications.conftest import MakeMember, events_of
from tests.backend.notifications.test_events import send, told
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

JOB = "notifications.tell_of_message"


@pytest.fixture
def pair(member: MakeMember, at: Moment) -> tuple[Member, Member, int]:
    """Amel and Lina, and their conversation."""
    amel, lina = member(name="Amel"), member(name="Lina")
    talk = messaging.open_conversation(actor=None, subject="assistance:9", user_ids=[amel.id, lina.id], now=at.now)
    return amel, lina, talk.id


def say(who: Member, talk: int, content: str, at: Moment) -> int:
    return messaging.send_message(actor=who.actor, conversation_id=talk, content=content, now=at.now).id


def read(who: Member, talk: int, message_id: int, at: Moment) -> None:
    receipts.mark_read(actor=who.actor, conversation_id=talk, message_id=message_id, now=at.now)


def due(at: Moment) -> list[str]:
    """What is told when the jobs that wait are due, in the order of their people."""
    before = list(Notification.objects.values_list("pk", flat=True))
    for row in list(JobRow.objects.filter(name=JOB, status="pending").order_by("pk")):
        at.now = max(at.now, row.run_at)
        JobRow.objects.filter(pk=row.pk).update(status="done", one_per=None)
        message = row.arguments["event"]["message"]
        tell_of_messages(conversation_id=message["conversation_id"], since_id=message["id"], now=at.now)
    return list(Notification.objects.exclude(pk__in=before).order_by("user_id").values_list("body", flat=True))


class TestMessages:
    def test_tell_whoever_has_not_read_them_after_a_while(self, member: MakeMember, at: Moment) -> None:
        amel, lina = member(name="Amel"), member(name="Lina")
        talk = messaging.open_conversation(actor=None, subject="assistance:9", user_ids=[amel.id, lina.id], now=at.now)
        for content in ("Five minutes.", "Four."):
            messaging.send_message(actor=amel.actor, conversation_id=talk.id, content=content, now=at.now)
            at.forward(seconds=3)
        waiting = JobRow.objects.get(name=JOB)
        assert waiting.run_at == at.now + timedelta(seconds=4)
        at.now = waiting.run_at
        run_jobs(JOB)
        assert told() == [(lina.id, "message.created", "New message from Amel", "Five minutes.")]
        assert Notification.objects.get().reference == f"conversation:{talk.id}"

    def test_disturb_nobody_who_has_muted_the_conversation(self, api: Api, member: MakeMember, at: Moment) -> None:
        """Neither in the list, nor by push, nor by e-mail. Seen red with `is_muted` not asked for."""
        amel, lina, nour = (member(name=name, email_verified_at=at.now) for name in ("Amel", "Lina", "Nour"))
        for one in (lina, nour):
            choices = {"message.created": {"email": True}}
            Preferences.objects.create(user_id=one.id, choices=choices, updated_at=at.now)
            assert api.as_(one).post("/devices/", {"kind": "fcm", "token": one.user.name}).status == 201
        people = [amel.id, lina.id, nour.id]
        talk = messaging.open_conversation(actor=amel.actor, subject=None, user_ids=people, title="T", now=at.now)
        assert api.as_(lina).put(f"/conversations/{talk.id}/mute/").status == 204
        messaging.send_message(actor=amel.actor, conversation_id=talk.id, content="Hello", now=at.now)
        at.forward(seconds=10)
        run_jobs(JOB)
        assert [one[0] for one in told()] == [nour.id]
        assert sorted(Delivery.objects.values_list("user_id", "channel")) == [(nour.id, "email"), (nour.id, "push")]

    @pytest.fixture
    def told_of_one(self, member: MakeMember, at: Moment) -> tuple[Member, int, list[int]]:
        """Lina has read the first of three messages and was told of the second; the conversation, and all three.

        Seen red with a job that tells of its first message alone.
        """
        amel, lina = member(name="Amel"), member(name="Lina")
        talk = messaging.open_conversation(actor=None, subject="assistance:9", user_ids=[amel.id, lina.id], now=at.now)
        said = [
            messaging.send_message(actor=amel.actor, conversation_id=talk.id, content=content, now=at.now).id
            for content in ("One", "Two", "Three")
        ]
        receipts.mark_read(actor=lina.actor, conversation_id=talk.id, message_id=said[0], now=at.now)
        at.forward(seconds=10)
        run_jobs(JOB)
        assert [one[3] for one in told()] == ["Two"]
        return lina, talk.id, said

    def test_are_read_where_the_conversation_is(
        self, api: Api, told_of_one: tuple[Member, int, list[int]], at: Moment
    ) -> None:
        """Seen red without the subscription. Reading up to what came before leaves it."""
        lina, talk, said = told_of_one
        mine, begun = api.as_(lina), len(events_of(lina))
        before = mine.get("/notifications/").body["results"]
        for up_to, unread in ((said[0], 1), (said[2], 0)):
            mine.post(f"/conversations/{talk}/read/", {"message_id": up_to})
            for _ in range(2):
                run_jobs("notifications.read_messages")
                JobRow.objects.filter(name="notifications.read_messages").update(status="pending")
            assert mine.get("/notifications/unread-count/").body == {"unread_count": unread}
        after = mine.get("/notifications/").body["results"]
        assert after == [{**before[0], "is_read": True, "read_at": "2030-05-15T09:30:10Z"}]
        assert [json.loads(row.data) for row in events_of(lina)[begun:]] == [
            {"change": "read", "notification_id": before[0]["id"], "up_to": None, "unread_count": 0}
        ]

    def test_of_another_conversation_or_kind_stay_unread(
        self, api: Api, told_of_one: tuple[Member, int, list[int]], member: MakeMember, at: Moment
    ) -> None:
        lina, talk, _ = told_of_one
        other = messaging.open_conversation(
            actor=None, subject="assistance:10", user_ids=[lina.id, member().id], now=at.now
        )
        Notification.objects.update(reference=f"conversation:{other.id}")
        send(AccountNotice(kind="password_changed"), lina, at)
        told()
        api.as_(lina).post(f"/conversations/{talk}/read/", {})
        run_jobs("notifications.read_messages")
        assert Notification.objects.filter(read_at=None).count() == 2

    def test_leave_time_to_read_what_was_said_later(self, pair: tuple[Member, Member, int], at: Moment) -> None:
        """Whoever reads along is not disturbed; whoever was told of one is not told of the next.

        Seen red with people told of whatever is unread, and with an earlier message's notification not looked at.
        """
        amel, lina, talk = pair
        first = say(amel, talk, "First", at)
        at.forward(seconds=9)
        second = say(amel, talk, "Second", at)
        read(lina, talk, first, at)
        assert due(at) == []
        again = JobRow.objects.get(name=JOB, status="pending")
        assert again.run_at == at.now + timedelta(seconds=9)
        assert again.arguments == {"event": {"message": {"id": second, "conversation_id": talk}}}
        at.forward(seconds=2)
        third = say(amel, talk, "Third", at)
        assert due(at) == ["Second"]
        assert not JobRow.objects.filter(name=JOB, status="pending").exists()
        read(lina, talk, third, at)

    def test_tell_each_of_a_group_of_the_first_they_have_not_read(
        self, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        """Nobody of what they say themselves, or what somebody says whom they have blocked. Seen red with all told of
        the first, and with blocks not asked for."""
        amel, lina, nour, omar = (member(name=name) for name in ("Amel", "Lina", "Nour", "Omar"))
        others = [lina.id, nour.id, omar.id]
        talk = start_conversation(actor=amel.actor, participants=others, subject=None, title="T", now=at.now).id
        blocks.block(actor=omar.actor, user_id=amel.id, now=at.now)
        said = [say(who, talk, words, at) for who, words in ((amel, "One"), (lina, "Two"), (amel, "Three"))]
        read(nour, talk, said[1], at)
        at.forward(seconds=10)
        assert JobRow.objects.filter(name=JOB).count() == 1
        # Nine, two of them for new inboxes, and five for each message that somebody is told of.
        with django_assert_num_queries(9 + 3 * 5):
            tell_of_messages(conversation_id=talk, since_id=said[0], now=at.now)
        rows = Notification.objects.order_by("user_id").values_list("user_id", "body", "source")
        assert list(rows) == [
            (amel.id, "Two", f"message:{said[1]}"),
            (lina.id, "One", f"message:{said[0]}"),
            (nour.id, "Three", f"message:{said[2]}"),
            (omar.id, "Two", f"message:{said[1]}"),
        ]
        with django_assert_num_queries(5):
            tell_of_messages(conversation_id=talk, since_id=said[0], now=at.now)
        assert Notification.objects.count() == 4

    def test_tell_of_what_follows_one_that_nobody_sees(self, pair: tuple[Member, Member, int], at: Moment) -> None:
        """Of what is withheld or taken back nobody is told, but of what comes after it."""
        amel, lina, talk = pair
        blocks.block(actor=lina.actor, user_id=amel.id, now=at.now)
        withheld = say(amel, talk, "Withheld", at)
        blocks.unblock(actor=lina.actor, user_id=amel.id, now=at.now)
        gone = say(amel, talk, "Gone", at)
        say(amel, talk, "Heard", at)
        delete_message(actor=amel.actor, message_id=gone, now=at.now)
        assert JobRow.objects.get(name=JOB).arguments["event"]["message"]["id"] == withheld
        at.forward(seconds=10)
        assert due(at) == ["Heard"]
