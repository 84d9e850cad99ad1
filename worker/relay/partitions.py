"""Which relay numbers which partitions of events: session advisory locks on a connection of its own.

The connection is never pooled and never reopened behind our back: two holders of a partition would make holes. A lock
dies with its session, so there are no clocks and no leases.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from backend.core.environment import environment
from shared_contracts.jobs import Queue
from shared_contracts.rooms import PARTITIONS

Connection = psycopg.Connection[tuple[Any, ...]]

APPLICATION = "callout-relay"
LOCKS = 0x63616C6C
"""First key of all advisory locks of the relay; the second is a partition or one of those below."""
PRESENCE = PARTITIONS
"""Every relay holds this one shared, so that they can count themselves."""
POSITIONS = PRESENCE + 1
"""For a transaction each: one relay at a time flushes positions, or hands out the jobs of a queue."""
DISPATCHING = {queue: POSITIONS + place for place, queue in enumerate(Queue, start=1)}

# A relay that was stopped, or whose machine vanished, loses its locks within three seconds. The busy table must never
# be read from end to end because its statistics are of a time when it was empty.
SESSION = """
    SET TimeZone = 'UTC';
    SET idle_session_timeout = '3s';
    SET statement_timeout = '3s';
    SET lock_timeout = '1s';
    SET tcp_keepalives_idle = 1;
    SET tcp_keepalives_interval = 1;
    SET tcp_keepalives_count = 2;
    SET enable_seqscan = off;
"""

HELD_SHARED = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = %s::oid AND objid = %s::oid AND objsubid = 2 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def session() -> Iterator[Connection]:
    """A session for one relay's locks and numbers. Raises psycopg.OperationalError."""
    connection = psycopg.connect(
        environment().database_url,
        autocommit=True,
        application_name=APPLICATION,
        connect_timeout=3,
        keepalives_idle=1,
        keepalives_interval=1,
        keepalives_count=2,
        tcp_user_timeout=3000,
    )
    with closing(connection):
        connection.execute(SESSION)
        yield connection


class Partitions:
    """The partitions held by this session; they are gone when it is."""

    def __init__(self, connection: Connection) -> None:
        self.held: list[int] = []
        self._connection = connection
        connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", [LOCKS, PRESENCE])

    def settle(self) -> list[int]:
        """Take or give back until this relay holds its fair share; returns those just taken.

        Must not be called between a batch and its commit.
        """
        share = -(-PARTITIONS // self._relays())
        while len(self.held) > share:
            self._connection.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCKS, self.held.pop()])
        taken: list[int] = []
        for partition in sorted(set(range(PARTITIONS)) - set(self.held)):
            if len(self.held) == share:
                break
            if self._one("SELECT pg_try_advisory_lock(%s, %s)", [LOCKS, partition]):
                self.held.append(partition)
                taken.append(partition)
        return taken

    def _relays(self) -> int:
        return int(self._one(HELD_SHARED, [LOCKS, PRESENCE]))

    def _one(self, statement: str, parameters: list[int]) -> Any:
        return self._connection.execute(statement, parameters).fetchall()[0][0]
