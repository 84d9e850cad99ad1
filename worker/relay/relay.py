"""The relay: numbers and publishes events, hands out jobs, flushes positions, keeps the timetable."""

import threading
from typing import Any

from backend.core.environment import environment
from backend.core.health import relay_lag
from backend.dispatch.public import record_positions
from shared_contracts.jobs import Queue
from shared_contracts.redis_keys import RELAY_WAKE
from worker import metrics
from worker.connections import report_eviction
from worker.health import listen
from worker.process import Process
from worker.relay import timetable
from worker.relay.dispatching import Dispatching
from worker.relay.numbering import Numbering
from worker.relay.positions import Positions
from worker.relay.publishing import Publishing
from worker.wakeups import Wakeups


def serve() -> int:
    """Run until a signal comes (0) or a part fails (1)."""
    process = Process()
    events, jobs = threading.Event(), {queue: threading.Event() for queue in Queue}
    wakes = {b"events": events, **{queue.encode(): wake for queue, wake in jobs.items()}}
    publishing = Publishing()
    numbering = Numbering(publishing=publishing, wake=events)
    report_eviction()

    def report() -> dict[str, Any]:
        lag = relay_lag()
        metrics.RELAY_LAG.set(lag)
        return {"partitions": sorted(numbering.held), "relay_lag_seconds": lag}

    process.start("health", listen(environment().relay_health_port, report).run)
    process.start("publishing", publishing.run)
    process.start("numbering", numbering.run)
    for queue, wake in jobs.items():
        process.start(f"dispatching-{queue}", Dispatching(queue, wake=wake).run)
    process.start("positions", Positions(record_positions).run)
    process.start("timetable", timetable.run)
    process.start("wakeups", Wakeups(RELAY_WAKE, wakes).run)
    code = process.wait()
    process.stop()
    return code
