from pathlib import Path

import pytest
from pydantic import ValidationError

from backend.core.environment import DEVELOPMENT_SECRET, Environment, SettingsError, environment
from realtime.environment import Environment as SidecarEnvironment

SAFE = {
    "environment": "production",
    "secret_key": "k" * 40,
    "token_keys": {"2030": "t" * 40},
    "realtime_credential": "r" * 40,
    "allowed_hosts": "api.example.org",
    "email_host": "smtp.example.org",
    "email_from": "Callout <no-reply@example.org>",
    "public_url": "https://api.example.org",
    "rate_limits": True,
}


class TestEnvironment:
    def test_production_starts_with_secrets_of_its_own(self) -> None:
        assert Environment.model_validate(SAFE).environment == "production"

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"debug": True}, "DEBUG"),
            ({"secret_key": DEVELOPMENT_SECRET}, "SECRET_KEY"),
            ({"secret_key": "short"}, "SECRET_KEY"),
            ({"token_keys": {"a": "short"}}, "TOKEN_KEYS"),
            ({"token_keys": {"dev": DEVELOPMENT_SECRET}}, "TOKEN_KEYS"),
            ({"realtime_credential": DEVELOPMENT_SECRET}, "REALTIME_CREDENTIAL"),
            ({"allowed_hosts": ""}, "ALLOWED_HOSTS"),
            ({"allowed_hosts": "*"}, "ALLOWED_HOSTS"),
            ({"cors_allowed_origins": "*"}, "CORS_ALLOWED_ORIGINS"),
            ({"clock_movable": True}, "CLOCK_MOVABLE"),
            ({"rate_limits": False}, "RATE_LIMITS"),
            ({"email_host": ""}, "EMAIL_HOST"),
            ({"email_password": "x", "email_security": "none"}, "EMAIL_SECURITY"),
            ({"email_from": "Callout <no-reply@localhost>"}, "EMAIL_FROM"),
            ({"public_url": ""}, "PUBLIC_URL"),
            ({"public_url": "http://api.example.org"}, "PUBLIC_URL"),
            ({"twilio_account_sid": "AC1", "twilio_auth_token": "x"}, "TWILIO_NUMBER"),
        ],
    )
    def test_production_refuses_what_is_unsafe(self, change: dict[str, object], named: str) -> None:
        with pytest.raises(ValidationError, match=named):
            Environment.model_validate({**SAFE, **change})

    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("BACKEND_PORT", "eighty", "The setting BACKEND_PORT is wrong"),
            ("ENVIRONMENT", "staging", "The setting ENVIRONMENT is wrong"),
            ("TOKEN_KEYS", "{}", "The setting TOKEN_KEYS is wrong"),
            ("WAVE_RADII_KM", "20,5", "The setting WAVE_RADII_KM is wrong: kilometres between"),
            ("TRUSTED_PROXIES", "everyone", "The setting TRUSTED_PROXIES is wrong"),
        ],
    )
    def test_a_wrong_value_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
    ) -> None:
        monkeypatch.setenv(name, value)
        environment.cache_clear()
        try:
            with pytest.raises(SettingsError, match=sentence):
                environment()
        finally:
            monkeypatch.undo()
            environment.cache_clear()

    def test_keys_in_the_environment_replace_those_in_the_file(self, tmp_path: Path) -> None:
        """A key that somebody took away must not come back from where it was before."""
        (tmp_path / ".env").write_text(f'TOKEN_KEYS={{"old": "{"o" * 40}"}}\n')
        for kind in (Environment, SidecarEnvironment):
            assert list(kind(_env_file=tmp_path / ".env").token_keys) == ["test"]
