"""Dramatiq's workers, one for each queue: bulk work never takes a thread from critical work."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dramatiq
from django.db import connection

from backend.core.environment import environment
from shared_contracts.jobs import RUN_JOB, Queue
from shared_contracts.redis_keys import WORKERS_WAKE
from worker.broker import LOOK_SECONDS, Carrier, make_broker
from worker.connections import report_eviction
from worker.health import listen
from worker.heartbeats import tell_threads
from worker.process import Process
from worker.running import Runner
from worker.wakeups import Wakeups

GRACE_SECONDS = 20
WATCH_SECONDS = 0.5


class Pool:
    """The threads that run jobs. `run` is given each job's id and must not raise."""

    def __init__(self, threads: Mapping[Queue, int], run: Callable[[int], object]) -> None:
        brokers = {queue: make_broker() for queue in threads}
        self._workers = [_make_worker(brokers[queue], queue, count, run) for queue, count in threads.items()]
        self.wakes = {queue.encode(): broker.woken for queue, broker in brokers.items()}
        """What to set when the relay has put something on a queue."""

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def watch(self, stopping: threading.Event) -> None:
        """Return when a thread of Dramatiq has died: it starts no other in its place."""
        while not stopping.wait(WATCH_SECONDS):
            for worker in self._workers:
                if not all(thread.is_alive() for thread in (*worker.workers, *worker.consumers.values())):
                    return

    def stop(self) -> None:
        """Finish what runs, for twenty seconds at most, and give the rest back."""
        stops = [threading.Thread(target=worker.stop, args=(GRACE_SECONDS * 1000,)) for worker in self._workers]
        for stop in stops:
            stop.start()
        for stop in stops:
            stop.join()


def serve(threads: Mapping[Queue, int]) -> int:
    """Run jobs until a signal comes (0) or a part fails (1)."""
    process = Process()
    runner = Runner()
    pool = Pool(threads, runner.run)
    report_eviction()

    def report() -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return {"threads": dict(threads), "running": runner.running}

    process.start("health", listen(environment().worker_health_port, report).run)
    process.start("leases", runner.renew)
    process.start("heartbeats", partial(tell_threads, threads))
    process.start("wakeups", Wakeups(WORKERS_WAKE, pool.wakes).run)
    pool.start()
    process.start("watch", pool.watch)
    code = process.wait()
    pool.stop()
    process.stop()
    return code


def _make_worker(broker: Carrier, queue: Queue, threads: int, run: Callable[[int], object]) -> dramatiq.Worker:
    def run_job(job_id: int) -> None:
        run(job_id)

    dramatiq.actor(actor_name=RUN_JOB, queue_name=queue.value, broker=broker)(run_job)
    return dramatiq.Worker(
        broker, queues={queue.value}, worker_timeout=int(LOOK_SECONDS * 1000), worker_threads=threads
    )
