"""Pictures that were sent, decoded by a process of their own, one at a time."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import structlog

from backend.core.errors import Unavailable
from backend.media.errors import InvalidImage

PROGRAM = Path(__file__).parents[1] / "decoding.py"
REFUSED = 3
SECONDS = 15
"""Longer than the processor time it may use: a busy machine is no reason to refuse a picture."""
WAIT_SECONDS = 10

_one_at_a_time = Lock()

log = structlog.get_logger("callout.pictures")


def decode(purpose: str, source: Path, folder: Path, sizes: Sequence[int] = ()) -> None:
    """Have `decoding.py` write its copies of the picture into the folder.

    Raises InvalidImage with a sentence, or Unavailable when others' pictures keep it busy.
    """
    if not _one_at_a_time.acquire(timeout=WAIT_SECONDS):
        raise Unavailable("Many pictures are being looked at; try again in a moment.")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(PROGRAM), purpose, str(source), str(folder), *map(str, sizes)],
            env={},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InvalidImage("It takes too long to read.") from None
    finally:
        _one_at_a_time.release()
    if done.returncode == REFUSED:
        raise InvalidImage(done.stdout)
    if done.returncode != 0:
        log.warning("picture.killed_the_decoder", code=done.returncode, said=done.stderr[-300:])
        raise InvalidImage("It takes more time or memory to read than a picture may.")
