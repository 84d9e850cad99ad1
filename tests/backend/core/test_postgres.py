"""The database back end: a pooled connection that the server closed is never handed out; moments are UTC."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from backend.core.postgres.base import check_open


@pytest.mark.django_db
class TestMoments:
    def test_are_read_in_utc(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT TIMESTAMPTZ '2026-03-01 13:00:00.25+01'")
            (moment,) = cursor.fetchone()
        assert moment == datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
        assert not moment.utcoffset()


class TestCheckOpen:
    def test_lets_an_idle_connection_pass_without_a_statement(self, own: "psycopg.Connection[Any]") -> None:
        check_open(own)
        assert own.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def test_refuses_one_that_the_server_has_ended(self, own: "psycopg.Connection[Any]") -> None:
        with psycopg.connect(self.url(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [own.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            check_open(own)

    def test_is_what_the_pool_asks(self) -> None:
        with ConnectionPool(self.url(), min_size=1, max_size=1, check=check_open, kwargs={"autocommit": True}) as pool:
            with pool.connection() as first:
                pid = first.info.backend_pid
            with psycopg.connect(self.url(), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            with pool.connection() as second:
                assert second.info.backend_pid != pid

    @staticmethod
    def url() -> str:
        from backend.core.environment import environment

        return environment().database_url

    @pytest.fixture
    def own(self) -> Any:
        with psycopg.connect(self.url(), autocommit=True) as made:
            yield made
