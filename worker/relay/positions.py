"""Writes the live positions from Redis to PostgreSQL, four times a second in one statement.

The sidecars put the latest position of everyone into one hash. A round takes the whole hash under a name of its own,
writes it, and deletes it after the commit; what a dead relay has taken, the next round finds by its name.
"""

import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import redis
import structlog
from django.db import DatabaseError, connection, transaction

from backend.core import clock
from shared_contracts.events import Place, PositionReport
from shared_contracts.redis_keys import POSITIONS_FLUSHING, POSITIONS_PENDING
from worker import metrics
from worker.connections import DATABASE_AWAY, as_text, redis_client
from worker.relay.partitions import LOCKS, POSITIONS
from worker.relay.rounds import repeat

FLUSH_SECONDS = 0.25
LARGEST_ID = 2**63 - 1


class Record(Protocol):
    """Writes the reports, by user id, in one statement. It may be given a report twice."""

    def __call__(self, *, reports: Mapping[int, PositionReport], now: datetime) -> None: ...


log = structlog.get_logger("callout.relay")


class Positions:
    """Flushes positions; one relay at a time does."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._client = redis_client(timeout_seconds=2)

    def run(self, stopping: threading.Event) -> None:
        repeat("positions", self.one_round, stopping=stopping)

    def one_round(self) -> float:
        """Write everything that waits; returns the seconds to rest."""
        if self._client.exists(POSITIONS_PENDING, POSITIONS_FLUSHING):
            self._flush()
        return FLUSH_SECONDS

    def _flush(self) -> None:
        written: list[str] = []
        with transaction.atomic():
            if not _only_us():
                return
            self._take()
            written = [as_text(name) for name in self._client.smembers(POSITIONS_FLUSHING)]
            self._write(self._read(written))
        if written:
            self._client.delete(*written)
            self._client.srem(POSITIONS_FLUSHING, *written)

    def _take(self) -> None:
        """Give the pending hash a name of its own, entered first in the set of those taken."""
        name = f"{POSITIONS_FLUSHING}:{uuid.uuid4().hex}"
        self._client.sadd(POSITIONS_FLUSHING, name)
        with suppress(redis.ResponseError):  # nothing is pending
            self._client.rename(POSITIONS_PENDING, name)

    def _read(self, names: list[str]) -> dict[int, PositionReport]:
        """The latest report of everyone in these hashes."""
        latest: dict[int, PositionReport] = {}
        dropped = 0
        for name in names:
            for field, value in self._client.hgetall(name).items():
                try:
                    user_id, report = _decode(field, value)
                except ValueError:
                    dropped += 1
                    continue
                if user_id not in latest or latest[user_id].at < report.at:
                    latest[user_id] = report
        if dropped:
            log.warning("positions.unreadable", dropped=dropped)
            metrics.POSITIONS_DROPPED.inc(dropped)
        return latest

    def _write(self, reports: Mapping[int, PositionReport]) -> None:
        if not reports:
            return
        try:
            with transaction.atomic():
                self._record(reports=reports, now=clock.now())
            metrics.POSITIONS_FLUSHED.inc(len(reports))
        except DATABASE_AWAY:
            raise
        except DatabaseError:
            # Kept, they would block all that follow; everyone's next position is seconds away.
            log.exception("positions.refused", dropped=len(reports))
            metrics.POSITIONS_DROPPED.inc(len(reports))


def _decode(field: bytes | str, value: bytes | str) -> tuple[int, PositionReport]:
    """Raises ValueError (pydantic's is one) for what is no report."""
    user_id = int(field)
    report = PositionReport.model_validate_json(value)
    if not 0 < user_id <= LARGEST_ID or report.at.tzinfo is None:
        raise ValueError("no user's report")
    if report.lat is not None or report.lng is not None:
        Place.model_validate({"lat": report.lat, "lng": report.lng})
    return user_id, report


def _only_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCKS, POSITIONS])
        return bool(cursor.fetchone() == (True,))
