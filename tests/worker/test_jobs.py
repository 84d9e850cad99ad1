"""Seen red with these bugs planted: completing or failing a job without its fence, completing it after the
transaction, beginning what was not sent again, no look at the lease, renewing without the fence, no end for a job that
ends its workers.
"""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from backend.core import jobs
from backend.core.clock import now
from backend.core.models import EventRow, JobRow
from backend.core.outbox import emit
from backend.core.request_context import request_id
from shared_contracts.events import SessionEnded
from shared_contracts.jobs import Queue
from tests.conftest import Moment
from tests.worker.conftest import execute, running, until, write_job
from worker.running import LONGEST_PAUSE, Runner

NAME = "tests.do_something"


def sent(job_id: int) -> int:
    JobRow.objects.filter(pk=job_id).update(sent_at=now())
    return job_id


def expire(job_id: int) -> None:
    execute("UPDATE core_job SET lease_until = clock_timestamp() - interval '1 ms' WHERE id = %s", job_id)


def leave_a_trace(reason: str = "") -> None:
    """An effect in PostgreSQL: an event."""
    emit(SessionEnded(reason=reason), rooms=["user:1"], now=now())


@pytest.fixture
def _known(known_jobs: None, spine: None) -> None:
    @jobs.job(NAME, max_attempts=3, first_pause=timedelta(seconds=4))
    def do_something(*, fails: bool = False, **_: object) -> None:
        leave_a_trace()
        if fails:
            raise ZeroDivisionError("x" * 1000)


