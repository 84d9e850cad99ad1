"""The relay and the workers see what is committed: these tests commit, and empty the spine's tables around each."""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import pytest
import redis
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from backend.core import jobs, timetable
from backend.core.clock import now
from backend.core.outbox import emit
from shared_contracts.events import SessionEnded
from shared_contracts.redis_keys import NODES
from worker.connections import redis_client
from worker.process import Part
from worker.relay.partitions import APPLICATION

T = TypeVar("T")

SPINE = "core_event, core_room_head, core_job, core_timer, core_idempotent_answer"


def _empty() -> None:
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute(f"TRUNCATE {SPINE}")
    with redis_client(timeout_seconds=2) as client:
        client.flushdb()


@pytest.fixture
def spine(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Real transactions on empty tables, and an empty Redis."""
    with django_db_blocker.unblock():
        _empty()
        yield
        _empty()
        connection.close()


@pytest.fixture
def client(spine: None) -> Iterator[redis.Redis]:
    with redis_client(timeout_seconds=2) as client:
        yield client


@pytest.fixture
def room() -> str:
    """A room that no other process of this test run writes to: channels are shared by all databases of a Redis."""
    return f"user:{random.randrange(10**9, 10**12)}"


@pytest.fixture
def known_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test registers with `@job` and `every` is forgotten after it."""
    monkeypatch.setattr(jobs, "_registry", dict(jobs._registry))
    monkeypatch.setattr(timetable, "_entries", {})


@contextmanager
def running(*parts: Part) -> Iterator[threading.Event]:
    """These parts in threads of their own. Fails when one raises or does not stop in time."""
    stopping = threading.Event()
    failures: list[BaseException] = []

    def run(part: Part) -> None:
        try:
            part(stopping)
        except BaseException as failure:  # noqa: BLE001 - told by the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(part,), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    try:
        yield stopping
    finally:
        stopping.set()
        for thread in threads:
            thread.join(10)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def until(look: Callable[[], T], *, seconds: float = 10) -> T:
    """The first true value, looked for a hundred times a second."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found


def write(*rooms: str, reason: str = "") -> list[int]:
    """Commit one event in each of these rooms; returns the rows' ids."""
    with transaction.atomic():
        return emit(SessionEnded(reason=reason), rooms=rooms, now=now())


def write_job(name: str, **arguments: Any) -> int:
    with transaction.atomic():
        return jobs.enqueue(name, now=now(), **arguments)


def execute(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def relay_sessions() -> list[int]:
    """The backend processes of the relays' own connections, oldest first."""
    found = execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"
        " ORDER BY backend_start",
        APPLICATION,
    )
    return [pid for (pid,) in found]


class Listener:
    """Hears some channels from the moment it is made."""

    def __init__(self, client: redis.Redis, *channels: str) -> None:
        self._subscription = client.pubsub(ignore_subscribe_messages=True)
        self._subscription.subscribe(*channels)
        for _ in channels:
            assert self._subscription.get_message(timeout=2) is None

    def hear(self, count: int = 1, *, seconds: float = 5) -> list[dict[str, Any]]:
        """The next messages; fewer when no more come in time."""
        heard: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds
        while len(heard) < count and (left := deadline - time.monotonic()) > 0:
            message = self._subscription.get_message(timeout=left)
            if message is not None:
                heard.append(json.loads(message["data"]))
        return heard

    def close(self) -> None:
        self._subscription.close()


@pytest.fixture
def listen(client: redis.Redis) -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def make(*channels: str) -> Listener:
        listeners.append(Listener(client, *channels))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.close()


@pytest.fixture
def nodes(listen: Callable[..., Listener]) -> Listener:
    """What every sidecar hears."""
    return listen(NODES)
