"""The containers: what `docker-compose.yml` and `Dockerfile` say is what the launcher does, tried without an engine.

The file itself was checked against the Compose specification's schema.
"""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from backend.cli.__main__ import HELP, parser
from backend.cli.processes import PORTS, ROLES
from backend.cli.supervisor import fetch
from backend.cli.unprivileged import temporary_home
from backend.core import metrics  # noqa: F401  (its figures are registered when it is read)
from backend.core.environment import Environment
from realtime.metrics import Metrics
from tests.servers import copy_template, servers, with_database
from tests.support.forgeries import pem_pair
from worker import metrics as worker_metrics  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
Service = dict[str, Any]

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Service] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "callout"}
EXPLAINED = {line.lstrip("#").partition("=")[0] for line in (ROOT / ".env.example").read_text().splitlines()}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(:[-?])([^}]*)\}")
PRIVATE, PUBLIC = pem_pair()
DOT_ENV = {
    "SECRET_KEY": "k" * 40,
    "TOKEN_KEYS": json.dumps({"2030": PRIVATE}),
    "TOKEN_PUBLIC_KEYS": json.dumps({"2030": PUBLIC}),
    "REALTIME_CREDENTIAL": "r" * 40,
    "REDIS_PASSWORD": "secret",
    "POSTGRES_PASSWORD": "secret",
    "POSTGRES_APP_PASSWORD": "secret",
    "ALLOWED_HOSTS": "api.example.org",
    "EMAIL_HOST": "smtp.example.org",
    "EMAIL_FROM": "Callout <no-reply@example.org>",
    "PUBLIC_URL": "https://api.example.org",
}


