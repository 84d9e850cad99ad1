"""Waking the relay after a commit: one publish, fifty milliseconds at most, and none while Redis is away."""

import time
from functools import cache
from typing import Literal

import redis
import structlog

from backend.core.environment import environment
from shared_contracts.redis_keys import RELAY_WAKE

TIMEOUT_SECONDS = 0.05
REST_SECONDS = 1.0
"""After a failure nobody tries for so long: a deaf Redis costs one request fifty milliseconds, not every one."""

log = structlog.get_logger("callout.wakeup")
_resting_until = 0.0


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        environment().redis_url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=None,
    )


def wake_relay(what: Literal["events", "jobs"]) -> None:
    """Tell the relay that something waits. Best effort: its own sweep finds what this call could not tell."""
    global _resting_until  # noqa: PLW0603 - the circuit breaker of this process
    if time.monotonic() < _resting_until:
        return
    try:
        _client().publish(RELAY_WAKE, what)
    except redis.RedisError as error:
        _resting_until = time.monotonic() + REST_SECONDS
        log.warning("relay.not_woken", error=type(error).__name__)
