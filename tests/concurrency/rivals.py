"""Real connections that race. Everything is committed, so each test takes away what it made."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import TypeVar

from django.db import connection
from pytest_django import DjangoDbBlocker

from backend.core.models import JobRow

T = TypeVar("T")

PATIENCE_SECONDS = 10
RIVALS = 6
"""Each holds a connection; the pool of a process has eight, and the test itself needs one."""


@contextmanager
def committed(blocker: DjangoDbBlocker) -> Iterator[None]:
    """The database without the transaction that other tests run in. The jobs that are written in it are taken away."""
    with blocker.unblock():
        before = set(JobRow.objects.values_list("pk", flat=True))
        try:
            yield
        finally:
            JobRow.objects.exclude(pk__in=before).delete()
            connection.close()


def in_background(call: Callable[[], T], patience_s: float = PATIENCE_SECONDS) -> Callable[[], T | Exception]:
    """Run it in a thread with a connection of its own; what this returns waits for the result or the error.

    It raises TimeoutError when the call is not done by then.
    """
    results: list[T | Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)
        finally:
            connection.close()

    thread = Thread(target=run, daemon=True)
    thread.start()

    def result() -> T | Exception:
        thread.join(patience_s)
        if not results:
            raise TimeoutError("the call is not done")
        return results[0]

    return result


def all_at_once(calls: Sequence[Callable[[], T]], patience_s: float = PATIENCE_SECONDS) -> list[T | Exception]:
    """Run all from one starting line, each on a connection of its own; results and errors in the order of the calls."""
    line = Barrier(len(calls))

    def runner(call: Callable[[], T]) -> Callable[[], T]:
        def run() -> T:
            connection.ensure_connection()
            line.wait(patience_s)
            return call()

        return run

    results = [in_background(runner(call), patience_s) for call in calls]
    return [result() for result in results]


def until_somebody_waits() -> None:
    """Wait until another connection waits for a lock that this one holds. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
            )
            if cursor.fetchone() == (True,):
                return
        time.sleep(0.005)
    raise TimeoutError("nobody waits")
