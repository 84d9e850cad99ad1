from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from backend.core.environment import environment
from tests.realtime.valkey import Valkey
from worker import connections


@pytest.fixture
def valkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """A Redis of this test's own, which the worker's settings name."""
    server = Valkey(tmp_path)
    server.start()
    settings = environment().model_copy(update={"redis_url": server.url})
    monkeypatch.setattr(connections, "environment", lambda: settings)
    yield server
    server.stop()


class TestEviction:
    def test_a_redis_that_keeps_everything_is_no_news(self, valkey: Valkey) -> None:
        with capture_logs() as logs:
            connections.report_eviction()
        assert logs == []

    def test_a_redis_that_throws_away_is_reported_loudly(self, valkey: Valkey) -> None:
        with redis.Redis.from_url(valkey.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        with capture_logs() as logs:
            connections.report_eviction()
        assert [(entry["event"], entry["log_level"], entry["maxmemory_policy"]) for entry in logs] == [
            ("redis.may_evict", "error", "allkeys-lru")
        ]

    def test_a_redis_that_is_away_keeps_nobody_from_starting(self, valkey: Valkey) -> None:
        valkey.stop()
        with capture_logs() as logs:
            connections.report_eviction()
        assert logs == []
