"""The whole platform as one object: servers, migrations, demo data, processes. `up`, `demo` and the tests use it."""

import errno
import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dotenv import dotenv_values

from backend.cli import database
from backend.cli.embedded import EmbeddedPostgres, EmbeddedRedis
from backend.cli.errors import UserError
from backend.cli.log import Tell, silent
from backend.cli.processes import (
    DEFAULTS,
    PORTS,
    ROLES,
    command_of,
    empty_folder,
    environment_of,
    host_of,
    port_of,
)
from backend.cli.server import secret_file
from backend.cli.supervisor import READY_SECONDS, Keeper, Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
STOP_ORDER = ("realtime", "backend", "worker", "relay", "redis", "postgres")
STOP_SECONDS = 30

SECRETS = ("SECRET_KEY", "TOKEN_KEYS", "REALTIME_CREDENTIAL")


def outer_environment() -> dict[str, str]:
    """What whoever starts us has set: the environment's variables, `.env` below them."""
    written = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value is not None}
    return {**written, **os.environ}


def home_folder(env: Mapping[str, str]) -> Path:
    """Where this checkout's data are kept."""
    return (ROOT / (env.get("CALLOUT_HOME") or ".callout")).absolute()


def running_stack(home: Path) -> dict[str, Any] | None:
    """What the stack that runs on this folder says of itself, or None when none does."""
    with suppress(FileNotFoundError), (home / "lock").open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            described: dict[str, Any] = json.loads((home / "running.json").read_text())
            return described
    return None


