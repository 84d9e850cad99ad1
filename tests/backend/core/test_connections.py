import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from backend.core import connections
from backend.core.environment import Environment, environment


def settings(**changed: int) -> Environment:
    return environment().model_copy(update=changed)


@pytest.mark.django_db
class TestConnections:
    def test_the_budget_counts_every_process(self) -> None:
        asked = settings(
            backend_replicas=2, backend_workers=3, database_pool_size=5, worker_threads=1, relay_replicas=2
        )
        assert connections.budget(asked) == {"backend": 30, "worker": 1 + 1 + 1 + 3, "relay": 20, "others": 3}

    def test_what_fits_is_let_in_to_the_last_connection(self) -> None:
        needed = sum(connections.budget(settings()).values())
        assert connections.shortage(settings(), needed) is None
        sentence = connections.shortage(settings(), needed - 1)
        assert sentence is not None
        assert sentence.startswith(
            f"The processes may open {needed} connections (backend 16, worker 19, relay 10, others 3)"
        )

    def test_allowed_is_what_postgresql_keeps_for_such_as_us(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(connections.ALLOWED)
            assert cursor.fetchone() == (97,)  # of a hundred, three are the superuser's

    def test_a_budget_that_does_not_fit_fails_the_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Migrating runs it, and so does every start of the platform."""
        call_command("check", databases=["default"])
        monkeypatch.setattr("backend.core.checks.environment", lambda: settings(backend_replicas=9))
        with pytest.raises(CommandError, match=r"may open 176 connections .* lets 97 in"):
            call_command("check", databases=["default"])
