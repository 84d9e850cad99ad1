"""The backend's figures for Prometheus. Several processes share them through PROMETHEUS_MULTIPROC_DIR, when set."""

import os

from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

REQUESTS = Histogram(
    "callout_request_seconds",
    "How long requests took, by method, route and status.",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
JOBS = Counter("callout_jobs_total", "Jobs run, by name and outcome (done, failed, dead, lost).", ["name", "outcome"])


def exposition() -> bytes:
    """All figures in Prometheus's text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(PROCESS_REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
