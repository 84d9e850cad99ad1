"""Folders for servers of our own, beside the suite's, reachable by the servers' account when the suite runs as root."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli.unprivileged import temporary_home


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty folder, thrown away."""
    with temporary_home() as folder:
        yield folder


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """One folder for the tests of a module, one after the other: making a database's files is what takes long."""
    with temporary_home() as folder:
        made = folder / "it's here"
        made.mkdir()
        yield made
