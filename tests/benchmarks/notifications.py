"""A fan-out to ten thousand lists, and how long a critical job waits meanwhile: relay and workers as they are."""

import random
import time
from datetime import UTC, datetime

from redis import Redis

from shared_contracts.redis_keys import RELAY_WAKE
from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.stage import Bench, Platform

GROUP = "notifications"
PEOPLE = 10_000
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 300

_CRITICAL = """
INSERT INTO core_job (name, queue, arguments, request_id, status, run_at, fence, attempts, last_error)
VALUES ('dispatch.expire_request', 'critical', '{"assistance_id": 0, "round": 1}', 'fan-out', 'pending',
  clock_timestamp(), 0, 0, '')
"""
_LEFT = "SELECT count(*) FROM core_job WHERE status = 'pending' AND name = 'notifications.tell'"
_WAITED = """
SELECT extract(epoch FROM finished_at - created_at)::float8 * 1000 FROM core_job
WHERE request_id = 'fan-out' AND status = 'done'
"""
_TOLD = "SELECT count(*) FROM notifications_notification WHERE source = %s"


def run(bench: Bench) -> None:
    with bench.platform("worker", "relay", LOG_LEVEL="WARNING") as platform:
        _fan_out(bench, platform, bench.pick(PEOPLE, 2000))


def _fan_out(bench: Bench, platform: Platform, size: int) -> None:
    from backend.notifications import public  # Django is set up from here on

    source = f"announcement:{random.randrange(10**9)}"
    redis = Redis.from_url(platform.environment["REDIS_URL"])
    with platform.database() as database:
        people = [user for user, _ in world.people(database, f"told{random.randrange(10**9)}-", "client", size)]
        database.execute("VACUUM ANALYZE accounts_user")
        time.sleep(2)  # what starting up costs is not measured
        began = time.perf_counter()
        public.announce(user_ids=people, title="News", text="All is well.", source=source, now=datetime.now(UTC))
        while _number(database, _LEFT):
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError("the fan-out does not end")
            database.execute(_CRITICAL)
            redis.publish(RELAY_WAKE, "jobs")
            time.sleep(PAUSE_SECONDS)
        seconds = time.perf_counter() - began
        time.sleep(1)
        told = _number(database, _TOLD, source)
        if told != size:
            raise RuntimeError(f"{told} of {size} were told")
        waited = [float(str(row[0])) for row in database.execute(_WAITED).fetchall()]
    redis.close()
    bench.add(GROUP, f"a fan-out to {size} lists and sockets", seconds, "s")
    bench.add(GROUP, "meanwhile: commit → critical job done, median", median(waited), "ms")
    bench.add(GROUP, "meanwhile: commit → critical job done, p99", percentile(waited, 0.99), "ms", 100)


def _number(database: world.Database, statement: str, *values: str) -> int:
    row = database.execute(statement.encode(), list(values) or None).fetchone()
    return int(str(row[0])) if row else 0