class Stack:
    """The platform on one folder. `with Stack(…) as stack:` starts it and leaves nothing behind.

    `processes` names what shall run beside the servers: `relay-2` is a second relay. `ports` maps a name to its port,
    0 to a free one; a second instance takes a free one unless it is told. `env` is laid over the outer environment.
    `on_step` is called with the name of each of `steps` when it is done.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        processes: Sequence[str] = ROLES,
        ports: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        redis: bool = True,
        migrate: bool = True,
        seed: bool = False,
        durable: bool = True,
        log: Tell = silent,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.outer = {**outer_environment(), **(env or {})}
        self.home = (home or home_folder(self.outer)).absolute()
        self.processes = tuple(processes)
        self.embeds_postgres = not self.outer.get("DATABASE_URL")
        self.embeds_redis = redis and not self.outer.get("REDIS_URL")
        self.migrates = migrate
        self.seeds = seed and self.outer.get("ENVIRONMENT", "development") == "development"
        self.durable = durable
        self.ports: dict[str, int] = {}
        self.environment: dict[str, str] = {}
        """What our processes see; complete once started."""
        self._asked_ports = ports or {}
        self._log = log
        self._on_step = on_step
        self._supervisor = Supervisor(lambda sentence: log("callout", sentence))
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def steps(self) -> list[str]:
        """What `start()` does, in order."""
        servers = ["postgres"] * self.embeds_postgres + ["redis"] * self.embeds_redis
        return [*servers, *["migrations"] * self.migrates, *["demo data"] * self.seeds, *self.processes]

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises UserError, with nothing left running."""
        try:
            self._claim_home()
            self.ports = self._choose_ports(self.processes)
            self.environment = self._inner_environment()
            self._start_servers()
            self._prepare_database()
            self._describe()
            for name in self.processes:
                if role_of(name) == "realtime":  # it asks the backend as soon as it is there
                    self._await_backend()
                self._launch(name)
            for name in self.processes:
                self._supervisor.keepers[name].wait_ready()
                self._on_step(name)
        except BaseException:
            self.stop()
            raise

    def stop(self, *, grace: float = STOP_SECONDS) -> None:
        """Stop everything in order and leave no process and no lock. Seconds until a process is made to end."""
        running = sorted(self._supervisor.keepers)
        self._supervisor.stop([name for role in STOP_ORDER for name in running if role_of(name) == role], grace=grace)
        if self._lock is not None:
            (self.home / "running.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def keeper(self, name: str) -> Keeper:
        """The keeper of a process or of `postgres` or `redis`: to kill, hold down, release or watch it."""
        return self._supervisor.keepers[name]

    def kill(self, name: str) -> None:
        """End a process as a crash would. It comes back by itself."""
        self.keeper(name).kill()

    def restart(self, name: str, *, within: float = READY_SECONDS) -> None:
        """Stop a process cleanly, start it again and wait until it is ready. Raises TimeoutError (seconds)."""
        self.keeper(name).hold()
        self.keeper(name).release(within=within)

    def add(self, name: str) -> None:
        """Start one more process, such as `relay-2`, and wait until it is ready."""
        self.ports |= self._choose_ports([name])
        self._launch(name)
        self.keeper(name).wait_ready()

    def url(self, name: str) -> str:
        """Where a process answers HTTP."""
        host, port = self.address(name)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def address(self, name: str) -> tuple[str, int]:
        """The host and port at which this machine reaches a process."""
        host = self._host(name)
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), self.ports[name]

    def _host(self, name: str) -> str:
        return host_of(role_of(name), self.outer)

    def _claim_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if not any(self.home.iterdir()):
            self.home.chmod(0o711)  # a root's servers walk through it; every file in it has its own mode
        if not (self.embeds_postgres or self.embeds_redis or self.processes):
            return  # only the settings are wanted
        lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise UserError(f"Callout runs already on {self.home}; CALLOUT_HOME chooses another folder.") from None
        self._lock = lock

    def _choose_ports(self, names: Sequence[str]) -> dict[str, int]:
        """A port for each process, seen to be free. All are held until the last is chosen, so none is chosen twice."""
        chosen: dict[str, int] = {}
        with ExitStack() as held:
            for name in names:
                variable, _ = PORTS[role_of(name)]
                wanted = self._asked_ports.get(name)
                if wanted is None:
                    wanted = port_of(name, self.outer) if name in PORTS else 0
                chosen[name] = held.enter_context(_bound(self._host(name), wanted, variable)).getsockname()[1]
        return chosen

    def _inner_environment(self) -> dict[str, str]:
        defaults = dict(DEFAULTS)
        is_open = any(not self.outer.get(name) for name in SECRETS)
        if is_open and self.outer.get("ENVIRONMENT", "development") != "production":
            defaults |= secret_file(self.home / "secrets.json", _development_secrets)
        if "backend" in self.ports:
            defaults["INTERNAL_URL"] = self.url("backend")
        fixed = {PORTS[name][0]: str(port) for name, port in self.ports.items() if name in PORTS}
        given = {name: value for name, value in self.outer.items() if value or name not in defaults}
        fixed |= {"CALLOUT_HOME": str(self.home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return {**defaults, **given, **fixed}

    def _start_servers(self) -> None:
        if self.embeds_postgres:
            postgres = EmbeddedPostgres(
                self.home / "postgres",
                max_connections=200,
                shared_buffers="256MB",  # the tables and indexes that a search among 100,000 services looks at
                durable=self.durable,
                on_line=lambda line: self._log("postgres", line),
            )
            self._supervisor.add("postgres", postgres).wait_ready()
            if postgres.data_dir.parent != self.home:
                self._log("callout", f"The servers cannot reach {self.home}; the data are in {postgres.data_dir}.")
            self.environment |= {"DATABASE_URL": postgres.app_url, "DATABASE_OWNER_URL": postgres.owner_url}
            self._on_step("postgres")
        if self.embeds_redis:
            redis = EmbeddedRedis(
                self.home / "redis", durable=self.durable, on_line=lambda line: self._log("redis", line)
            )
            self._supervisor.add("redis", redis).wait_ready()
            self.environment["REDIS_URL"] = redis.url
            self._on_step("redis")

    def _prepare_database(self) -> None:
        if self.migrates:
            database.migrate(self.environment)
            self._on_step("migrations")
        if self.seeds:
            seeded = subprocess.run(
                [sys.executable, "-m", "backend.cli", "seed", "--if-empty"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            for line in seeded.stdout.splitlines():
                self._log("callout", line)
            if seeded.returncode:
                raise UserError("The demo data could not be written; the lines above say why.")
            self._on_step("demo data")

    def _await_backend(self) -> None:
        for name, keeper in self._supervisor.keepers.items():
            if role_of(name) == "backend":
                keeper.wait_ready()

    def _launch(self, name: str) -> None:
        role = role_of(name)
        figures = self.home / "metrics" / name
        env = {**self.environment, PORTS[role][0]: str(self.ports[name])}
        program = Program(
            name,
            self._command(role, env),
            env=environment_of(role, env, figures=figures),
            cwd=ROOT,
            tell=self._log,
            health=self.address(name),
            before=lambda: empty_folder(figures),
        )
        self._supervisor.add(name, program)

    def _command(self, role: str, env: Mapping[str, str]) -> list[str]:
        return command_of(role, env)

    def _describe(self) -> None:
        """Leave for the other commands where the running processes are."""
        if self._lock is None:
            return
        described = {
            "pid": os.getpid(),
            "environment": self.environment,
            "addresses": {name: self.address(name) for name in self.processes},
        }
        path = self.home / "running.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(described, file)


def role_of(name: str) -> str:
    """What a process is: `relay-2` is a relay."""
    return name.partition("-")[0]


def _development_secrets() -> dict[str, str]:
    """Secrets for this folder alone; production must bring its own."""
    keys = {secrets.token_hex(4): secrets.token_urlsafe(48)}
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "TOKEN_KEYS": json.dumps(keys),
        "REALTIME_CREDENTIAL": secrets.token_urlsafe(48),
    }


def _bound(host: str, port: int, variable: str) -> socket.socket:
    """A socket bound to this port. Raises UserError naming the port and the variable that changes it."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"Port {port} is in use: stop what uses it, or choose another with {variable}.") from None
        raise UserError(f"Port {port} of {host} cannot be used ({error.strerror}); {variable} changes it.") from None
    return bound
