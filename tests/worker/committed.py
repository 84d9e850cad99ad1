"""The whole database as bytes and as rows: to begin again from what was committed, and to compare two outcomes."""

import io
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tests.servers import servers, with_database

TABLES = """
    SELECT c.table_name, array_agg(c.column_name::text ORDER BY c.ordinal_position)
    FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
        AND c.table_name NOT LIKE 'django_%'
    GROUP BY 1 ORDER BY 1
"""

Rows = dict[str, Counter[str]]
"""Table → its rows as JSON, and how often each is there."""


@dataclass(frozen=True)
class Snapshot:
    """Every table as COPY writes it, and where the sequences stand."""

    tables: Mapping[str, bytes]
    sequences: Mapping[str, int | None]


class Committed:
    """This test process's database, as the superuser, who may put back anything."""

    def __init__(self) -> None:
        name = os.environ["DATABASE_URL"].partition("?")[0].rpartition("/")[2]
        self._connection = psycopg.connect(with_database(servers()["superuser"], name), autocommit=True)
        self._connection.execute("SET session_replication_role = replica")
        self._tables: dict[str, list[str]] = dict(self._connection.execute(TABLES).fetchall())
        counted = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, to_jsonb(one) FROM {} AS one").format(sql.Literal(table), sql.Identifier(table))
            for table in self._tables
        )
        self._all = counted.as_string(self._connection)

    def take(self, *, next_ids_from: int | None = None) -> Snapshot:
        """What is there now. With a number, whatever is made after it is put back gets ids from there on."""
        sequences = self._connection.execute("SELECT sequencename, last_value FROM pg_sequences").fetchall()
        tables = {table: self._read(table) for table in self._tables}
        return Snapshot(tables, {name: next_ids_from or value for name, value in sequences})

    def restore(self, snapshot: Snapshot) -> None:
        """Put everything back as it was; what is so already is left alone."""
        with self._connection.transaction():
            for table, wanted in snapshot.tables.items():
                if self._read(table) != wanted:
                    self._connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
                    with self._connection.cursor().copy(self._copy(table, "FROM STDIN")) as target:
                        target.write(wanted)
            for name, value in snapshot.sequences.items():
                self._connection.execute("SELECT setval(%s::regclass, %s, %s)", [name, value or 1, value is not None])

    def rows(self, volatile: Collection[str] = ()) -> Rows:
        """All rows, without the columns of these names."""
        found: Rows = {table: Counter() for table in self._tables}
        for table, row in self._connection.execute(self._all).fetchall():
            kept = {name: value for name, value in row.items() if name not in volatile}
            found[table][json.dumps(kept, sort_keys=True)] += 1
        return found

    def execute(self, statement: str, *values: Any) -> None:
        self._connection.execute(statement, values or None)

    def close(self) -> None:
        self._connection.close()

    def _read(self, table: str) -> bytes:
        read = io.BytesIO()
        with self._connection.cursor().copy(self._copy(table, "TO STDOUT")) as source:
            for piece in source:
                read.write(piece)
        return read.getvalue()

    def _copy(self, table: str, direction: str) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self._tables[table]))
        return sql.SQL("COPY {} ({}) " + direction).format(sql.Identifier(table), columns)
