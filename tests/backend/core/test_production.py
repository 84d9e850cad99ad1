"""A production's configuration, as its processes meet it."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SECRET = "0Xq7-a production secret of its own, long and mixed-9zPw"
PRODUCTION = {
    "PATH": os.defpath,
    "DJANGO_SETTINGS_MODULE": "backend.config.settings",
    "ENVIRONMENT": "production",
    "SECRET_KEY": SECRET,
    "TOKEN_KEYS": json.dumps({"2030": SECRET}),
    "REALTIME_CREDENTIAL": SECRET,
    "ALLOWED_HOSTS": "api.example.org",
    "EMAIL_HOST": "smtp.example.org",
    "EMAIL_FROM": "Callout <no-reply@example.org>",
    "PUBLIC_URL": "https://api.example.org",
}


def django(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env={**PRODUCTION, **changes},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


class TestProduction:
    def test_the_deployment_check_is_clean(self) -> None:
        done = django("check", "--deploy", "--fail-level", "WARNING")
        assert done.returncode == 0, done.stderr

    def test_an_unsafe_setting_stops_the_start_with_a_sentence(self) -> None:
        done = django("check", DEBUG="true")
        assert done.returncode == 1
        assert done.stderr.strip() == "The settings are refused: DEBUG must be off in production"
