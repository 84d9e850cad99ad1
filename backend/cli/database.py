"""Brings a database to this version: migrations as its owner, then what the application's role may do.

`python -m backend.cli.database ROLE` does the work in a process of its own, whose DATABASE_URL is the owner's.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql

from backend.cli.errors import UserError

MIGRATION_LOCK = 0x63616C6C6F7574
"""Advisory lock: of several processes that start at once, one migrates and the others wait."""

OPTIONS = "-c lock_timeout=5000"
"""A migration may take long, but must not make the platform wait behind it for a table."""


def migrate(env: Mapping[str, str]) -> None:
    """Migrate the database of this environment and grant its rights. Raises UserError with the reason."""
    owner = env.get("DATABASE_OWNER_URL") or env["DATABASE_URL"]
    try:
        with psycopg.connect(owner, connect_timeout=5) as connection:
            _ensure_role(connection, env["DATABASE_URL"])
    except psycopg.Error as error:
        raise UserError(f"The database does not answer: {' '.join(str(error).split())}") from None
    url = f"{owner}{'&' if '?' in owner else '?'}options={quote(OPTIONS)}"
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli.database", role_of(env["DATABASE_URL"])],
        env={**env, "DATABASE_URL": url, "DATABASE_OWNER_URL": "", "LOG_FORMAT": "console"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        if env.get("CALLOUT_TRACEBACK"):
            sys.stderr.write(done.stdout)
        reason = (done.stdout.strip().splitlines() or ["no reason was given"])[-1]
        raise UserError(f"The database could not be migrated: {reason}")


def advance_clock(env: Mapping[str, str], by: timedelta) -> None:
    """Move the clock of every process on this database forward. Only processes with CLOCK_MOVABLE look at it."""
    with psycopg.connect(env.get("DATABASE_OWNER_URL") or env["DATABASE_URL"]) as connection:
        connection.execute("UPDATE core_clock SET offset_ms = offset_ms + %s", [by // timedelta(milliseconds=1)])


def role_of(url: str) -> str:
    """The role that a database URL signs in as."""
    return unquote(urlsplit(url).username or "")


def _ensure_role(owner: psycopg.Connection[Any], url: str) -> None:
    """Make the application's role with the password of its URL, where there is none yet. Raises UserError."""
    role, password = role_of(url), unquote(urlsplit(url).password or "")
    if not role or owner.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        return
    try:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))
    except psycopg.errors.InsufficientPrivilege:
        raise UserError(f"The role {role} is missing, and the owner may not make it: make it, and migrate.") from None


def _migrate_and_grant(app_role: str) -> None:
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    call_command("migrate", interactive=False, verbosity=0)
    grant(connection.connection, app_role)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL back end


def grant(connection: psycopg.Connection[Any], app_role: str) -> None:
    """Let the application's role change rows, but no tables, and only add to those that are append-only.

    `connection` is the owner's, with Django set up. One transaction: there is no moment with too many rights.
    """
    from django.apps import apps

    role = sql.Identifier(app_role)
    if not app_role or connection.info.user == app_role:
        return
    append_only = [model for model in apps.get_models() if getattr(model, "append_only", False)]
    statements = [
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
        "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
    ]
    with connection.transaction():
        for statement in statements:
            connection.execute(sql.SQL(statement).format(role=role))
        for model in append_only:
            table = sql.Identifier(model._meta.db_table)
            connection.execute(sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}").format(table, role))
            for column in getattr(model, "forgettable", ()):
                allow = sql.SQL("GRANT UPDATE ({}) ON {} TO {}")
                connection.execute(allow.format(sql.Identifier(column), table, role))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
    _migrate_and_grant(sys.argv[1])
