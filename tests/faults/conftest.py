"""One platform for all fault tests, on one worker of xdist."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli.unprivileged import temporary_home
from tests.faults.harness import Field


@pytest.fixture(scope="session")
def field() -> Iterator[Field]:
    """The platform to be hurt: it has its own PostgreSQL, its own Redis and nobody on it."""
    with temporary_home() as home, Field(home) as platform:
        yield platform


SECONDS = ("relay-2", "worker-2", "backend-2", "realtime-2")


@pytest.fixture
def pairs(field: Field) -> Iterator[Field]:
    """Two of each process; the second ones are down between tests."""
    for name in SECONDS:
        if name in field.ports:
            field.keeper(name).release()
        else:
            field.add(name)
    yield field
    for name in SECONDS:
        field.keeper(name).hold(kill=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("faults"))
