"""Listens for wake-ups: what was committed, or was put on a queue, is seen at once, and not only by the next look."""

import threading
from collections.abc import Mapping

import redis
import structlog

from worker.connections import redis_client

LISTEN_SECONDS = 0.2
RECONNECT_SECONDS = 0.5

log = structlog.get_logger("callout.wakeups")


class Wakeups:
    """Sets the event of whoever waits for a message of this kind. What gets lost here, their next look finds."""

    def __init__(self, channel: str, waiting: Mapping[bytes, threading.Event]) -> None:
        self._channel = channel
        self._waiting = waiting

    def run(self, stopping: threading.Event) -> None:
        deaf = False
        while not stopping.is_set():
            try:
                with redis_client(timeout_seconds=1) as client, client.pubsub() as subscription:
                    subscription.subscribe(self._channel)
                    while not stopping.is_set():
                        self._listen(subscription)
                        deaf = False
            except redis.RedisError as error:
                if not deaf:
                    log.warning("wakeups.deaf", channel=self._channel, error=type(error).__name__)
                deaf = True
                stopping.wait(RECONNECT_SECONDS)

    def _listen(self, subscription: redis.client.PubSub) -> None:
        message = subscription.get_message(ignore_subscribe_messages=True, timeout=LISTEN_SECONDS)
        if message is not None:
            event = self._waiting.get(message["data"])
            if event is not None:
                event.set()
