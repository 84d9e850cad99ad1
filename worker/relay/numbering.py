"""Gives events their numbers: dense per room, in the order in which their causes were committed."""

import threading
import time

import psycopg
import structlog
from psycopg.rows import class_row

from worker import metrics
from worker.relay.partitions import Connection, Partitions, session
from worker.relay.publishing import Numbered, Publishing

BATCH = 50
"""Events of each partition in one commit. Small enough to be published within Redis's time limit."""

SWEEP_SECONDS = 0.2
LONGEST_REST_SECONDS = 0.02
"""A round is followed by a rest of twice its length: on a busy machine more share the next statement and commit."""
SETTLE_SECONDS = 0.2
RECONNECT_SECONDS = 0.2

# The oldest of each partition come in order from the index of what has no number. Asked for all partitions at once,
# PostgreSQL sorts the whole backlog for every batch, or walks through all that was ever numbered.
NUMBER = """
    WITH batch AS MATERIALIZED (
        SELECT oldest.id, oldest.room FROM unnest(%(partitions)s::smallint[]) AS held (partition)
        CROSS JOIN LATERAL (
            SELECT id, room FROM core_event
            WHERE number IS NULL AND partition = held.partition
            ORDER BY id LIMIT %(limit)s
            FOR NO KEY UPDATE
        ) AS oldest
    ), placed AS (
        SELECT id, room, row_number() OVER (PARTITION BY room ORDER BY id) AS place FROM batch
    ), heads AS (
        INSERT INTO core_room_head AS present (room, head)
        SELECT room, count(*) FROM batch GROUP BY room ORDER BY room
        ON CONFLICT (room) DO UPDATE SET head = present.head + excluded.head
        RETURNING room, new.head, coalesce(old.head, 0) AS before
    )
    UPDATE core_event AS event SET number = heads.before + placed.place
    FROM placed JOIN heads USING (room)
    WHERE event.id = placed.id
    RETURNING event.id, event.room, event.partition, event.number, event.type, event.created_at, event.request_id,
        event.data
"""

log = structlog.get_logger("callout.relay")


class Numbering:
    """Holds partitions and numbers their events, a batch in one statement and one short commit."""

    def __init__(self, *, publishing: Publishing, wake: threading.Event) -> None:
        self.held: tuple[int, ...] = ()
        self._publishing = publishing
        self._wake = wake

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                with session() as connection:
                    self._hold(connection, stopping)
            except psycopg.OperationalError as error:
                log.warning("relay.lost_partitions", error=type(error).__name__)
            self._remember([])
            stopping.wait(RECONNECT_SECONDS)

    def _hold(self, connection: Connection, stopping: threading.Event) -> None:
        partitions = Partitions(connection)
        settle_at = time.monotonic()
        epoch = ""
        while not stopping.is_set():
            began = time.monotonic()
            self._wake.clear()  # before the look: what is committed after it wakes us again
            if time.monotonic() >= settle_at:
                # What the holder before us committed last, it may not have published.
                self._publishing.mark_behind(partitions.settle())
                self._remember(partitions.held)
                epoch = read_epoch(connection)
                settle_at = time.monotonic() + SETTLE_SECONDS
            events = number_batch(connection, partitions.held)
            if events:
                metrics.EVENTS_NUMBERED.inc(len(events))
                self._publishing.offer(epoch, events)
            if len(events) < BATCH:
                rest_until = time.monotonic() + min(2 * (time.monotonic() - began), LONGEST_REST_SECONDS)
                self._wake.wait(SWEEP_SECONDS)
                time.sleep(max(0.0, rest_until - time.monotonic()))

    def _remember(self, held: list[int]) -> None:
        self.held = tuple(held)
        metrics.PARTITIONS_HELD.set(len(held))


def number_batch(connection: Connection, partitions: list[int], limit: int = BATCH) -> list[Numbered]:
    """Number the oldest events of each of these partitions, committed on return. In order of their ids."""
    with connection.cursor(row_factory=class_row(Numbered)) as cursor:
        cursor.execute(NUMBER, {"partitions": partitions, "limit": limit}, prepare=True)
        return sorted(cursor.fetchall(), key=lambda event: event.id)


def read_epoch(connection: Connection) -> str:
    """Read again and again: a restore changes it under running processes."""
    return str(connection.execute("SELECT name FROM core_epoch").fetchall()[0][0])
