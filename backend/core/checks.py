"""Checks at start: what would otherwise be found out at three in the morning."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.db import connection

from backend.core import connections
from backend.core.environment import environment

MINIMUM_POSTGRESQL = 18_00_00
"""`RETURNING old.…` tells a transition what it changed."""


@register("database")
def check_postgresql(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """PostgreSQL is new enough. Runs with `check --database default` and before migrations."""
    if not databases:
        return []
    with connection.cursor():
        version = connection.pg_version  # type: ignore[attr-defined]
    if version < MINIMUM_POSTGRESQL:
        return [Error(f"PostgreSQL 18 or newer is needed, this is {version // 10000}.", id="core.E001")]
    return []


@register("database")
def check_connections(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """PostgreSQL lets in as many connections as all processes together may open."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute(connections.ALLOWED)
        (allowed,) = cursor.fetchone()
    sentence = connections.shortage(environment(), allowed)
    return [Error(sentence, id="core.E002")] if sentence else []
