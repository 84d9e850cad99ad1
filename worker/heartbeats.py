"""How many threads of each queue the workers run, told through Redis by each of them."""

import json
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress

import redis

from shared_contracts.jobs import Queue
from shared_contracts.redis_keys import WORKER_THREADS
from worker.connections import as_text, redis_client

BEAT_SECONDS = 5
EXPIRY_SECONDS = 15
ASSUMED_THREADS = 4
"""Of each queue, while no worker is known: one may have started under a Redis that has just been emptied."""


def tell_threads(threads: Mapping[Queue, int], stopping: threading.Event) -> None:
    """Tell this worker's threads until `stopping` is set."""
    client = redis_client(timeout_seconds=1)
    name = uuid.uuid4().hex
    key = f"{WORKER_THREADS}:{name}"
    beat = json.dumps(threads)
    while not stopping.is_set():
        try:
            with client.pipeline() as pipeline:
                pipeline.set(key, beat, ex=EXPIRY_SECONDS)
                pipeline.sadd(WORKER_THREADS, name)
                pipeline.execute()
            stopping.wait(BEAT_SECONDS)
        except redis.RedisError:
            stopping.wait(1)
    with suppress(redis.RedisError):  # then it expires
        client.delete(key)


def count_threads(client: redis.Redis, queue: Queue) -> int:
    """The threads of all living workers for this queue. Raises redis.RedisError."""
    names = sorted(map(as_text, client.smembers(WORKER_THREADS)))
    if not names:
        return ASSUMED_THREADS
    beats = client.mget([f"{WORKER_THREADS}:{name}" for name in names])
    gone = [name for name, beat in zip(names, beats, strict=True) if beat is None]
    if gone:
        client.srem(WORKER_THREADS, *gone)
    known = [json.loads(beat) for beat in beats if beat is not None]
    return sum(beat.get(queue.value, 0) for beat in known) if known else ASSUMED_THREADS