def texts(value: Any) -> Iterator[str]:
    """Every text in a part of the file."""
    if isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def environment_of(service: Service) -> dict[str, str]:
    """What a container sees, when `.env` holds what must be there and no more."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        assert kind == ":-" or name in DOT_ENV, f"{name} has no value"
        return DOT_ENV.get(name) or default

    return {name: VARIABLE.sub(value, text) for name, text in service["environment"].items()}


def asked_by(service: Service) -> str:
    """The address that a health check asks."""
    address: str = service["healthcheck"]["test"][-1]
    return address


class TestCompose:
    def test_runs_what_there_is_and_what_it_needs(self) -> None:
        assert OURS.keys() == {"migrate", *ROLES}
        assert SERVICES.keys() - OURS.keys() == {"postgres", "redis", "minio", "mail"}

    @pytest.mark.parametrize("name", OURS)
    def test_each_command_is_the_launchers(self, name: str) -> None:
        args = parser().parse_args(OURS[name]["command"])
        assert name in {"migrate", getattr(args, "role", None)}

    @pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
    def test_each_service_is_watched(self, name: str) -> None:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        if name in ROLES:
            assert asked_by(SERVICES[name]) == f"http://127.0.0.1:{PORTS[name][1]}/readyz"

    def test_each_name_is_a_setting_that_is_explained(self) -> None:
        assert {name for service in OURS.values() for name in service["environment"]} <= EXPLAINED
        assert {found[1] for text in texts(COMPOSE) for found in VARIABLE.finditer(text)} <= EXPLAINED

    def test_each_setting_reaches_the_backend(self) -> None:
        of_the_image = {"BACKEND_HOST", "LOG_FORMAT", "CALLOUT_HOME", "FILES_FOLDER"}
        for_development = {"DEBUG", "CLOCK_MOVABLE", "RATE_LIMITS"}
        fixed = {"DATABASE_OWNER_URL", "BACKEND_PORT", "WORKER_HEALTH_PORT", "RELAY_HEALTH_PORT"}
        given = SERVICES["backend"]["environment"].keys()
        missing = {field.upper() for field in Environment.model_fields} - given - of_the_image - for_development - fixed
        assert not missing, "x-backend in docker-compose.yml does not hand these on"
        assert (
            SERVICES["worker"]["environment"] == SERVICES["relay"]["environment"] == SERVICES["backend"]["environment"]
        )

    def test_no_secret_has_a_default(self) -> None:
        for text in texts(COMPOSE):
            for name, kind, _ in VARIABLE.findall(text):
                assert name not in DOT_ENV or kind == ":?", name

    def test_the_sidecar_holds_nothing_that_signs_or_reads_the_database(self) -> None:
        seen = environment_of(SERVICES["realtime"])
        assert not {"TOKEN_KEYS", "SECRET_KEY", "DATABASE_URL", "DATABASE_OWNER_URL"} & seen.keys()
        assert [name for name, service in OURS.items() if "DATABASE_OWNER_URL" in service["environment"]] == ["migrate"]

    @pytest.mark.parametrize("role", ROLES)
    def test_each_process_may_run_many_times(self, role: str) -> None:
        service = SERVICES[role]
        assert service["scale"] == f"${{{role.upper()}_REPLICAS:-1}}"
        assert "container_name" not in service
        for port in service.get("ports", []):
            low, high = port.split(":")[-2].split("-")
            assert int(high) - int(low) == 9

    @pytest.mark.parametrize("name", OURS)
    def test_each_process_may_do_no_more_than_it_must(self, name: str) -> None:
        service = OURS[name]
        assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])
        assert service["security_opt"] == ["no-new-privileges:true"]


class TestImage:
    LINES = (ROOT / "Dockerfile").read_text().splitlines()

    def test_is_built_in_two_stages_and_runs_as_nobody_special(self) -> None:
        assert [line for line in self.LINES if line.startswith("FROM")] == [
            "FROM python:3.11-slim AS dependencies",
            "FROM python:3.11-slim",
        ]
        assert self.LINES.index("USER callout") > max(i for i, line in enumerate(self.LINES) if line.startswith("RUN"))
        assert 'ENTRYPOINT ["./callout"]' in self.LINES

    def test_installs_by_the_launcher_which_checks_hashes(self) -> None:
        assert "RUN ./callout install" in self.LINES
        assert '"--require-hashes"' in (ROOT / "callout").read_text()

    def test_holds_every_package_and_is_sent_no_more(self) -> None:
        copied = {
            name
            for line in self.LINES
            if line.startswith("COPY ") and "--from" not in line
            for name in line.split()[1:-1]
        }
        assert copied == {
            "LICENSE",
            "callout",
            "requirements.lock",
            "backend",
            "realtime",
            "shared_contracts",
            "worker",
        }
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        assert "*" in ignored
        assert {line[1:] for line in ignored if line.startswith("!")} == copied


class TestProduction:
    def test_what_is_composed_starts_and_is_healthy(self) -> None:
        """The containers' own commands and settings, in production, on the suite's servers."""
        found = servers()
        copy_template(found, "composed")
        ports = {role: free_port() for role in ROLES}
        with temporary_home() as home, ExitStack() as stack:
            outside = {
                "CALLOUT_HOME": str(home),
                "DATABASE_URL": with_database(found["app"], "composed"),
                "DATABASE_OWNER_URL": with_database(found["owner"], "composed"),
                "REDIS_URL": f"{found['redis']}?db=14",
                "INTERNAL_URL": f"http://127.0.0.1:{ports['backend']}",
            }
            migrated = start("migrate", outside)
            assert migrated.wait(60) == 0
            started = {}
            for role in ("backend", "worker", "relay", "realtime"):
                started[role] = start(role, outside, "--port", str(ports[role]))
                stack.callback(started[role].kill)
            for role, process in started.items():
                path = "/" + asked_by(SERVICES[role]).rpartition("/")[2]
                await_ready(process, ports[role], path)
            for role in ("realtime", "worker", "relay", "backend"):
                started[role].terminate()
            assert {role: process.wait(30) for role, process in started.items()} == dict.fromkeys(started, 0)


def start(name: str, outside: dict[str, str], *more: str) -> subprocess.Popen[bytes]:
    """One container's process: its own settings, but for where the servers are."""
    service = SERVICES[name]
    env = environment_of(service)
    env |= {key: value for key, value in outside.items() if key in env or key == "CALLOUT_HOME"}
    command = [sys.executable, "-m", "backend.cli", *service["command"], *more]
    return subprocess.Popen(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", **env}, stdin=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_ready(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + 60
    while fetch("127.0.0.1", port, path)[0] != 200:
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, fetch("127.0.0.1", port, path)
        time.sleep(0.1)


class TestReadme:
    def test_explains_every_figure_and_no_other(self) -> None:
        """Names as Prometheus reads them."""
        text = (ROOT / "README.md").read_text()
        families = [*REGISTRY.collect(), *Metrics().registry.collect()]
        served = {
            family.name + ("_total" if family.type == "counter" else "")
            for family in families
            if family.name.startswith("callout_")
        }
        assert set(re.findall(r"callout_[a-z_]+[a-z]", text)) == served

    def test_names_commands_that_there_are(self) -> None:
        named = set(re.findall(r"\./callout ([a-z]+)", (ROOT / "README.md").read_text()))
        known = {line.split()[0] for line in HELP.read_text().splitlines() if re.match(r"  [a-z]", line)}
        assert named <= known
