"""The end of tasks."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_SECONDS = 1.0


async def end(tasks: Iterable[asyncio.Task[Any]], *, again: float = AGAIN_SECONDS) -> None:
    """Cancel them and wait until they have ended; after so many seconds, cancel again whoever goes on.

    Up to Python 3.11 a cancellation is lost where `asyncio.wait_for` has its result at the same moment, and redis-py
    sends with it.
    """
    pending = every = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again)
    await asyncio.gather(*every, return_exceptions=True)
