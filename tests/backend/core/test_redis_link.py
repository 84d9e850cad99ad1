"""What is said to Redis without waiting for an answer."""

import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

from backend.core.environment import environment
from backend.core.redis_link import RedisLink


class TestSay:
    @pytest.fixture
    def link(self) -> RedisLink:
        return RedisLink("tests", timeout_s=0.2)

    @pytest.fixture
    def listener(self) -> Iterator[redis.client.PubSub]:
        with redis.Redis.from_url(environment().redis_url, decode_responses=True) as client:
            self.channel = f"tests-{uuid4().hex}"
            with client.pubsub() as listener:
                listener.subscribe(self.channel)
                assert listener.get_message(timeout=5) is not None
                yield listener

    def heard(self, listener: redis.client.PubSub) -> str:
        message = listener.get_message(timeout=5)
        assert message is not None
        return str(message["data"])

    def test_is_heard_in_order(self, link: RedisLink, listener: redis.client.PubSub) -> None:
        for number in range(100):
            link.say("PUBLISH", self.channel, str(number))
        assert [self.heard(listener) for _ in range(100)] == [str(number) for number in range(100)]

    def test_goes_on_after_the_connection_was_closed(self, link: RedisLink, listener: redis.client.PubSub) -> None:
        """Seen red without the second try."""
        link.say("PUBLISH", self.channel, "before")
        assert self.heard(listener) == "before"
        link._mute._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        link.say("PUBLISH", self.channel, "after")
        assert self.heard(listener) == "after"

    def test_rests_while_redis_is_away(self, link: RedisLink) -> None:
        link.client = redis.Redis(port=9)
        link.say("PUBLISH", "tests", "x")
        began = time.monotonic()
        for _ in range(1000):
            link.say("PUBLISH", "tests", "x")
        assert time.monotonic() - began < 0.5
