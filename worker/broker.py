"""Dramatiq, reduced to a carrier of ids: no retries, no delays, no results. All of these are columns of `core_job`."""

import dramatiq.worker
from dramatiq.brokers.redis import RedisBroker

from shared_contracts.jobs import RUN_JOB, Queue
from worker.connections import redis_client

NAMESPACE = "callout:dramatiq"

WORKER_TIMEOUT_MS = 20
"""An idle worker looks for messages this often; at Dramatiq's second a job would wait 280 ms for its start."""

# After a lost connection Dramatiq would rest for 3 and 5 seconds.
dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = 0.5
dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS = 1


def make_broker() -> RedisBroker:
    # A dead worker's messages come back after 15 s; the defaults were seen to take more than four minutes.
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=redis_client(timeout_seconds=2),
        namespace=NAMESPACE,
        middleware=[],
        heartbeat_timeout=15_000,
        maintenance_chance=200_000,
    )


def send(broker: RedisBroker, queue: Queue, job_id: int) -> None:
    """Put one message on the queue. Raises redis.RedisError when Redis is away."""
    broker.enqueue(dramatiq.Message(queue_name=queue.value, actor_name=RUN_JOB, args=(job_id,), kwargs={}, options={}))


def waiting(broker: RedisBroker, queue: Queue) -> int:
    """How many messages no worker has fetched yet."""
    return int(broker.client.llen(f"{NAMESPACE}:{queue.value}"))
