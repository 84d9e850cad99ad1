"""The whole platform as real processes, for tests that need more than one: started once in a test process.

It has a database of its own on the suite's PostgreSQL, and a Redis of its own: channels know no databases.
"""

import os
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from typing import Any

import psycopg
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from backend.cli import database
from backend.cli.stack import ROOT, Stack
from backend.cli.unprivileged import temporary_home
from tests.servers import copy_template, servers, with_database

FREE_PORTS = {"backend": 0, "realtime": 0, "worker": 0, "relay": 0}


class Platform(Stack):
    """A running stack with the demo data, and what tests want of it besides HTTP and sockets."""

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database says, read as its owner."""
        with psycopg.connect(self.environment["DATABASE_OWNER_URL"]) as connection:
            return connection.execute(query, values or None).fetchall()

    def move_clock(self, by: timedelta) -> None:
        database.advance_clock(self.environment, by)


_kept = ExitStack()


@cache
def _start() -> Platform:
    name = f"stack_{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"
    found = servers()
    copy_template(found, name)
    env = {
        "DATABASE_URL": with_database(found["app"], name),
        "DATABASE_OWNER_URL": with_database(found["owner"], name),
        "REDIS_URL": "",
        "ENVIRONMENT": "development",
        "CLOCK_MOVABLE": "true",
    }
    home = _kept.enter_context(temporary_home())
    return _kept.enter_context(Platform(home, ports=FREE_PORTS, env=env, migrate=False, seed=True, durable=False))


@pytest.fixture
def stack() -> Platform:
    """Backend, relay, worker and sidecar with the demo data, without rate limits, on a clock that can be moved.

    Started for the first test that wants it, stopped after the last one: at rest it takes a fifth of a core.
    """
    return _start()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if _platform(item.location[0]) == USED_HERE and (nextitem is None or _platform(nextitem.location[0]) != USED_HERE):
        _start.cache_clear()
        _kept.close()


class OnePlatform(LoadScopeScheduling):
    """Hands out tests one by one, but all of those that share what takes long to make to the same worker: once.

    (`--dist loadgroup` would do, but pytest-xdist 3.8 loses its groups under pytest 9.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _platform(file) or (file if _is_shared(file) else nodeid)


USED_HERE = "tests.support.stack import"
PLATFORMS = (USED_HERE, "tests.faults.harness import")
"""What tells whose platform a file's tests use: the demo's, or that of the faults, which are in turn: two at once would
wait for each other."""


@cache
def _platform(file: str) -> str:
    """Which of the platforms the tests in this file use, if any."""
    text = (ROOT / file).read_text()
    return next((mark for mark in PLATFORMS if mark in text), "")


@cache
def _is_shared(file: str) -> bool:
    """Whether the tests in this file share a virtual environment, a home of servers, or the like."""
    text = (ROOT / file).read_text()
    return 'scope="module"' in text or "used_home" in text


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OnePlatform:
    return OnePlatform(config, log)
