"""Nothing new is opened for an account while it is being deleted: it waits for the row, and is refused.

Complete by construction: every operation of the authorisation table is tried; one that adds rows to a module's tables
is in the race, or stands here with the reason.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from backend.accounts.models import User
from tests.architecture.authorisation import TABLE
from tests.architecture.authorisation.rules import File, Rule
from tests.concurrency.rivals import PATIENCE_SECONDS, committed, in_background
from tests.concurrency.test_dispatch import _empty_everything
from tests.support.api import Answer
from tests.support.people import make_member
from tests.support.world import IdOf, World, make_world

ACTORS = ("freelancer", "other_client", "client", "assistant", "admin")
"""The first of them who may do it tries an operation."""
OPENS_NOTHING = {
    "addCategory": "it is everybody's",
    "createTariff": "it is the platform's",
    "changeAssistanceStatus": "a job that is under way stands in the deletion's way",
    "sendMessage": "what was said stays with those who heard it, whoever is gone",
    "sendAssistanceMessage": "what was said stays with those who heard it, whoever is gone",
}
NOTES = {"scheduling_stale_openings", "scheduling_move", "notifications_inbox"}
"""Tables of what the timetable has to do and of what was done, without a word of anybody's."""


@pytest.fixture(scope="module")
def town(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with committed(django_db_blocker):
        try:
            town = make_world()
            town.members["crew"] = make_member("crew")
            yield town
        finally:
            _empty_everything()


def call(town: World, rule: Rule, actor: str) -> Answer:
    api, path = town.api(actor), town.path(rule.path)
    if isinstance(rule.body, File):
        return api.upload(rule.method, path, rule.body.content, part=rule.body.name, **dict(rule.body.fields))
    return api._send(rule.method, path, town.filled(rule.body))


def taken_back(work: Callable[[], Answer]) -> Answer:
    with transaction.atomic():
        answer = work()
        transaction.set_rollback(True)
    return answer


def rows_added() -> dict[str, int]:
    """To each of the modules' tables by this transaction, and maybe some before it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, n_tup_ins FROM pg_stat_xact_user_tables WHERE relname NOT LIKE 'core_%'")
        return dict(cursor.fetchall())


def opens_something(town: World, rule: Rule, actor: str) -> bool:
    if isinstance(rule.body, File):
        return True
    with transaction.atomic():
        before = rows_added()
        answer = call(town, rule, actor)
        assert answer.status < 400, answer.body
        added = {table for table, rows in rows_added().items() if rows > before.get(table, 0)}
        transaction.set_rollback(True)
    return not added <= NOTES


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone() == (True,))


def status_while_deleting(town: World, rule: Rule, actor: str, whom: int) -> int:
    """The deletion has the row, and comes to its end when the call waits for it or is done."""
    answers: list[Answer] = []
    try:
        with transaction.atomic():
            # An `update` alone takes a weaker lock than the deletion does, and nobody would wait for it.
            User.objects.select_for_update().get(pk=whom)
            User.objects.filter(pk=whom).update(is_active=False)
            result = in_background(lambda: answers.append(taken_back(partial(call, town, rule, actor))))
            end = time.monotonic() + PATIENCE_SECONDS
            while not answers and not somebody_waits() and time.monotonic() < end:
                time.sleep(0.001)
        assert result() is None
    finally:
        User.objects.filter(pk=whom).update(is_active=True)
    return answers[0].status


SOON = datetime.now(UTC) + timedelta(days=9)
BOOKING = {"provider": IdOf("provider"), "starts_at": SOON, "ends_at": SOON + timedelta(hours=1)}
BOOK = Rule("POST", "/bookings/", BOOKING)
TAKE_IN = Rule("POST", "/conversations/{conversation}/members/", {"user_ids": [IdOf("other_client")]})
CHAIR = {"name": "Chair 9", "user": IdOf("crew")}
FOR_OTHERS: list[tuple[Rule, str, str]] = [
    (BOOK, "other_client", "other_client"),
    (BOOK, "other_client", "freelancer"),
    (TABLE["reviewProvider"], "other_client", "freelancer"),
    (TABLE["listProviderResources"], "other_client", "freelancer"),
    (TABLE["openConversation"], "other_client", "guest"),
    (TAKE_IN, "client", "other_client"),
    (Rule("POST", "/me/resources/", CHAIR), "assistant", "crew"),
    (Rule("PATCH", "/me/resources/{resource}/", CHAIR), "assistant", "crew"),
]
"""What is opened for somebody else, or by nobody of the table: the call, who makes it, and who is being deleted."""


class TestWhoIsBeingDeleted:
    def test_gets_nothing_new_by_any_operation(self, town: World, django_db_blocker: DjangoDbBlocker) -> None:
        """Seen red before they held the account: hours, times off, chairs, policies, calendar links, attachments,
        blocks, quotes, reports of reviews, invitations, replaced documents, and services of who offered some."""
        not_refused = set()
        with django_db_blocker.unblock():
            for name, rule in TABLE.items():
                actor = next((actor for actor in ACTORS if rule.expected(actor) == "done"), None)
                if actor is None or rule.is_open or rule.method == "DELETE" or not opens_something(town, rule, actor):
                    continue
                if status_while_deleting(town, rule, actor, town.members[actor].id) not in {404, 422}:
                    not_refused.add(name)
        assert not_refused == OPENS_NOTHING.keys()

    @pytest.mark.parametrize(("rule", "actor", "whom"), FOR_OTHERS, ids=lambda part: getattr(part, "path", part))
    def test_gets_nothing_new_by_anybody(
        self, town: World, django_db_blocker: DjangoDbBlocker, rule: Rule, actor: str, whom: str
    ) -> None:
        """Seen red before they held the account: a chair's crew, and the first chair of who has none."""
        ids = {**town.ids, **{name: member.id for name, member in town.members.items()}}
        with django_db_blocker.unblock():
            there = World(town.members, {**ids, "user": town.ids["user"]})
            assert taken_back(partial(call, there, rule, actor)).status < 400
            assert status_while_deleting(there, rule, actor, ids[whom]) in {404, 422}
