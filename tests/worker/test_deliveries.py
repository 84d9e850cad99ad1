"""Notifications through real workers: once per channel, and one double at most, for a kill between send and mark."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from django.db import transaction
from pytest_django import Settings

from backend.accounts.models import User
from backend.core import clock
from backend.core.environment import environment
from backend.core.models import JobRow
from backend.notifications.models import Bounce, Delivery, Notification
from backend.notifications.services import delivering
from backend.notifications.services.telling import tell
from backend.notifications.values import NotificationType, Telling
from tests.servers import ROOT
from tests.support.outside import MailServer, mail_server
from tests.support.people import make_member
from tests.worker.test_jobs import expire, sent
from worker.running import Runner


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        yield server


@pytest.fixture
def amel(spine: None) -> Iterator[User]:
    """A person who is committed, and gone afterwards with all that was told."""
    user = make_member(name="Amel").user
    yield user
    with psycopg.connect(environment().owner_url, autocommit=True) as owner:
        owner.execute("TRUNCATE notifications_bounce")
        owner.execute("DELETE FROM notifications_delivery")
        owner.execute("DELETE FROM notifications_notification")
        owner.execute("DELETE FROM notifications_inbox")
        owner.execute("DELETE FROM accounts_session WHERE user_id = %s", [user.pk])
        owner.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])


def queued(user: User) -> tuple[Delivery, int]:
    """An e-mail on its way, and its job."""
    with transaction.atomic():
        values = {"document_code": "insurance", "reason": ""}
        tell(Telling(NotificationType.DOCUMENT_APPROVED, [user.pk], values), source="event:1", now=clock.now())
    return Delivery.objects.get(), sent(JobRow.objects.get(name="notifications.deliver").pk)


def message_ids(server: MailServer) -> list[str]:
    return [str(mail["Message-ID"]) for mail in server.mails]


class Killed(BaseException):
    """No handler sees it, as with a kill."""


@pytest.fixture
def killed_before_the_mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first worker that has sent something ends before it is written down."""
    settle, times = delivering._settle, [0]

    def kill_once(*args: Any, **kwargs: Any) -> None:
        times[0] += 1
        if times[0] == 1:
            raise Killed
        settle(*args, **kwargs)

    monkeypatch.setattr(delivering, "_settle", kill_once)
    yield
    assert times[0] >= 1


class TestOnce:
    def test_goes_out_once_though_its_job_runs_twice(self, amel: User, server: MailServer) -> None:
        delivery, job_id = queued(amel)
        assert Runner().run(job_id) == "done"
        JobRow.objects.filter(pk=job_id).update(status="pending", lease_until=None)
        assert Runner().run(sent(job_id)) == "done"
        assert message_ids(server) == [f"<{delivery.key}@localhost>"]
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts) == ("sent", 1)

    @pytest.mark.usefixtures("killed_before_the_mark")
    def test_a_kill_between_send_and_mark_doubles_it_once_under_the_same_name(
        self, amel: User, server: MailServer
    ) -> None:
        delivery, job_id = queued(amel)
        with pytest.raises(Killed):
            Runner().run(job_id)
        expire(job_id)
        assert [Runner().run(job_id), Runner().run(job_id)] == ["done", None]
        assert message_ids(server) == [f"<{delivery.key}@localhost>"] * 2
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts) == ("sent", 2)
        assert Notification.objects.count() == 1

    def test_killed_again_and_again_it_is_given_up_where_people_see_it(
        self, amel: User, server: MailServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settle = delivering._settle

        def kill(*args: Any, **kwargs: Any) -> None:
            raise Killed

        delivery, job_id = queued(amel)
        monkeypatch.setattr(delivering, "_settle", kill)
        for _ in range(2):
            with pytest.raises(Killed):
                Runner().run(job_id)
            expire(job_id)
        monkeypatch.setattr(delivering, "_settle", settle)
        assert Runner().run(job_id) == "dead"
        assert len(server.mails) == 2
        delivery.refresh_from_db()
        assert (delivery.status, delivery.reason) == ("undelivered", "nobody knows how its last two calls ended")
        assert JobRow.objects.get(pk=job_id).status == "done"


WORK = """
import sys
import django
django.setup()
from worker.running import Runner
Runner().run(int(sys.argv[1]))
"""


class TestKilledProcess:
    def test_between_send_and_mark_makes_one_double_under_the_same_name(self, amel: User, server: MailServer) -> None:
        """A process of its own, killed -9 when the mail server has the mail and has not said so.

        Seen red without the attempt that is written down first: the row did not know that it had been tried.
        """
        delivery, job_id = queued(amel)
        mine = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(server.port), "EMAIL_SECURITY": "none"}
        worker = subprocess.Popen([sys.executable, "-c", WORK, str(job_id)], env={**os.environ, **mine}, cwd=ROOT)
        server.on_mail = worker.kill
        assert worker.wait(30) == -signal.SIGKILL
        delivery.refresh_from_db()
        assert (len(server.mails), delivery.status, delivery.attempts) == (1, "queued", 1)
        server.on_mail = lambda: None
        expire(job_id)
        assert [Runner().run(job_id), Runner().run(job_id)] == ["done", None]
        assert message_ids(server) == [f"<{delivery.key}@localhost>"] * 2
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts) == ("sent", 2)
        assert Notification.objects.count() == 1


class TestRetries:
    def test_a_server_that_is_away_is_tried_with_growing_pauses(
        self, amel: User, server: MailServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moment = [datetime.fromisoformat("2030-05-15T09:30:00+00:00")]
        monkeypatch.setattr(clock, "now", lambda: moment[0])
        delivery, job_id = queued(amel)
        server.answer_to_recipient = "450 Try later"
        pauses = []
        for _ in range(4):
            assert Runner().run(sent(job_id)) == "failed"
            run_at = JobRow.objects.get(pk=job_id).run_at
            pauses.append((run_at - moment[0]).total_seconds())
            moment[0] = run_at
        assert pauses == [2, 4, 8, 16]
        server.answer_to_recipient = "250 OK"
        assert Runner().run(sent(job_id)) == "done"
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts, len(server.mails)) == ("sent", 5, 1)

    def test_after_the_last_attempt_it_is_undelivered(self, amel: User, server: MailServer) -> None:
        delivery, job_id = queued(amel)
        server.answer_to_recipient = "450 Try later"
        JobRow.objects.filter(pk=job_id).update(attempts=23)
        assert Runner().run(job_id) == "dead"
        delivery.refresh_from_db()
        assert (delivery.status, delivery.reason) == ("undelivered", "the mail server answered 450")
        assert not Bounce.objects.exists()

    def test_an_address_that_is_refused_for_good_is_remembered(self, amel: User, server: MailServer) -> None:
        delivery, job_id = queued(amel)
        server.answer_to_recipient = "550 No such user"
        assert Runner().run(job_id) == "dead"
        delivery.refresh_from_db()
        assert (delivery.status, delivery.reason) == ("undelivered", "the mail server answered 550")
        assert Bounce.objects.get().address == amel.email
