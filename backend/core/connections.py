"""The budget of connections to PostgreSQL: what all processes may open together, against what the server lets in."""

from backend.core.environment import Environment

ALLOWED = (
    "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    " - current_setting('reserved_connections')::int"
)
"""How many the application's role may have open, as one number."""

OPEN = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"

WORKER_SPARE = 3
"""Beside one for each thread: for renewing leases and for the health page."""
RELAY_POOL = 9
RELAY_OWN = 1
"""The session that holds the partitions; it never comes from a pool."""
OTHERS = 3
"""For migrations and for whoever looks into the database."""


def worker_threads(settings: Environment) -> int:
    """The threads of one worker process for its queues: prompt and bulk jobs get half as many as critical ones."""
    return settings.worker_threads + 2 * max(1, settings.worker_threads // 2)


def budget(settings: Environment) -> dict[str, int]:
    """The most connections that all processes of each kind open together."""
    return {
        "backend": settings.backend_replicas * settings.backend_workers * settings.database_pool_size,
        "worker": settings.worker_replicas * (worker_threads(settings) + WORKER_SPARE),
        "relay": settings.relay_replicas * (RELAY_POOL + RELAY_OWN),
        "others": OTHERS,
    }


def shortage(settings: Environment, allowed: int) -> str | None:
    """The sentence that refuses the start when the budget does not fit into what PostgreSQL allows; else None."""
    parts = budget(settings)
    needed = sum(parts.values())
    if needed <= allowed:
        return None
    listed = ", ".join(f"{name} {count}" for name, count in parts.items())
    return (
        f"The processes may open {needed} connections ({listed}), and PostgreSQL lets {allowed} in: raise its"
        " max_connections, or lower DATABASE_POOL_SIZE, BACKEND_WORKERS, WORKER_THREADS or the REPLICAS."
    )
