"""What every test may use."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from backend.core import clock
from backend.core.environment import environment
from backend.core.passwords import Argon2id
from backend.core.redis_link import RedisLink
from backend.core.starting import loading
from tests.support.api import Api
from tests.support.people import Member, make_member
from tests.support.world import World, make_world


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded stays: looking through it again and again was a twelfth of the suite's time."""
    with loading():
        return (yield)


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The database stands already: tests/servers.py copied it from the migrated template.

    A test's transaction may stay idle for as long as a busy machine takes to make the API at its first request.
    """
    options = connection.settings_dict["OPTIONS"]
    options["options"] += " -c idle_in_transaction_session_timeout=120000"


@pytest.fixture(scope="session", autouse=True)
def close_pool() -> Iterator[None]:
    yield
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


REAL_COSTS: dict[str, Any] = {"time_cost": Argon2id.time_cost, "memory_cost": Argon2id.memory_cost}


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """A hash that takes no time; the platforms of tests hash in earnest."""
    with patch.multiple(Argon2id, time_cost=1, memory_cost=8):
        yield


@pytest.fixture
def real_passwords() -> Iterator[None]:
    with patch.multiple(Argon2id, **REAL_COSTS):
        yield


@pytest.fixture(scope="session", autouse=True)
def files_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this process's files are kept."""
    folder = tmp_path_factory.mktemp("files")
    with override_settings(MEDIA_ROOT=folder):
        yield folder


class Moment:
    """The time that everything in this process believes in."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def forward(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


WEDNESDAY_MORNING = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Moment:
    """Pins the clock to a Wednesday morning; `at.forward(minutes=5)` moves it."""
    moment = Moment(WEDNESDAY_MORNING)
    monkeypatch.setattr(clock, "now", lambda: moment.now)
    return moment


@contextmanager
def pinned_clock(now: datetime = WEDNESDAY_MORNING) -> Iterator[Moment]:
    """The same for fixtures of a module."""
    moment = Moment(now)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clock, "now", lambda: moment.now)
        yield moment


_limits = RedisLink("rate limits", timeout_s=10)


@pytest.fixture
def limits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are counted, in keys of this test alone, by a Redis that may take its time on a busy machine."""
    changed = environment().model_copy(update={"rate_limits": True})
    monkeypatch.setattr("backend.core.limits.environment", lambda: changed)
    monkeypatch.setattr("backend.core.limits.RATE_LIMIT", f"tests:{uuid4().hex}")
    monkeypatch.setattr("backend.core.limits._redis", _limits)


@pytest.fixture
def api() -> Api:
    """The API as anyone meets it: `api.post("/auth/login/", {...})`, or `api.as_(member).get("/me/")`."""
    return Api()


@pytest.fixture
def member(db: None) -> Callable[..., Member]:
    """Makes people: `member("assistant", name="Ana")` is signed in."""
    return make_member


@pytest.fixture(scope="module")
def kept_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Made once for the tests of a module, in a transaction around theirs."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_world()
        transaction.set_rollback(True)


@pytest.fixture
def world(kept_world: World, db: None) -> World:
    """A job under way and everybody who may want something of it. What a test does to it is taken back."""
    return kept_world


@contextmanager
def owners_transaction(blocker: DjangoDbBlocker) -> Iterator[None]:
    """This process's connection is the owner's, in a transaction that leaves nothing."""
    ordinary = connections["default"]
    owner = connections.create_connection("default")
    url = urlsplit(environment().owner_url)
    options = {name: value for name, value in ordinary.settings_dict["OPTIONS"].items() if name != "pool"}
    owner.settings_dict = {
        **ordinary.settings_dict,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "OPTIONS": options,
    }
    connections["default"] = owner
    try:
        with blocker.unblock(), transaction.atomic():
            yield
            transaction.set_rollback(True)
    finally:
        with blocker.unblock():
            owner.close()
        connections["default"] = ordinary


@pytest.fixture
def as_owner(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with owners_transaction(django_db_blocker):
        yield
