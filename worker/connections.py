"""Connections of the relay and the workers, and what their absence looks like."""

import redis
import structlog
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from backend.core.environment import environment

log = structlog.get_logger("callout.redis")

DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)


def redis_client(*, timeout_seconds: float) -> redis.Redis:
    """Redis, answering within this time or not at all: whoever calls knows what to do without it."""
    return redis.Redis.from_url(
        environment().redis_url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=None,
    )


def report_eviction() -> None:
    """Say loudly that this Redis throws keys away when it is full: jobs sent and threads told would go one by one."""
    try:
        with redis_client(timeout_seconds=1) as client:
            policy = client.info("memory").get("maxmemory_policy")
    except redis.RedisError:
        return  # it is away, and everyone who needs it says so
    if policy != "noeviction":
        log.error("redis.may_evict", maxmemory_policy=policy, remedy="set Redis' maxmemory-policy to noeviction")


def as_text(name: bytes | str) -> str:
    """A key or member as Redis returns it; the library's types leave open which of the two it is."""
    return name.decode() if isinstance(name, bytes) else name
