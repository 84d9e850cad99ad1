"""Seen red with these bugs planted: Dramatiq's own delay for what is due later, what was sent once never sent again,
bulk jobs in the threads of critical ones.
"""

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
import redis
from django.db import connection

from backend.core import jobs
from backend.core.clock import now
from backend.core.models import EventRow, JobRow
from shared_contracts.jobs import OUT_PER_THREAD, Queue
from shared_contracts.redis_keys import RELAY_WAKE, WORKER_THREADS, WORKERS_WAKE
from tests.conftest import Moment
from tests.worker.conftest import execute, running, until, write_job
from tests.worker.test_jobs import leave_a_trace
from worker.broker import make_broker, send, waiting
from worker.heartbeats import ASSUMED_THREADS, count_threads, tell_threads
from worker.pool import Pool
from worker.relay.dispatching import Dispatching
from worker.relay.partitions import DISPATCHING, LOCKS
from worker.running import Runner
from worker.wakeups import Wakeups

NAME, PROMPT_NAME, BULK_NAME = "tests.trace", "tests.trace_promptly", "tests.trace_in_bulk"


@pytest.fixture(autouse=True)
def _known(known_jobs: None, spine: None) -> None:
    @jobs.job(NAME)
    def trace(*, number: int = 0, **_: object) -> None:
        leave_a_trace(str(number))

    jobs.job(PROMPT_NAME, queue=Queue.PROMPT)(trace)

    @jobs.job(BULK_NAME, queue=Queue.BULK)
    def trace_in_bulk(*, seconds: float = 0, **_: object) -> None:
        time.sleep(seconds)
        leave_a_trace()


def dispatching(queue: Queue = Queue.CRITICAL) -> Dispatching:
    return Dispatching(queue, wake=threading.Event())


def queued(queue: Queue = Queue.CRITICAL) -> int:
    return waiting(make_broker(), queue)


def _done(job_id: int) -> bool:
    return JobRow.objects.get(pk=job_id).status == "done"


def forget_messages(client: redis.Redis) -> None:
    client.flushdb()


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool({Queue.CRITICAL: 2, Queue.PROMPT: 1, Queue.BULK: 1}, Runner().run)
    pool.start()
    yield pool
    pool.stop()


