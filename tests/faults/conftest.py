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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("faults"))
