"""Dramatiq, reduced to a carrier of ids: no retries, no delays, no results. All of these are columns of `core_job`."""

import threading
from collections.abc import Iterable
from typing import Any

import dramatiq.worker
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker

from shared_contracts.jobs import RUN_JOB, Queue
from worker.connections import redis_client

NAMESPACE = "callout:dramatiq"

LOOK_SECONDS = 0.25
"""An idle worker looks for messages this often; the relay wakes it when there are some."""

# After a lost connection Dramatiq would rest for 3 and 5 seconds.
dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = 0.5
dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS = 1


class Carrier(RedisBroker):
    """Dramatiq's broker, whose workers sleep until they are woken: with looks every 20 ms, as a short delay wants them
    otherwise, a worker at rest takes a fifth of a core. Nor are there queues of delayed messages to be looked at."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.woken = threading.Event()
        """Set it when there may be messages."""

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 0) -> Consumer:
        return _Sleeper(super().consume(queue_name, prefetch, timeout=0), self.woken)


class _Sleeper(Consumer):
    """Looks at once after it was woken, or was rid of a message; else a few times a second."""

    def __init__(self, consumer: Consumer, woken: threading.Event) -> None:
        self._consumer = consumer
        self._woken = woken

    def __next__(self) -> MessageProxy | None:
        self._woken.clear()  # before the look: what is sent after it wakes us again
        message = next(self._consumer)
        if message is None:
            self._woken.wait(LOOK_SECONDS)
        return message

    def ack(self, message: MessageProxy) -> None:
        self._consumer.ack(message)
        self._woken.set()

    def nack(self, message: MessageProxy) -> None:
        self._consumer.nack(message)
        self._woken.set()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._consumer.requeue(messages)

    def close(self) -> None:
        self._consumer.close()


def make_broker() -> Carrier:
    # A dead worker's messages come back after 15 s; the defaults were seen to take more than four minutes.
    return Carrier(
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