class TestDispatching:
    def test_sends_what_is_due_once(self) -> None:
        write_job(NAME)
        relay = dispatching()
        relay.one_round()
        relay.one_round()
        assert queued() == 1

    def test_sends_only_its_own_queue(self) -> None:
        write_job(BULK_NAME)
        dispatching().one_round()
        assert (queued(), queued(Queue.BULK)) == (0, 0)
        dispatching(Queue.BULK).one_round()
        assert (queued(), queued(Queue.BULK)) == (0, 1)

    def test_sends_timers_when_the_moved_clock_says_so(self, at: Moment) -> None:
        job_id = write_job(NAME)
        JobRow.objects.filter(pk=job_id).update(run_at=at.now + timedelta(minutes=10))
        relay = dispatching()
        relay.one_round()
        assert queued() == 0
        at.forward(minutes=9, seconds=59.95)
        assert 0 < relay.one_round() <= 0.05
        assert queued() == 0
        at.forward(seconds=0.05)
        relay.one_round()
        assert queued() == 1

    def test_keeps_a_few_out_and_the_rest_in_postgresql(self, client: redis.Redis) -> None:
        for _ in range(OUT_PER_THREAD * ASSUMED_THREADS + 5):
            write_job(NAME)
        relay = dispatching()
        relay.one_round()
        assert queued() == OUT_PER_THREAD * ASSUMED_THREADS
        forget_messages(client)
        relay.one_round()
        assert queued() == 0, "they may still be on their way"

    def test_sends_again_what_nobody_began_in_time(self, client: redis.Redis) -> None:
        write_job(NAME)
        relay = dispatching()
        relay.one_round()
        forget_messages(client)
        execute("UPDATE core_job SET sent_at = sent_at - interval '2 s'")
        relay.one_round()
        assert queued() == 0
        execute("UPDATE core_job SET sent_at = sent_at - interval '1 s'")
        relay.one_round()
        assert queued() == 1

    def test_does_not_lengthen_a_queue_that_nobody_works_off(self) -> None:
        for _ in range(OUT_PER_THREAD * ASSUMED_THREADS):
            write_job(NAME)
        relay = dispatching()
        for _ in range(3):
            relay.one_round()
            execute("UPDATE core_job SET sent_at = sent_at - interval '1 minute'")
        assert queued() == OUT_PER_THREAD * ASSUMED_THREADS

    def test_sends_at_once_what_a_dead_worker_held(self) -> None:
        write_job(BULK_NAME)
        execute("UPDATE core_job SET sent_at = clock_timestamp() - interval '1 s', lease_until = clock_timestamp()")
        relay = dispatching(Queue.BULK)
        relay.one_round()
        relay.one_round()
        assert queued(Queue.BULK) == 1

    def test_what_it_has_sent_is_one_for_nothing_any_more(self) -> None:
        """Tried again, it stands beside the one that came after it. Seen red with what is kept of it."""
        write_job(NAME)
        execute("UPDATE core_job SET one_per = 'conversation:1'")
        dispatching().one_round()
        write_job(NAME)
        execute("UPDATE core_job SET one_per = 'conversation:1' WHERE sent_at IS NULL")
        execute("UPDATE core_job SET sent_at = NULL")
        assert sorted(JobRow.objects.values_list("one_per", flat=True), key=str) == [None, "conversation:1"]

    def test_leaves_alone_what_a_worker_holds(self) -> None:
        write_job(NAME)
        execute("UPDATE core_job SET sent_at = now() - interval '1 h', lease_until = now() + interval '9 s'")
        dispatching().one_round()
        assert queued() == 0

    def test_leaves_a_queue_to_the_relay_that_is_at_it(self) -> None:
        write_job(NAME)
        held, done = threading.Event(), threading.Event()

        def other_relay() -> None:
            execute("SELECT pg_advisory_lock(%s, %s)", LOCKS, DISPATCHING[Queue.CRITICAL])
            held.set()
            done.wait(5)
            execute("SELECT pg_advisory_unlock(%s, %s)", LOCKS, DISPATCHING[Queue.CRITICAL])
            connection.close()

        other = threading.Thread(target=other_relay)
        other.start()
        held.wait(5)
        dispatching().one_round()
        assert queued() == 0
        done.set()
        other.join()
        dispatching().one_round()
        assert queued() == 1

    def test_takes_back_what_redis_did_not_take(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(3):
            write_job(NAME, number=number)
        sent: list[int] = []

        def fail_at_the_second(broker: object, queue: Queue, job_id: int) -> None:
            if sent:
                raise redis.ConnectionError
            sent.append(job_id)

        monkeypatch.setattr("worker.relay.dispatching.send", fail_at_the_second)
        with pytest.raises(redis.ConnectionError):
            dispatching().one_round()
        marked = list(JobRow.objects.exclude(sent_at=None).values_list("pk", flat=True))
        assert marked == sent == [min(JobRow.objects.values_list("pk", flat=True))]


class TestThreads:
    def test_are_counted_by_queue_over_all_living_workers(self, client: redis.Redis) -> None:
        client.sadd(WORKER_THREADS, "gone")
        with (
            running(lambda stopping: tell_threads({Queue.CRITICAL: 6, Queue.BULK: 3}, stopping)),
            running(lambda stopping: tell_threads({Queue.CRITICAL: 5}, stopping)),
        ):
            until(lambda: count_threads(client, Queue.CRITICAL) == 11)
            assert count_threads(client, Queue.BULK) == 3
        assert count_threads(client, Queue.CRITICAL) == ASSUMED_THREADS
        assert client.smembers(WORKER_THREADS) == set()

    def test_are_told_as_json_that_expires(self, client: redis.Redis) -> None:
        with running(lambda stopping: tell_threads({Queue.BULK: 3}, stopping)):
            [name] = until(lambda: client.keys(f"{WORKER_THREADS}:*"))
            assert json.loads(client.get(name) or b"") == {"bulk": 3}
            assert 13 <= client.ttl(name) <= 15


class TestFullCircle:
    def test_runs_every_job_once_though_redis_forgets_all_of_them(self, pool: Pool, client: redis.Redis) -> None:
        relay = dispatching()
        for number in range(40):
            write_job(NAME, number=number)
        with running(relay.run, Wakeups(RELAY_WAKE, {relay._queue.encode(): relay._wake}).run):
            until(lambda: JobRow.objects.filter(status="done").exists())
            forget_messages(client)
            execute("UPDATE core_job SET sent_at = sent_at - interval '3 s' WHERE status = 'pending'")
            until(lambda: JobRow.objects.filter(status="done").count() == 40)
        assert EventRow.objects.count() == 40
        assert set(JobRow.objects.values_list("attempts", flat=True)) == {1}

    def test_starts_a_job_because_its_commit_says_so(self, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not because relay or worker look: that would take three quarters of a second in the middle here for each."""
        monkeypatch.setattr("worker.relay.dispatching.SWEEP_SECONDS", 1.5)
        monkeypatch.setattr("worker.broker.LOOK_SECONDS", 1.5)
        relay = dispatching()
        took = []
        wakeups = (
            Wakeups(RELAY_WAKE, {relay._queue.encode(): relay._wake}),
            Wakeups(WORKERS_WAKE, pool.wakes),
        )
        with running(relay.run, *(wakeup.run for wakeup in wakeups)):
            time.sleep(0.3)
            for _ in range(10):
                began = time.monotonic()
                job_id = write_job(NAME)
                until(partial(_done, job_id))
                took.append(time.monotonic() - began)
        assert sorted(took)[5] < 0.6

    @pytest.mark.parametrize(("queue", "name"), [(Queue.CRITICAL, NAME), (Queue.PROMPT, PROMPT_NAME)])
    def test_does_not_let_bulk_work_delay_other_work(self, pool: Pool, queue: Queue, name: str) -> None:
        bulk, quicker = dispatching(Queue.BULK), dispatching(queue)
        for _ in range(20):
            write_job(BULK_NAME, seconds=0.2)
        with running(bulk.run, quicker.run):
            until(lambda: JobRow.objects.filter(lease_until__gt=now()).exists())
            job_id = write_job(name)
            until(lambda: JobRow.objects.get(pk=job_id).status == "done", seconds=0.6)
            JobRow.objects.filter(queue=Queue.BULK).update(status="dead")

    def test_sends_a_message_that_any_worker_understands(self, pool: Pool) -> None:
        job_id = write_job(NAME)
        JobRow.objects.update(sent_at=now())
        send(make_broker(), Queue.CRITICAL, job_id)
        until(lambda: JobRow.objects.get().status == "done")
