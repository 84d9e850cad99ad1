"""When this process looks for garbage: never through all connections at once while people wait.

What is freed is freed by reference counts, a closed socket with all that belongs to it included (a test holds that).
Python's collector only finds what holds itself, and its full round stops the process for a second with 10,000 sockets
open (seen: p99 of a delivery 1.1 s). So what is young is looked through as ever, some milliseconds at a time; what has
grown old is looked through while hardly anybody is here, and at the latest after a day.
"""

import asyncio
import gc
import time
from collections.abc import Callable

FEW_SOCKETS = 50
LOOK_SECONDS = 60
LATEST_SECONDS = 24 * 3600

_NEVER = 2**31 - 1


def leave_the_old_alone() -> None:
    """From now on no full round comes by itself, and none looks at what is there now: the program."""
    young, middle, _ = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, middle, _NEVER)


async def keep_tidy(count_sockets: Callable[[], int]) -> None:
    """Make the full rounds, for ever."""
    made_at = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if count_sockets() <= FEW_SOCKETS or time.monotonic() - made_at > LATEST_SECONDS:
            gc.collect()
            made_at = time.monotonic()
