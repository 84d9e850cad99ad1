"""What whoever runs Callout in earnest needs: one process in the foreground, keys of tokens, a new epoch."""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from backend.cli.commands import surroundings
from backend.cli.errors import UserError
from backend.cli.processes import DEFAULTS, PORTS, command_of, empty_folder, environment_of, port_of
from backend.cli.stack import ROOT, home_folder, outer_environment, running_stack
from backend.core import connections
from backend.core.environment import Environment, SettingsError, environment
from realtime.environment import SettingsError as RealtimeSettingsError
from realtime.environment import read_environment as read_realtime_environment

NEW_EPOCH = "UPDATE core_epoch SET name = substr(replace(gen_random_uuid()::text, '-', ''), 1, 8) RETURNING name"


def run(args: argparse.Namespace) -> int:
    """Run one process in the foreground, in the place of this one: for a container or a service manager."""
    env = _environment(args.role, args.port)
    figures = home_folder(env) / "metrics" / f"{args.role}-{port_of(args.role, env)}"
    env = environment_of(args.role, env, figures=figures)
    os.environ.update(env)
    _check_settings(args.role)
    if args.role == "backend":
        empty_folder(figures)
    os.chdir(ROOT)
    command = command_of(args.role, env)
    os.execve(command[0], command, env)


def _environment(role: str, port: int | None) -> dict[str, str]:
    """What is set outside; where that names no servers, those of the stack that runs here."""
    outer = outer_environment()
    needed = ("REDIS_URL",) if role == "realtime" else ("DATABASE_URL", "REDIS_URL")
    if not all(outer.get(name) for name in needed):
        running = running_stack(home_folder(outer))
        if running is None:
            missing = " and ".join(name for name in needed if not outer.get(name))
            raise UserError(f"Set {missing}, or start ./callout up: one process runs on servers that are there.")
        outer |= running["environment"]
    chosen = {} if port is None else {PORTS[role][0]: str(port)}
    form = {"LOG_FORMAT": "console"} if sys.stdout.isatty() else {}
    return {**DEFAULTS, **form, **outer, **chosen, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _check_settings(role: str) -> None:
    """Refuse wrong settings here, with a sentence: the server would try again and again."""
    try:
        if role == "realtime":
            read_realtime_environment()
        else:
            _check_connections(environment())
            _tell_of_missing_sms(environment())
    except (SettingsError, RealtimeSettingsError) as error:
        raise UserError(str(error)) from None


def _check_connections(settings: Environment) -> None:
    try:
        with psycopg.connect(settings.database_url, connect_timeout=3) as connection:
            found = connection.execute(connections.ALLOWED).fetchone()
    except psycopg.OperationalError:
        return  # the process waits for it, and /readyz says so
    sentence = connections.shortage(settings, found[0]) if found else None
    if sentence:
        raise UserError(sentence)


def _tell_of_missing_sms(settings: Environment) -> None:
    """Who signs up with a telephone number alone could neither prove it nor recover the account."""
    if settings.environment == "production" and not settings.twilio_account_sid:
        told = "TWILIO_ACCOUNT_SID is not set: no codes and notices go to telephones."
        print(told, file=sys.stderr, flush=True)


def token_key(args: argparse.Namespace) -> int:
    """Print a new Ed25519 key for the tokens, in the form that the settings want."""
    kid = args.kid or f"{datetime.now(UTC).date()}-{secrets.token_hex(2)}"
    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    print(f"# Keep it secret: backend, worker and relay.\nTOKEN_KEYS='{json.dumps({kid: secret})}'")
    print(f"# The sidecar verifies with it, and can sign nothing.\nTOKEN_PUBLIC_KEYS='{json.dumps({kid: public})}'")
    return 0


def new_epoch(_args: argparse.Namespace) -> int:
    """After a restore: begin a new epoch, so that clients read afresh what they know from later than the backup."""
    with surroundings(migrate=False) as env, _owner(env) as connection:
        found = connection.execute(NEW_EPOCH).fetchone()
    if found is None:
        raise UserError("This database has no epoch yet: ./callout migrate makes its first.")
    print(f"The epoch is {found[0]} now. Clients that were here before read everything afresh.")
    return 0


def _owner(env: Mapping[str, str]) -> psycopg.Connection:
    try:
        return psycopg.connect(env.get("DATABASE_OWNER_URL") or env["DATABASE_URL"], connect_timeout=5)
    except psycopg.Error as error:
        raise UserError(f"The database does not answer: {' '.join(str(error).split())}") from None
