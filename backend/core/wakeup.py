"""Waking the relay after a commit: one publish, fifty milliseconds at most, and none while Redis is away."""

from typing import Literal

from backend.core.redis_link import RedisLink
from shared_contracts.jobs import Queue
from shared_contracts.redis_keys import RELAY_WAKE

_redis = RedisLink("wake the relay", timeout_s=0.05)


def wake_relay(what: Literal["events"] | Queue) -> None:
    """Tell the relay that events wait, or jobs of a queue. Best effort: its own look finds what this could not tell."""
    _redis.say("PUBLISH", RELAY_WAKE, what)
