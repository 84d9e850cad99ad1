"""`/healthz` asks nobody; `/readyz` asks PostgreSQL and reports, without deciding on it, how Redis and the relay do;
`/metrics` is for this machine only."""

import ipaddress
from typing import Any

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from psycopg_pool import PoolTimeout

from backend.core import connections, draining, metrics
from backend.core.environment import environment
from backend.core.redis_link import RedisLink


def healthz(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


def readyz(_request: HttpRequest) -> HttpResponse:
    if draining.has_begun():
        return JsonResponse({"status": "draining"}, status=503)
    try:
        pending = pending_migrations()
        report: dict[str, Any] = {
            "postgresql": "up",
            "pending_migrations": pending,
            "connections": open_connections(),
            "relay_lag_seconds": relay_lag(),
        }
    except (DatabaseError, PoolTimeout):
        return JsonResponse({"status": "unready", "postgresql": "away"}, status=503)
    ready = not pending
    report |= {"status": "ready" if ready else "unready", "redis": "up" if redis_answers() else "away"}
    return JsonResponse(report, status=200 if ready else 503)


def prometheus(request: HttpRequest) -> HttpResponse:
    """The figures, for readers on this machine and not behind a proxy on it; for others there is no such address."""
    try:
        local = ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        local = False
    if not local or "X-Forwarded-For" in request.headers:
        raise Http404
    return HttpResponse(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


_migrated = False


def pending_migrations() -> int:
    """How many migrations this code has and the database has not. Once none is left, none comes back."""
    global _migrated  # noqa: PLW0603 - a fact that stays true for this process
    if _migrated:
        connection.ensure_connection()
        return 0
    executor = MigrationExecutor(connection)
    pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    _migrated = pending == 0
    return pending


def open_connections() -> dict[str, int]:
    """How many connections are open, how many all processes may open, and how many PostgreSQL lets in."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({connections.OPEN}), ({connections.ALLOWED})")
        opened, allowed = cursor.fetchone()
    return {"open": opened, "budget": sum(connections.budget(environment()).values()), "allowed": allowed}


def relay_lag() -> float:
    """Age in seconds of the oldest event without a number; 0 when none waits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(written_at)), 0)::float8"
            " FROM core_event WHERE number IS NULL"
        )
        (seconds,) = cursor.fetchone()
    return float(seconds)


_redis = RedisLink("health", timeout_s=0.2)


def redis_answers() -> bool:
    return bool(_redis.ask(lambda redis: redis.ping()))
