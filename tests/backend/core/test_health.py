import pytest
from django.test import Client

from backend.core import health
from backend.core.models import EventRow


@pytest.mark.django_db
class TestHealth:
    def test_alive_asks_nobody(self, client: Client) -> None:
        assert client.get("/healthz").json() == {"status": "alive"}

    def test_ready_means_postgresql_and_its_migrations(self, client: Client) -> None:
        answer = client.get("/readyz")
        assert answer.status_code == 200
        body = answer.json()
        connections = body.pop("connections")
        assert 1 <= connections["open"] <= connections["allowed"]
        assert connections["budget"] == 2 * 8 + (8 + 4 + 4 + 3) + (9 + 1) + 3
        assert body == {
            "status": "ready",
            "postgresql": "up",
            "pending_migrations": 0,
            "relay_lag_seconds": 0.0,
            "redis": "up",
        }

    def test_a_migration_that_is_missing_is_not_ready(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "pending_migrations", lambda: 2)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["pending_migrations"]) == (503, 2)

    def test_redis_and_the_relay_are_told_but_decide_nothing(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "redis_answers", lambda: False)
        EventRow.objects.create(
            room="user:1", partition=0, type="x", data="{}", request_id="", created_at="2030-01-01T00:00:00Z"
        )
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["redis"]) == (200, "away")
        assert answer.json()["relay_lag_seconds"] > 0

    def test_figures_are_for_this_machine_only(self, client: Client) -> None:
        client.get("/healthz")
        assert b"callout_request_seconds" in client.get("/metrics").content
        assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 404
        assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 404
