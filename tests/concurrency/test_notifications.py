"""Telling and reading at once, over real connections: nobody is told twice, and the count is right."""

import json
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from backend.core import clock
from backend.core.models import EventRow
from backend.notifications.models import Inbox, Notification
from backend.notifications.services import reading
from backend.notifications.services.inboxes import lock_inboxes
from backend.notifications.services.telling import tell
from backend.notifications.values import NotificationType, Telling
from shared_contracts.rooms import user_room
from tests.concurrency.rivals import RIVALS, all_at_once, committed, in_background, until_somebody_waits
from tests.support.people import Member, make_member


@pytest.fixture
def people(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[list[Member]]:
    """Two people; whatever they are told is taken away again, since here everything is committed."""
    with committed(django_db_blocker):
        people = [make_member("client", name=name) for name in ("Ana", "Bo")]
        yield people
        EventRow.objects.filter(room__in=[user_room(person.id) for person in people]).delete()
        Notification.objects.filter(user_id__in=[person.id for person in people]).delete()
        for person in people:
            person.user.delete()


def telling(people: list[Member], source: str) -> Callable[[], int]:
    """Tells them in the order given: the locks have their own."""
    news = Telling(NotificationType.ANNOUNCEMENT, [one.id for one in people], {"title": source, "text": ""})
    return partial(tell, news, source=source, now=clock.now())


def counts(person: Member) -> list[int]:
    rows = EventRow.objects.filter(room=user_room(person.id), type__startswith="notification.").order_by("pk")
    return [json.loads(row.data)["unread_count"] for row in rows]


class TestTelling:
    def test_tells_once_however_many_jobs_do_it_at_once(self, people: list[Member]) -> None:
        told = all_at_once([telling(people[:: (-1) ** place], "announcement:1") for place in range(RIVALS)])
        assert sorted(told, key=str) == [0] * (RIVALS - 1) + [2]
        for person in people:
            assert Notification.objects.filter(user_id=person.id).count() == 1
            assert (counts(person), Inbox.objects.get(pk=person.id).unread) == ([1], 1)

    def test_holds_none_of_the_inboxes_while_another_makes_one_of_them(self, people: list[Member]) -> None:
        """Whoever makes it may want the others, too. Seen red with those held that are there: a deadlock."""
        ana, bo = (person.id for person in people)
        Inbox.objects.create(pk=ana, unread=0)
        with transaction.atomic():
            lock_inboxes([bo])
            telling_both = in_background(telling(people, "announcement:1"))
            until_somebody_waits()
            lock_inboxes([ana])
        assert telling_both() == 2

    def test_counts_right_for_different_news_in_any_order_of_people(self, people: list[Member]) -> None:
        calls = [telling(people[:: (-1) ** place], f"announcement:{place}") for place in range(RIVALS)]
        assert all_at_once(calls) == [2] * RIVALS
        for person in people:
            assert counts(person) == list(range(1, RIVALS + 1))

    def test_and_reading_at_once_leave_a_count_that_is_the_rows(self, people: list[Member]) -> None:
        ana = people[0]
        for number in range(3):
            telling([ana], f"announcement:{number}")()
        read = partial(reading.mark_all_read, actor=ana.actor, now=clock.now())
        clear = partial(reading.clear_read, actor=ana.actor, now=clock.now())
        news = [telling([ana], f"announcement:{number}") for number in range(3, 6)]
        calls: list[Callable[[], int]] = [read, news[0], clear, news[1], read, news[2]]
        assert not [one for one in all_at_once(calls) if not isinstance(one, int)]
        unread = Notification.objects.filter(user_id=ana.id, is_shown=True, read_at=None).count()
        assert (Inbox.objects.get(pk=ana.id).unread, counts(ana)[-1]) == (unread, unread)
        connection.close()

    def test_reading_all_waits_for_what_is_being_told(self, people: list[Member]) -> None:
        """Seen red without the inbox's lock: what came in between stayed unread, though the list had shown it."""
        ana = people[0]
        telling([ana], "announcement:0")()
        reading.mark_all_read(actor=ana.actor, now=clock.now())
        with transaction.atomic():
            telling([ana], "announcement:1")()
            reading_all = in_background(partial(reading.mark_all_read, actor=ana.actor, now=clock.now()))
            until_somebody_waits()
        assert reading_all() == 1
        assert (Inbox.objects.get(pk=ana.id).unread, counts(ana)) == (0, [1, 0, 1, 0])
