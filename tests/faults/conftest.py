"""One platform for all fault tests, on one worker of xdist."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli.unprivileged import temporary_home
from tests.faults.harness import Field, all_at_once


@pytest.fixture(scope="package")
def platform() -> Iterator[Field]:
    """The platform to be hurt: it has its own PostgreSQL, its own Redis and nobody on it.

    It ends with the last test here: at rest it takes a twentieth of a core, with two of each process twice that.
    """
    with temporary_home() as home, Field(home) as platform:
        yield platform


SECONDS = ("relay-2", "worker-2", "backend-2", "realtime-2")


@pytest.fixture
def field(platform: Field) -> Field:
    """One of each process."""
    all_at_once(lambda name: platform.keeper(name).hold(kill=True), [one for one in SECONDS if one in platform.ports])
    return platform


@pytest.fixture
def pairs(platform: Field) -> Field:
    """Two of each process. They stay until a test wants one of each."""
    new = [name for name in SECONDS if name not in platform.ports]
    all_at_once(platform.add, new)
    down = [name for name in SECONDS if not platform.keeper(name).is_alive()]
    all_at_once(lambda name: platform.keeper(name).release(), down)
    return platform


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one worker of xdist, and those that want two of each process one after the other: it takes seconds."""
    here = Path(__file__).parent
    places = [index for index, item in enumerate(items) if here in item.path.parents]
    ours = sorted((items[index] for index in places), key=lambda item: "pairs" in getattr(item, "fixturenames", ()))
    for index, item in zip(places, ours, strict=True):
        items[index] = item
