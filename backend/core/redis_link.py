"""Redis, when it is there: a request never waits long for it, and not at all for a second after it failed.

Nothing asked here may be needed: `ask` answers None while Redis is away, slow or deaf.
"""

import time
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.core.environment import environment

REST_SECONDS = 1.0
"""A deaf Redis costs one request its time limit, not every one."""

log = structlog.get_logger("callout.redis")

Answer = TypeVar("Answer")


class RedisLink:
    """One use of Redis with its own time limit (seconds) and circuit breaker, shared by the process's threads."""

    def __init__(self, purpose: str, *, timeout_s: float) -> None:
        self.purpose = purpose
        self.timeout_s = timeout_s
        self._resting_until = 0.0

    @cached_property
    def client(self) -> redis.Redis:
        """The connection pool itself, for what must be prepared once, such as a script."""
        return redis.Redis.from_url(
            environment().redis_url,
            socket_timeout=self.timeout_s,
            socket_connect_timeout=self.timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    def ask(self, question: Callable[[redis.Redis], Answer]) -> Answer | None:
        """The answer, or None when Redis did not give one in time."""
        if time.monotonic() < self._resting_until:
            return None
        try:
            return question(self.client)
        except redis.RedisError as error:
            self._resting_until = time.monotonic() + REST_SECONDS
            log.warning("redis.away", purpose=self.purpose, error=type(error).__name__)
            return None
