"""The last moments of a backend: it is not ready any more, and answers all the same.

A balancer that looks who is ready sends its requests elsewhere before anything is closed. The word passes to the
worker processes by a file beside the figures that they share.
"""

import os
from pathlib import Path


def begin() -> None:
    """From now on `/readyz` says no. Without a folder that the processes share, nobody hears of it."""
    if file := _file():
        file.touch()


def has_begun() -> bool:
    file = _file()
    return file is not None and file.exists()


def _file() -> Path | None:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder, "draining") if folder else None
