"""Django's PostgreSQL back end, cheaper at what every request pays; a subclass, nothing is patched.

Borrowing a connection asks the operating system whether the server has hung up, where Django's pool asks the server
with a statement; and moments are read by psycopg's compiled code, where Django reads them in Python.
"""

import select
from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, Cursor
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import TimestamptzLoader
from psycopg_pool import ConnectionPool


def check_open(connection: Connection[Any]) -> None:
    """Make sure that a pooled connection is of use. Raises psycopg.OperationalError when it is not.

    An idle connection has nothing to read, unless the server said good-bye (or a word that a real check clears up).
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)


class DatabaseWrapper(base.DatabaseWrapper):
    """One thread's connection, borrowed from the process's pool."""

    # Django's own, which its stubs leave out.
    _connection_pools: dict[str, ConnectionPool[Any]]
    _configure_connection: Callable[[Connection[Any]], None]

    @property
    def pool(self) -> ConnectionPool[Any] | None:
        options = self.settings_dict["OPTIONS"].get("pool")
        if not options:
            return None
        if self.alias not in self._connection_pools:
            pool: ConnectionPool[Any] = ConnectionPool(
                kwargs={**self._parameters(), "autocommit": True},
                open=False,
                configure=self._configure_connection,
                check=check_open,
                **options,
            )
            # Of threads that come here at once the first one's pool stays; none of them is open yet.
            self._connection_pools.setdefault(self.alias, pool)
        return self._connection_pools[self.alias]

    def get_connection_params(self) -> dict[str, Any]:
        """None for a connection that the pool lends: it was made with them."""
        return {} if self.pool else self._parameters()

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        context = AdaptersMap(parameters["context"])
        context.register_loader("timestamptz", TimestamptzLoader)
        return {**parameters, "context": context}

    def _set_autocommit(self, autocommit: bool) -> None:
        if self.connection.autocommit is not autocommit:  # what the pool lends has it on
            with self.wrap_database_errors:
                self.connection.autocommit = autocommit

    def create_cursor(self, name: str | None = None) -> Cursor[Any]:
        """A cursor of the client's: Django would see to its time zone, which is the session's, UTC."""
        cursor: Cursor[Any] = self.connection.cursor()
        return cursor
