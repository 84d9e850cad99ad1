"""Doing something again and again, on after any absence of PostgreSQL or Redis."""

import threading
import time
from collections.abc import Callable

import redis
import structlog
from django.db import close_old_connections

from worker.connections import DATABASE_AWAY

AWAY_SECONDS = 0.3
"""How long to rest when a server is away."""

SPACING_SECONDS = 0.005
"""Between the starts of two rounds, so that many wake-ups at once make one round."""

log = structlog.get_logger("callout.relay")


def repeat(
    name: str, one_round: Callable[[], float], *, stopping: threading.Event, wake: threading.Event | None = None
) -> None:
    """Run rounds until `stopping` is set. Each returns how many seconds to rest, unless `wake` is set before."""
    rest = wake or stopping
    away = False
    while not stopping.is_set():
        began = time.monotonic()
        if wake:
            wake.clear()  # before the look: what is committed after it wakes us again
        try:
            pause = one_round()
            if away:
                log.info("relay.goes_on", part=name)
            away = False
        except (*DATABASE_AWAY, redis.RedisError) as error:
            if not away:
                log.warning("relay.waits", part=name, error=type(error).__name__)
            away, pause = True, AWAY_SECONDS
        finally:
            close_old_connections()
        (stopping if away else rest).wait(pause)
        time.sleep(max(0.0, began + SPACING_SECONDS - time.monotonic()))
