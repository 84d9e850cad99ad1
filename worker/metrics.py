"""The figures of the relay and the workers. Jobs by outcome are `backend.core.metrics.JOBS`."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS_NUMBERED = Counter("callout_events_numbered_total", "Events that got their number.")
EVENTS_PUBLISHED = Counter("callout_events_published_total", "Numbered events handed to Redis.")
PUBLISH_FAILURES = Counter("callout_publish_failures_total", "Batches of events that did not reach Redis in time.")
PARTITIONS_HELD = Gauge("callout_partitions_held", "Partitions of events that this relay numbers.")
RELAY_LAG = Gauge("callout_relay_lag_seconds", "Age of the oldest event without a number.")
JOBS_SENT = Counter("callout_jobs_sent_total", "Jobs handed to Dramatiq, repeats included.", ["queue"])
JOB_START_DELAY = Histogram(
    "callout_job_start_delay_seconds",
    "From the moment a job was due to its start.",
    ["queue"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
POSITIONS_FLUSHED = Counter("callout_positions_flushed_total", "Positions written to PostgreSQL.")
POSITIONS_DROPPED = Counter("callout_positions_dropped_total", "Positions that could not be read or written.")
