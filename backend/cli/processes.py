"""How each of our processes is started: the stack, `./callout run` and so the containers use these same lines."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import TypeAdapter, ValidationError

from backend.cli.errors import UserError
from backend.core.environment import KeyTexts
from shared_contracts.token_keys import read_keys

ROLES = ("backend", "worker", "relay", "realtime")
PORTS = {
    "backend": ("BACKEND_PORT", 8000),
    "realtime": ("REALTIME_PORT", 8001),
    "worker": ("WORKER_HEALTH_PORT", 8002),
    "relay": ("RELAY_HEALTH_PORT", 8003),
}
HOSTS = {"backend": "BACKEND_HOST", "realtime": "REALTIME_HOST"}
MODULES = {"realtime": "realtime", "worker": "worker.jobs", "relay": "worker.relay"}
TEXTS = TypeAdapter(KeyTexts)
DEFAULTS = {"ENVIRONMENT": "development", "LOG_FORMAT": "json", "DJANGO_SETTINGS_MODULE": "backend.config.settings"}


def host_of(role: str, env: Mapping[str, str]) -> str:
    """The address that a process listens on."""
    return env.get(HOSTS.get(role, "")) or "127.0.0.1"


def port_of(role: str, env: Mapping[str, str]) -> int:
    """The port that a process listens on, 0 for a free one. Raises UserError when the setting is none."""
    variable, default = PORTS[role]
    text = env.get(variable) or str(default)
    if not text.isdecimal() or int(text) > 65535:
        raise UserError(f"The setting {variable} is wrong: {text!r} is no number from 0 to 65535.")
    return int(text)


def command_of(role: str, env: Mapping[str, str]) -> list[str]:
    """The command line of one process in the foreground."""
    if role != "backend":
        return [sys.executable, "-m", MODULES[role]]
    command = [sys.executable, "-m", "backend.config.server"]
    command += ["--host", host_of(role, env), "--port", str(port_of(role, env))]
    command += ["--workers", env.get("BACKEND_WORKERS") or "2"]
    return [*command, "--drain-seconds", env.get("BACKEND_DRAIN_SECONDS") or "0"]


def environment_of(role: str, env: Mapping[str, str], *, figures: Path) -> dict[str, str]:
    """What one process sees: the sidecar no private key, the backend the folder that its workers share figures in."""
    if role == "backend":
        return {**env, "PROMETHEUS_MULTIPROC_DIR": str(figures)}
    return {**env, **_public_keys(env)} if role == "realtime" else dict(env)


def empty_folder(path: Path) -> None:
    """The figures of a run that has ended would be counted again."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def _public_keys(env: Mapping[str, str]) -> dict[str, str]:
    """TOKEN_KEYS without its private keys, and TOKEN_PUBLIC_KEYS with their public halves.

    They are set even when empty: the process would find what is left out in `.env`.
    """
    texts = _read("TOKEN_KEYS", env)
    try:
        keys = read_keys(texts)
    except ValueError as error:
        raise UserError(f"The setting TOKEN_KEYS is wrong: {error}.") from None
    public = {
        kid: key.verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        for kid, key in keys.items()
        if not isinstance(key.verifying, str)
    }
    return {
        "TOKEN_KEYS": json.dumps({kid: text for kid, text in texts.items() if kid not in public}),
        "TOKEN_PUBLIC_KEYS": json.dumps({**public, **_read("TOKEN_PUBLIC_KEYS", env)}),
    }


def _read(name: str, env: Mapping[str, str]) -> dict[str, str]:
    try:
        return TEXTS.validate_python(env.get(name) or {})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"The setting {name} is wrong: {reason}.") from None
