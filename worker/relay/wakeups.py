"""Listens for wake-ups: a commit or the end of a job is acted on at once, and not only by the next sweep."""

import threading
from collections.abc import Mapping

import redis
import structlog

from shared_contracts.redis_keys import RELAY_WAKE
from worker.connections import redis_client

LISTEN_SECONDS = 0.2
RECONNECT_SECONDS = 0.5

log = structlog.get_logger("callout.relay")


class Wakeups:
    """Sets the events of all who wait for a message of this kind. What gets lost here, the sweeps find."""

    def __init__(self, waiting: Mapping[bytes, tuple[threading.Event, ...]]) -> None:
        self._waiting = waiting

    def run(self, stopping: threading.Event) -> None:
        deaf = False
        while not stopping.is_set():
            try:
                with redis_client(timeout_seconds=1) as client, client.pubsub() as subscription:
                    subscription.subscribe(RELAY_WAKE)
                    while not stopping.is_set():
                        self._listen(subscription)
                        deaf = False
            except redis.RedisError as error:
                if not deaf:
                    log.warning("relay.deaf", error=type(error).__name__)
                deaf = True
                stopping.wait(RECONNECT_SECONDS)

    def _listen(self, subscription: redis.client.PubSub) -> None:
        message = subscription.get_message(ignore_subscribe_messages=True, timeout=LISTEN_SECONDS)
        if message is not None:
            for event in self._waiting.get(message["data"], ()):
                event.set()
