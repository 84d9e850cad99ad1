"""Running one process, and what it refuses to start with (RELIABILITY.md O7)."""

import json
import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest

from backend.cli.__main__ import main
from backend.cli.processes import command_of, environment_of
from backend.cli.stack import ROOT
from backend.cli.supervisor import fetch
from backend.core.environment import DEVELOPMENT_SECRET, environment
from shared_contracts.token_keys import read_keys
from tests.backend.cli.dummies import soon
from tests.servers import copy_template, servers, with_database
from tests.support.forgeries import PRIVATE, PUBLIC, SECRET

SAFE = {
    "PATH": os.environ["PATH"],
    "ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 40,
    "TOKEN_KEYS": json.dumps({"2030": PRIVATE}),
    "REALTIME_CREDENTIAL": "r" * 40,
    "ALLOWED_HOSTS": "api.example.org",
    "EMAIL_HOST": "smtp.example.org",
    "EMAIL_FROM": "Callout <no-reply@example.org>",
    "PUBLIC_URL": "https://api.example.org",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1",
    "CALLOUT_HOME": "/nowhere",
}


def run(role: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one process of a production, as a container does."""
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", "run", role],
        cwd=ROOT,
        env={**SAFE, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class TestBadSettings:
    @pytest.mark.parametrize(
        ("role", "env", "sentence"),
        [
            ("backend", {"DEBUG": "true"}, "DEBUG must be off in production"),
            ("backend", {"SECRET_KEY": DEVELOPMENT_SECRET}, "SECRET_KEY must be a secret of its own"),
            ("backend", {"SECRET_KEY": "k" * 31}, "SECRET_KEY must be a secret of its own, 32 bytes or longer"),
            ("backend", {"TOKEN_KEYS": ""}, "TOKEN_KEYS[dev] must be a secret of its own"),
            ("backend", {"TOKEN_KEYS": "secret"}, "The setting TOKEN_KEYS is wrong: it must be JSON"),
            ("backend", {"TOKEN_KEYS": '{"a": "short"}'}, "TOKEN_KEYS[a] must be a secret of its own"),
            ("backend", {"TOKEN_KEYS": json.dumps({"a": PUBLIC})}, "the key a is a public key, which cannot sign"),
            ("backend", {"TOKEN_KEYS": json.dumps({"a": PRIVATE[:70]})}, "the key a cannot be read"),
            ("backend", {"REALTIME_CREDENTIAL": "short"}, "REALTIME_CREDENTIAL must be a secret of its own"),
            ("backend", {"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must name the hosts"),
            ("backend", {"CORS_ALLOWED_ORIGINS": "*"}, "CORS_ALLOWED_ORIGINS must name the origins"),
            ("backend", {"DATABASE_POOL_SIZE": "0"}, "The setting DATABASE_POOL_SIZE is wrong"),
            ("backend", {"BACKEND_PORT": "eighty"}, "The setting BACKEND_PORT is wrong"),
            ("backend", {"EMAIL_HOST": ""}, "EMAIL_HOST must name the SMTP server"),
            ("worker", {"EMAIL_PASSWORD": "x", "EMAIL_SECURITY": "none"}, "EMAIL_SECURITY must be starttls or tls"),
            ("worker", {"EMAIL_FROM": ""}, "EMAIL_FROM must be an address of yours"),
            ("backend", {"PUBLIC_URL": "http://api.example.org"}, "PUBLIC_URL must be the https address"),
            ("worker", {"TWILIO_ACCOUNT_SID": "AC1"}, "TWILIO_ACCOUNT_SID needs TWILIO_AUTH_TOKEN and TWILIO_NUMBER"),
            ("relay", {"CLOCK_MOVABLE": "true"}, "CLOCK_MOVABLE is for tests"),
            ("worker", {"RATE_LIMITS": "false"}, "RATE_LIMITS must be on in production"),
            ("worker", {"TRUSTED_PROXIES": "all"}, "The setting TRUSTED_PROXIES is wrong"),
            ("relay", {"REDIS_URL": ""}, "Set REDIS_URL, or start ./callout up"),
            ("realtime", {"TOKEN_KEYS": ""}, "TOKEN_PUBLIC_KEYS must hold the public keys"),
            ("realtime", {"TOKEN_PUBLIC_KEYS": json.dumps({"a": PRIVATE})}, "the key a is no public key"),
            ("realtime", {"TOKEN_PUBLIC_KEYS": json.dumps({"a": SECRET})}, "the key a is no public key"),
            ("realtime", {"REALTIME_CREDENTIAL": DEVELOPMENT_SECRET}, "REALTIME_CREDENTIAL must be a secret"),
        ],
    )
    def test_each_stops_the_start_with_one_sentence(
        self, role: str, env: dict[str, str], sentence: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        environment.cache_clear()
        with patch.dict(os.environ, {**SAFE, **env}, clear=True), patch("os.execve", side_effect=AssertionError):
            code = main(["run", role])
        environment.cache_clear()
        out, told = capfd.readouterr()
        assert (code, out, told.count("\n")) == (1, "", 1), told
        assert sentence in told
        assert not any(secret in told for secret in (PRIVATE[30:60], DEVELOPMENT_SECRET, SECRET))

    def test_more_connections_than_postgresql_lets_in_stop_the_start(self) -> None:
        told = run("backend", DATABASE_URL=os.environ["DATABASE_URL"], BACKEND_REPLICAS="20")
        assert (told.returncode, told.stderr.count("\n")) == (1, 1)
        assert told.stderr.startswith("The processes may open 352 connections (backend 320, ")

    def test_the_sidecar_itself_refuses_a_private_key(self) -> None:
        """Also when nobody took it away before, as `./callout run` does."""
        told = subprocess.run(
            [sys.executable, "-m", "realtime"], cwd=ROOT, env=SAFE, capture_output=True, text=True, check=False
        )
        assert told.returncode == 1
        assert "the key 2030 is a private key: the sidecar takes TOKEN_PUBLIC_KEYS instead" in told.stderr


class TestProcesses:
    def test_only_the_sidecar_is_kept_from_private_keys(self, tmp_path: Path) -> None:
        env = {"TOKEN_KEYS": json.dumps({"pair": PRIVATE, "shared": SECRET}), "REDIS_URL": "redis://x"}
        seen = environment_of("realtime", env, figures=tmp_path)
        assert json.loads(seen["TOKEN_KEYS"]) == {"shared": SECRET}
        assert json.loads(seen["TOKEN_PUBLIC_KEYS"]) == {"pair": PUBLIC}
        assert "PRIVATE" not in json.dumps(seen)
        for role in ("backend", "worker", "relay"):
            assert read_keys(json.loads(environment_of(role, env, figures=tmp_path)["TOKEN_KEYS"]))["pair"].signing

    def test_the_backend_listens_where_its_settings_say(self) -> None:
        command = command_of("backend", {"BACKEND_HOST": "0.0.0.0", "BACKEND_PORT": "8123", "BACKEND_WORKERS": "3"})
        given = dict(pairwise(command))
        assert (given["--host"], given["--port"], given["--workers"]) == ("0.0.0.0", "8123", "3")

    def test_a_backend_that_is_to_stop_says_so_and_goes_on_for_a_while(self, tmp_path: Path) -> None:
        """O1: a balancer sees it in time, and asks another one. Seen red with a server that stops at once."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = ("127.0.0.1", int(free.getsockname()[1]))
        env = {**os.environ, "BACKEND_PORT": str(address[1]), "BACKEND_WORKERS": "1", "BACKEND_DRAIN_SECONDS": "15"}
        command = command_of("backend", env)
        with subprocess.Popen(command, cwd=ROOT, env=environment_of("backend", env, figures=tmp_path)) as process:
            try:
                assert soon(lambda: fetch(*address, "/readyz")[0] == 200, 60)
                process.terminate()
                assert soon(lambda: fetch(*address, "/readyz") == (503, '{"status": "draining"}'))
                assert fetch(*address, "/api/v1/tariffs/")[0] == 200
                process.terminate()
                assert process.wait(20) == 0
            finally:
                process.kill()

    def test_a_process_takes_the_place_of_the_launcher(self) -> None:
        """So that a container's signals reach it; a relay without its database waits, and ends when asked to."""
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli", "run", "relay", "--port", "0"],
            cwd=ROOT,
            env={**SAFE, "DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": os.environ["REDIS_URL"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            command = Path(f"/proc/{process.pid}/cmdline")
            while "worker.relay" not in command.read_text():
                assert process.poll() is None
            process.terminate()
            process.communicate(timeout=20)
        finally:
            process.kill()


class TestNewEpoch:
    def test_begins_another_epoch(self) -> None:
        found = servers()
        copy_template(found, "restored")
        owner = with_database(found["owner"], "restored")
        with psycopg.connect(owner, autocommit=True) as connection:
            before = connection.execute("SELECT name FROM core_epoch").fetchall()
            told = subprocess.run(
                [sys.executable, "-m", "backend.cli", "newepoch"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DATABASE_URL": with_database(found["app"], "restored"),
                    "DATABASE_OWNER_URL": owner,
                },
                capture_output=True,
                text=True,
                check=True,
            )
            after = connection.execute("SELECT name FROM core_epoch").fetchall()
        assert len(before) == len(after) == 1
        assert before != after
        assert told.stdout.startswith(f"The epoch is {after[0][0]} now.")
