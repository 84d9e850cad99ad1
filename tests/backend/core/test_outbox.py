"""Seen red with these bugs planted: rows written after the commit, or on a connection of their own."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from backend.core import jobs, outbox
from backend.core.models import EventRow, JobRow
from backend.core.outbox import emit, subscribe, subscribers_of
from backend.core.request_context import caused_by
from shared_contracts.events import AccessChanged, Event, SessionEnded
from shared_contracts.rooms import partition_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Unheard(Event):
    type: ClassVar[str] = "unheard.of"
    rooms: ClassVar[tuple[str, ...]] = ()


@pytest.mark.django_db
class TestEmit:
    def test_writes_one_row_per_room_without_a_number(self) -> None:
        with caused_by("r-1"):
            ids = emit(SessionEnded(session_id=7, reason="logout"), rooms=["user:1", "user:2"], now=NOW)
        rows = list(EventRow.objects.order_by("id"))
        assert [row.pk for row in rows] == ids
        assert [(row.room, row.number, row.type, row.request_id) for row in rows] == [
            ("user:1", None, "session.ended", "r-1"),
            ("user:2", None, "session.ended", "r-1"),
        ]
        assert [row.partition for row in rows] == [partition_of("user:1"), partition_of("user:2")]
        assert rows[0].data == '{"session_id":7,"reason":"logout"}'

    def test_refuses_an_event_that_the_contracts_do_not_know(self) -> None:
        with pytest.raises(LookupError):
            emit(Unheard(), rooms=["user:1"], now=NOW)


@pytest.mark.django_db
class TestSubscribe:
    @pytest.fixture(autouse=True)
    def _own_registries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "_subscribers", {})
        monkeypatch.setattr(jobs, "_registry", {})

    def test_an_event_enqueues_one_job_per_subscriber_in_the_same_transaction(self) -> None:
        for name in ("tests.first", "tests.second"):
            jobs.job(name)(lambda **_: None)
            subscribe(AccessChanged, job=name)
        subscribe(AccessChanged, job="tests.first")
        assert subscribers_of(AccessChanged) == ("tests.first", "tests.second")
        try:
            with transaction.atomic():
                emit(AccessChanged(), rooms=["user:1"], now=NOW)
                assert sorted(JobRow.objects.values_list("name", flat=True)) == ["tests.first", "tests.second"]
                raise InterruptedError
        except InterruptedError:
            pass
        assert (EventRow.objects.count(), JobRow.objects.count()) == (0, 0)

    def test_a_subscriber_gets_the_event_its_rooms_and_its_own_id_and_may_choose_and_wait(self) -> None:
        jobs.job("tests.choosy")(lambda **_: None)
        subscribe(
            SessionEnded, job="tests.choosy", when=lambda event: event.reason == "stolen", after=timedelta(seconds=9)
        )
        with transaction.atomic():
            first, _ = emit(SessionEnded(reason="stolen"), rooms=["user:1", "user:2"], now=NOW)
            emit(SessionEnded(reason="logout"), rooms=["user:1"], now=NOW)
        row = JobRow.objects.get()
        assert row.run_at == NOW + timedelta(seconds=9)
        assert row.arguments == {
            "type": "session.ended",
            "event": {"session_id": None, "reason": "stolen"},
            "rooms": ["user:1", "user:2"],
            "event_id": first,
        }

    def test_of_several_events_each_job_gets_its_own_events_id_or_none(self) -> None:
        """Seen red with the first event's id for all."""
        jobs.job("tests.each")(lambda **_: None)
        subscribe(SessionEnded, job="tests.each")
        with transaction.atomic():
            ended = [(SessionEnded(session_id=n, reason="logout"), ["user:1"] * n) for n in (1, 0, 2)]
            ids = outbox.emit_all([(AccessChanged(), ["user:9"]), *ended], now=NOW)
        known = {row.arguments["event"]["session_id"]: row.arguments["event_id"] for row in JobRow.objects.all()}
        assert known == {1: ids[1], 0: None, 2: ids[2]}

    def test_one_job_waits_for_all_events_of_which_it_says_the_same(self) -> None:
        """Until it is handed out. Seen red without the constraint, and with jobs that are handed out in it."""
        jobs.job("tests.once")(lambda **_: None)
        subscribe(SessionEnded, job="tests.once", one_per=lambda event: event.reason)

        def end(*sessions: tuple[int, Literal["logout", "stolen"]]) -> list[tuple[int, str | None]]:
            ended = [(SessionEnded(session_id=n, reason=reason), ["user:1"]) for n, reason in sessions]
            with transaction.atomic():
                assert len(outbox.emit_all(ended, now=NOW)) == len(sessions)
            rows = JobRow.objects.order_by("pk").values_list("arguments", "one_per")
            return [(arguments["event"]["session_id"], one_per) for arguments, one_per in rows]

        assert end((1, "logout"), (2, "stolen"), (3, "logout")) == [(1, "logout"), (2, "stolen")]
        assert end((4, "stolen"), (5, "logout")) == [(1, "logout"), (2, "stolen")]
        JobRow.objects.filter(one_per="logout").update(sent_at=NOW)
        assert end((6, "stolen"), (7, "logout")) == [(1, "logout"), (2, "stolen"), (7, "logout")]

    def test_an_event_in_no_room_still_has_its_jobs(self) -> None:
        jobs.job("tests.roomless")(lambda **_: None)
        subscribe(AccessChanged, job="tests.roomless")
        with transaction.atomic():
            assert emit(AccessChanged(), rooms=[], now=NOW) == []
        assert JobRow.objects.get().arguments == {"type": "access.changed", "event": {}, "rooms": [], "event_id": None}


@pytest.mark.django_db
class TestEnqueue:
    def test_writes_many_calls_of_one_job_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jobs, "_registry", {})
        jobs.job("tests.many")(lambda **_: None)
        later = NOW + timedelta(hours=1)
        ids = jobs.enqueue_all("tests.many", [(NOW, {"n": 1}), (later, {"n": 2})], now=NOW)
        found = JobRow.objects.order_by("pk").values_list("pk", "run_at", "arguments", "status", "attempts")
        assert list(found) == [(ids[0], NOW, {"n": 1}, "pending", 0), (ids[1], later, {"n": 2}, "pending", 0)]

    def test_refuses_a_job_that_nobody_registered(self) -> None:
        with pytest.raises(LookupError):
            jobs.enqueue("tests.unknown", now=NOW)


class TestOutsideATransaction:
    def test_neither_events_nor_jobs_are_written(self, django_db_blocker: DjangoDbBlocker) -> None:
        with django_db_blocker.unblock():
            with pytest.raises(RuntimeError):
                emit(AccessChanged(), rooms=["user:1"], now=NOW)
            with pytest.raises(RuntimeError):
                jobs.enqueue("tests.any", now=NOW)
            with pytest.raises(RuntimeError):
                jobs.enqueue_all("tests.any", [], now=NOW)
