"""Connections of the relay and the workers, and what their absence looks like."""

import redis
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from backend.core.environment import environment

DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)


def redis_client(*, timeout_seconds: float) -> redis.Redis:
    """Redis, answering within this time or not at all: whoever calls knows what to do without it."""
    return redis.Redis.from_url(
        environment().redis_url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=None,
    )


def as_text(name: bytes | str) -> str:
    """A key or member as Redis returns it; the library's types leave open which of the two it is."""
    return name.decode() if isinstance(name, bytes) else name
