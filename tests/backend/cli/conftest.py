"""A folder for servers of our own, beside the suite's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli.unprivileged import temporary_home


@pytest.fixture
def home() -> Iterator[Path]:
    """Thrown away, and reachable by the servers' account when the suite runs as root."""
    with temporary_home() as folder:
        yield folder
