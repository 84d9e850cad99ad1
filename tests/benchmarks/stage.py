"""Where benchmarks run: the platform's own processes on a throw-away folder, and bare servers beside them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
import jwt
import psycopg

from backend.cli.stack import ROOT, Stack
from backend.cli.supervisor import Program, fetch
from shared_contracts.tokens import ACCESS_AUDIENCE, ACCESS_TYPE, ISSUER
from tests.benchmarks import machine
from tests.benchmarks.figures import Figure

START_SECONDS = 20
PLENTY = str(10**9)

SETTINGS = {
    "DATABASE_URL": "",
    "REDIS_URL": "",
    "ENVIRONMENT": "development",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "BACKEND_THREADS": "4",
    "LIMIT_PER_ADDRESS_PER_MINUTE": PLENTY,
    "LIMIT_PER_USER_PER_MINUTE": PLENTY,
    # Every simulated phone comes from an address of its own, which the load names as a proxy would.
    "TRUSTED_PROXIES": "127.0.0.1/32",
}


@dataclass
class Bench:
    """One run of `./callout bench`: where its data are, how large it is, and what was found."""

    home: Path
    quick: bool
    figures: list[Figure] = field(default_factory=list)

    def pick(self, full: int, quick: int) -> int:
        """A size of this run."""
        return quick if self.quick else full

    def add(self, group: str, name: str, value: float, unit: str, at_most: float | None = None) -> None:
        figure = Figure(group, name, value, unit, at_most)
        self.figures.append(figure)
        print("  " + " · ".join(cell for cell in figure.cells[1:] if cell), flush=True)

    @contextlib.contextmanager
    def platform(self, *processes: str, **settings: str) -> Iterator["Platform"]:
        """These processes of the platform, on the data of this run."""
        ports = dict.fromkeys(("backend", "realtime", "worker", "relay", *processes), 0)
        env = {**os.environ, **SETTINGS, **settings}
        with contextlib.ExitStack() as running:
            with machine.every_core():  # the load's core alone would be theirs, too: it is inherited
                platform = running.enter_context(
                    Platform(self.home, processes=processes, ports=ports, env=env, migrate=False)
                )
            set_up_django(platform.environment)
            yield platform


class Platform(Stack):
    """A running stack, its database as its owner sees it, and tokens for whoever is in it."""

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.environment["DATABASE_OWNER_URL"], autocommit=True)

    def pid(self, name: str) -> int:
        child = self.keeper(name).unit.child
        assert child is not None
        return child.pid

    def cpu_seconds(self) -> dict[str, float]:
        """What each process, PostgreSQL and Redis among them, has spent of a core so far."""
        return {name: machine.cpu_seconds([self.pid(name)]) for name in ("postgres", "redis", *self.processes)}

    def token(self, user_id: int, session_id: int, *roles: str) -> str:
        return mint(json.loads(self.environment["TOKEN_KEYS"]), user_id, session_id, *roles)


def set_up_django(env: Mapping[str, str]) -> None:
    """The platform's models in this process too: the rows of the benchmarks are made by them."""
    wanted = {name for name in env if name not in SETTINGS or name.endswith("_URL")}
    wanted.discard("INTERNAL_URL")  # the next platform has another backend
    os.environ.update({name: env[name] for name in wanted})
    django.setup()


def mint(keys: Mapping[str, str], user_id: int, session_id: int, *roles: str) -> str:
    """An access token as the backend signs it."""
    kid, key = next(iter(keys.items()))
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "aud": ACCESS_AUDIENCE,
        "sub": str(user_id),
        "sid": session_id,
        "roles": list(roles),
        "iat": now,
        "exp": now + timedelta(hours=2),
        "jti": f"{user_id}-{session_id}",
    }
    return jwt.encode(claims, key, algorithm="HS256", headers={"kid": kid, "typ": ACCESS_TYPE})


@contextlib.contextmanager
def server(
    command: Sequence[str], env: Mapping[str, str], address: tuple[str, int], *, health: str = "/healthz"
) -> Iterator[int]:
    """A server of our own making, from its first answer on; gives its process's id."""
    program = Program("bare", [sys.executable, *command], env=env, cwd=ROOT, tell=lambda _name, _line: None)
    program.start()
    try:
        assert program.child is not None
        deadline = time.monotonic() + START_SECONDS
        while fetch(*address, health)[0] != 200:
            if time.monotonic() > deadline or not program.child.is_alive():
                raise RuntimeError(f"{command} did not start: {' | '.join(program.child.last_lines)}")
            time.sleep(0.05)
        yield program.child.pid
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.stop(grace=3)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
