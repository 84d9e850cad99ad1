"""What is said to Redis without waiting for an answer, and asked of it at every request."""

import socket
from collections.abc import Iterator
from typing import cast
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.core.environment import environment
from backend.core.redis_link import RedisLink, Script


@pytest.fixture
def link() -> RedisLink:
    return RedisLink("tests", timeout_s=5)


class TestEvaluate:
    def test_asks_again_when_redis_knows_nothing_of_it_any_more(self, link: RedisLink) -> None:
        """On one connection. Seen red without the second try after either."""
        script = Script(f"return {{KEYS[1], ARGV[1]}} -- {uuid4().hex}")
        for _ in range(2):
            assert link.evaluate(script, ["key"], [1.5]) == [b"key", b"1.5"]
        (connection,) = link._free
        connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        assert link.evaluate(script, ["key"], [2]) == [b"key", b"2"]
        assert len(link._free) == 1

    def test_leaves_no_late_answer_to_whoever_asks_next(self) -> None:
        """Seen red with a connection that is kept whatever came of it."""
        link = RedisLink("tests", timeout_s=0.03)
        while link.evaluate(Script("return 1"), [], []) is None:  # a busy machine may take longer
            link._resting_until = 0.0
        slow = "local t = redis.call('TIME') local u = t repeat u = redis.call('TIME') until "
        slow += "(u[1] - t[1]) * 1000000 + u[2] - t[2] > 60000 return 'late'"
        assert link.evaluate(Script(slow), [], []) is None
        assert link._free == []

    def test_answers_with_nothing_while_redis_is_away(self, link: RedisLink) -> None:
        link.client = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
        assert link.evaluate(Script("return 1"), [], []) is None


class TestSay:
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
        link.client = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
        link.say("PUBLISH", "tests", "x")
        link.client = cast(redis.Redis, None)  # whoever looks for a connection falls over it
        link.say("PUBLISH", "tests", "x")
        assert link.ask(lambda client: client.ping()) is None
