import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.db import DataError, OperationalError, connection

from shared_contracts.events import PositionReport
from shared_contracts.redis_keys import POSITIONS_FLUSHING, POSITIONS_PENDING
from tests.worker.conftest import execute, running, until
from worker.relay.partitions import LOCKS, POSITIONS
from worker.relay.positions import Positions

AT = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)


class Records:
    """Keeps what is written; fails first as often as told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.written: list[dict[int, tuple[float | None, datetime]]] = []

    def __call__(self, *, reports: Mapping[int, PositionReport], now: datetime) -> None:
        if self.failures:
            raise self.failures.pop()
        self.written.append({user_id: (report.lat, report.at) for user_id, report in reports.items()})


def put(
    client: redis.Redis, user_id: int | str, lat: float = 36.7, *, key: str = POSITIONS_PENDING, **later: float
) -> None:
    report = PositionReport(lat=lat, lng=3.06, at=AT + timedelta(**later))
    client.hset(key, str(user_id), report.model_dump_json())


def kept(client: redis.Redis) -> int:
    return len(client.keys("callout:positions:*"))


class TestPositions:
    def test_writes_the_latest_of_everyone_and_forgets_it(self, client: redis.Redis) -> None:
        put(client, 1, 36.1)
        put(client, 1, 36.2)
        put(client, 2, 36.3)
        records = Records()
        positions = Positions(records)
        positions.one_round()
        positions.one_round()
        assert records.written == [{1: (36.2, AT), 2: (36.3, AT)}]
        assert kept(client) == 0

    def test_takes_what_only_says_that_the_phone_is_alive(self, client: redis.Redis) -> None:
        client.hset(POSITIONS_PENDING, "5", PositionReport(at=AT).model_dump_json())
        records = Records()
        Positions(records).one_round()
        assert records.written == [{5: (None, AT)}]

    def test_drops_what_is_no_report(self, client: redis.Redis) -> None:
        put(client, 7)
        put(client, "me")
        put(client, -1)
        put(client, 2**63)
        for user_id, value in {
            8: "no json",
            9: '{"lat": 1, "lng": 1}',
            10: '{"lat": 91, "lng": 1, "at": "2030-05-15T09:30:00Z"}',
            11: '{"lat": NaN, "lng": 1, "at": "2030-05-15T09:30:00Z"}',
            12: '{"lat": 1, "at": "2030-05-15T09:30:00Z"}',
            13: '{"lat": 1, "lng": 1, "at": "2030-05-15T09:30:00"}',
        }.items():
            client.hset(POSITIONS_PENDING, str(user_id), value)
        records = Records()
        Positions(records).one_round()
        assert records.written == [{7: (36.7, AT)}]
        assert kept(client) == 0

    def test_recovers_what_a_dead_relay_had_taken_and_prefers_what_is_later(self, client: redis.Redis) -> None:
        left = f"{POSITIONS_FLUSHING}:dead"
        client.sadd(POSITIONS_FLUSHING, left)
        put(client, 1, 36.1, key=left)
        put(client, 2, 36.2, key=left, seconds=9)
        put(client, 1, 36.3, seconds=5)
        put(client, 2, 36.4)
        records = Records()
        Positions(records).one_round()
        later = timedelta(seconds=9)
        assert records.written == [{1: (36.3, AT + timedelta(seconds=5)), 2: (36.2, AT + later)}]
        assert kept(client) == 0

    def test_keeps_everything_while_postgresql_is_away(self, client: redis.Redis) -> None:
        records = Records(OperationalError("away"))
        positions = Positions(records)
        put(client, 1, 36.1)
        with pytest.raises(OperationalError):
            positions.one_round()
        put(client, 2, 36.2)
        positions.one_round()
        assert records.written == [{1: (36.1, AT), 2: (36.2, AT)}]
        assert kept(client) == 0

    def test_does_not_stumble_for_ever_over_what_is_refused(self, client: redis.Redis) -> None:
        records = Records(DataError("out of range"))
        positions = Positions(records)
        put(client, 1)
        positions.one_round()
        put(client, 2)
        positions.one_round()
        assert records.written == [{2: (36.7, AT)}]

    def test_leaves_them_to_the_relay_that_is_at_it(self, client: redis.Redis) -> None:
        put(client, 1)
        held, done = threading.Event(), threading.Event()

        def other_relay() -> None:
            execute("SELECT pg_advisory_lock(%s, %s)", LOCKS, POSITIONS)
            held.set()
            done.wait(5)
            execute("SELECT pg_advisory_unlock(%s, %s)", LOCKS, POSITIONS)
            connection.close()

        other = threading.Thread(target=other_relay)
        other.start()
        held.wait(5)
        records = Records()
        Positions(records).one_round()
        assert (records.written, client.exists(POSITIONS_PENDING)) == ([], 1)
        done.set()
        other.join()

    def test_flushes_again_and_again_after_any_failure(self, client: redis.Redis) -> None:
        records = Records(OperationalError("away"), OperationalError("away"))
        with running(Positions(records).run):
            put(client, 1)
            until(lambda: records.written, seconds=3)
            put(client, 2)
            until(lambda: len(records.written) == 2, seconds=1)