@pytest.mark.usefixtures("_known")
class TestRunner:
    def test_runs_a_job_once(self) -> None:
        job_id = sent(write_job(NAME))
        assert [Runner().run(job_id), Runner().run(job_id)] == ["done", None]
        row = JobRow.objects.get()
        assert (row.status, row.attempts, row.fence, row.lease_until) == ("done", 1, 1, None)
        assert row.finished_at is not None
        assert EventRow.objects.count() == 1

    def test_runs_a_job_once_though_many_begin_it_at_the_same_time(self) -> None:
        job_id = sent(write_job(NAME))
        outcomes: list[str | None] = []
        threads = [threading.Thread(target=lambda: outcomes.append(Runner().run(job_id))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes, key=str) == [None, None, None, None, "done"]
        assert EventRow.objects.count() == 1

    @pytest.mark.parametrize(("patience", "at_once"), [(60, 1), (0.01, 2)])
    def test_bulk_jobs_take_turns_and_critical_ones_do_not(
        self, monkeypatch: pytest.MonkeyPatch, patience: float, at_once: int
    ) -> None:
        """Nobody waits for ever for one that takes long. Seen red without turns, and with turns for all jobs."""
        monkeypatch.setattr("worker.running.TURN_SECONDS", patience)
        held, go_on = threading.Semaphore(0), threading.Event()

        @jobs.job("tests.hold", queue=Queue.BULK)
        def hold(**_: object) -> None:
            held.release()
            assert go_on.wait(10)

        runner, ids = Runner(), [sent(write_job("tests.hold")) for _ in range(2)]
        threads = [threading.Thread(target=runner.run, args=(job_id,)) for job_id in ids]
        threads[0].start()
        assert held.acquire(timeout=10)
        threads[1].start()
        until(lambda: runner.running == 2)
        assert runner.run(sent(write_job(NAME))) == "done"
        assert held.acquire(timeout=10 if at_once == 2 else 0.05) is (at_once == 2)
        go_on.set()
        for thread in threads:
            thread.join()
        assert [row.status for row in JobRow.objects.all()] == ["done"] * 3

    def test_hands_over_the_moment_the_arguments_and_the_cause(self, at: Moment) -> None:
        seen: list[Any] = []

        @jobs.job("tests.look")
        def look(*, now: Any, colour: str, **rest: object) -> None:
            seen.append((now, colour, rest, request_id()))

        job_id = sent(write_job("tests.look", colour="red", later_added=[1]))
        JobRow.objects.update(request_id="r-7")
        assert Runner().run(job_id) == "done"
        assert seen == [(at.now, "red", {"later_added": [1]}, "r-7")]

    def test_retries_after_pauses_that_double_and_then_gives_up(self, at: Moment) -> None:
        job_id = write_job(NAME, fails=True)
        pauses = []
        for _ in range(2):
            assert Runner().run(sent(job_id)) == "failed"
            row = JobRow.objects.get()
            pauses.append((row.run_at - at.now).total_seconds())
            assert (row.status, row.sent_at, row.lease_until) == ("pending", None, None)
        assert pauses == [4, 8]
        assert Runner().run(sent(job_id)) == "dead"
        row = JobRow.objects.get()
        assert (row.status, row.attempts, row.last_error) == ("dead", 3, ("ZeroDivisionError: " + "x" * 1000)[:500])
        assert Runner().run(sent(job_id)) is None
        assert not EventRow.objects.exists()

    def test_pauses_ten_minutes_at_most(self, at: Moment) -> None:
        jobs.job("tests.fail", max_attempts=30)(jobs.definition(NAME).run)
        job_id = sent(write_job("tests.fail", fails=True))
        JobRow.objects.update(attempts=20)
        assert Runner().run(job_id) == "failed"
        assert JobRow.objects.get().run_at == at.now + LONGEST_PAUSE

    def test_does_not_begin_what_was_not_sent_again(self) -> None:
        job_id = sent(write_job(NAME, fails=True))
        assert [Runner().run(job_id), Runner().run(job_id)] == ["failed", None]
        assert JobRow.objects.get().attempts == 1

    def test_retries_a_job_that_it_does_not_know(self) -> None:
        job_id = sent(write_job(NAME))
        JobRow.objects.update(name="tests.of_tomorrow")
        assert Runner().run(job_id) == "failed"
        assert JobRow.objects.get().last_error == "LookupError: this worker knows no job of that name"

    def test_gives_up_a_job_that_ends_every_worker(self) -> None:
        job_id = sent(write_job(NAME))
        JobRow.objects.update(attempts=3)
        assert Runner().run(job_id) == "dead"
        assert not EventRow.objects.exists()

    def test_takes_over_when_the_lease_has_run_out(self) -> None:
        job_id = sent(write_job(NAME))
        JobRow.objects.update(fence=1, attempts=1, lease_until=now() + timedelta(seconds=5))
        assert Runner().run(job_id) is None
        expire(job_id)
        assert Runner().run(job_id) == "done"
        assert (JobRow.objects.get().fence, EventRow.objects.count()) == (2, 1)

    def test_leaves_a_lease_to_the_databases_clock(self, at: Moment) -> None:
        """T5. Red with leases compared with the clock of the worker's machine: seen."""
        job_id = sent(write_job(NAME))
        execute("UPDATE core_job SET lease_until = clock_timestamp() + interval '9 s'")
        at.forward(seconds=90)
        assert Runner().run(job_id) is None
        assert (JobRow.objects.get().attempts, EventRow.objects.count()) == (0, 0)

    def test_refuses_the_late_completion_of_a_job_that_was_taken_over(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        @jobs.job("tests.stand_still")
        def stand_still(**_: object) -> None:
            leave_a_trace("late" if not begun.is_set() else "in time")
            if not begun.is_set():
                begun.set()
                go_on.wait(5)

        job_id = sent(write_job("tests.stand_still"))
        outcomes: list[str | None] = []
        zombie = threading.Thread(target=lambda: outcomes.append(Runner().run(job_id)))
        zombie.start()
        begun.wait(5)
        expire(job_id)
        assert Runner().run(job_id) == "done"
        go_on.set()
        zombie.join()
        assert outcomes == ["lost"]
        assert [SessionEnded.model_validate_json(row.data).reason for row in EventRow.objects.all()] == ["in time"]

    def test_does_not_retry_what_another_has_taken_over(self) -> None:
        @jobs.job("tests.overtaken")
        def overtaken(**_: object) -> None:
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                raise ZeroDivisionError
            take_over()
            raise RuntimeError("too late")

        def take_over() -> None:
            def work() -> None:
                JobRow.objects.update(fence=99)
                connection.close()

            other = threading.Thread(target=work)
            other.start()
            other.join()

        job_id = sent(write_job("tests.overtaken"))
        assert Runner().run(job_id) == "lost"
        row = JobRow.objects.get()
        assert (row.fence, row.last_error, row.status) == (99, "", "pending")

    def test_leaves_the_row_to_its_lease_when_the_database_goes_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object) -> str:
            raise OperationalError("the server closed the connection")

        monkeypatch.setattr("worker.running._fail", away)
        job_id = sent(write_job(NAME, fails=True))
        assert Runner().run(job_id) is None
        assert JobRow.objects.get().lease_until is not None

    def test_renews_the_leases_of_what_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("worker.running.RENEW_SECONDS", 0.02)
        runner = Runner()
        renewed = threading.Event()

        @jobs.job("tests.take_long")
        def take_long(**_: object) -> None:
            expire_elsewhere(job_id)
            deadline = time.monotonic() + 3
            while not renewed.wait(0.02) and time.monotonic() < deadline:
                row = JobRow.objects.get(pk=job_id)
                if row.lease_until and row.lease_until > now() + timedelta(seconds=15):
                    renewed.set()

        def expire_elsewhere(job_id: int) -> None:
            def work() -> None:
                expire(job_id)
                connection.close()

            other = threading.Thread(target=work)
            other.start()
            other.join()

        job_id = sent(write_job("tests.take_long"))
        with running(runner.renew):
            assert runner.run(job_id) == "done"
        assert renewed.is_set()
        assert runner.running == 0


class Provider:
    """The other side of an outside call: it counts what reaches it, and can fail in every way."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.fails: Exception | None = None

    def call(self, key: str) -> None:
        assert not connection.in_atomic_block
        self.keys.append(key)
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def provider(known_jobs: None, spine: None) -> Provider:
    provider = Provider()

    @jobs.outside_job("tests.reach_out", max_attempts=4, first_pause=timedelta(seconds=4))
    def reach_out(*, key: str, is_needed: bool = True, **_: object) -> jobs.OutsideCall | None:
        leave_a_trace("prepared")
        return (lambda: provider.call(key)) if is_needed else None

    return provider


def killed(job_id: int, provider: Provider) -> None:
    """A worker ends between the call and the row, and its lease runs out."""
    provider.fails = KeyboardInterrupt()  # type: ignore[assignment]  # no handler of jobs sees it, as with a kill
    with pytest.raises(KeyboardInterrupt):
        Runner().run(job_id)
    provider.fails = None
    expire(job_id)


class TestOutsideJobs:
    """Seen red with these bugs planted: the call in the transaction, no trace of a call that began, a third call."""

    def test_calls_once_after_its_preparation_is_committed(self, provider: Provider) -> None:
        job_id = sent(write_job("tests.reach_out"))
        assert [Runner().run(job_id), Runner().run(job_id)] == ["done", None]
        row = JobRow.objects.get()
        assert (row.status, row.attempts, row.calls_unknown, EventRow.objects.count()) == ("done", 1, 1, 1)
        assert provider.keys == [f"tests.reach_out.{job_id}.{row.created_at:%Y%m%d%H%M%S}"]

    def test_calls_nobody_when_there_is_nothing_to_do(self, provider: Provider) -> None:
        job_id = sent(write_job("tests.reach_out", is_needed=False))
        assert Runner().run(job_id) == "done"
        assert (provider.keys, JobRow.objects.get().calls_unknown) == ([], 0)

    def test_repeats_what_certainly_was_not_done(self, provider: Provider) -> None:
        job_id = write_job("tests.reach_out")
        provider.fails = jobs.NotDoneError("refused")
        outcomes = [Runner().run(sent(job_id)) for _ in range(3)]
        provider.fails = None
        assert [*outcomes, Runner().run(sent(job_id))] == ["failed"] * 3 + ["done"]
        assert len(set(provider.keys)) == 1

    def test_gives_up_at_once_what_is_refused_for_good(self, provider: Provider) -> None:
        job_id = sent(write_job("tests.reach_out"))
        provider.fails = jobs.NeverDoneError("no such address")
        assert Runner().run(job_id) == "dead"
        assert JobRow.objects.get().last_error == "NeverDoneError: no such address"

    def test_repeats_an_unknown_outcome_once(self, provider: Provider) -> None:
        job_id = write_job("tests.reach_out")
        provider.fails = TimeoutError("no answer")
        assert [Runner().run(sent(job_id)) for _ in range(3)] == ["failed", "dead", None]
        assert len(provider.keys) == 2
        assert JobRow.objects.get().last_error == "TimeoutError: no answer"

    def test_makes_one_double_at_most_however_often_it_is_killed(self, provider: Provider) -> None:
        job_id = sent(write_job("tests.reach_out"))
        killed(job_id, provider)
        assert Runner().run(job_id) == "done"
        assert len(provider.keys) == 2
        other = sent(write_job("tests.reach_out"))
        killed(other, provider)
        killed(other, provider)
        assert Runner().run(other) == "dead"
        assert len(provider.keys) == 4
        assert JobRow.objects.get(pk=other).last_error == "NeverDoneError: nobody knows how its last two calls ended"

    def test_hands_what_it_gives_up_to_the_module_that_keeps_its_own_dead_letters(self, provider: Provider) -> None:
        given_up: list[tuple[str, int]] = []

        def keep(*, error: Exception, letter_id: int, **_: object) -> None:
            assert connection.in_atomic_block
            given_up.append((type(error).__name__, letter_id))
            if len(given_up) == 1:
                raise ZeroDivisionError

        @jobs.outside_job("tests.post", max_attempts=2, dead_letter=keep)
        def post(*, key: str, **_: object) -> jobs.OutsideCall:
            return lambda: provider.call(key)

        provider.fails = jobs.NeverDoneError("no such address")
        job_id = sent(write_job("tests.post", letter_id=7))
        with pytest.raises(ZeroDivisionError):
            Runner().run(job_id)
        assert JobRow.objects.get().status == "pending"
        expire(job_id)
        assert Runner().run(job_id) == "dead"
        assert given_up == [("NeverDoneError", 7)] * 2
        row = JobRow.objects.get()
        assert (row.status, row.last_error) == ("done", "NeverDoneError: no such address")

    def test_makes_no_call_for_a_job_that_was_taken_over(self, provider: Provider) -> None:
        @jobs.outside_job("tests.overtaken_outside")
        def overtaken(*, key: str, **_: object) -> jobs.OutsideCall:
            def work() -> None:
                JobRow.objects.update(fence=99)
                connection.close()

            other = threading.Thread(target=work)
            other.start()
            other.join()
            return lambda: provider.call(key)

        job_id = sent(write_job("tests.overtaken_outside"))
        assert Runner().run(job_id) == "lost"
        assert provider.keys == []
        assert JobRow.objects.get().calls_unknown == 0
