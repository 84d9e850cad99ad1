"""Password hashing: Argon2id with OWASP's small parameters, and never more than two at a time in a process."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_bytes
from threading import BoundedSemaphore

from argon2 import DEFAULT_HASH_LENGTH
from argon2.low_level import ARGON2_VERSION
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection

from backend.core.reception import without_turn

AT_ONCE = 2
"""A hash takes 19 MiB and some 15 ms of one core: a storm of sign-ins waits in line instead of starving the rest."""

_turns = BoundedSemaphore(AT_ONCE)


class Argon2id(Argon2PasswordHasher):
    """m = 19 MiB, t = 2, p = 1 (OWASP Password Storage Cheat Sheet, 2024)."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _in_line():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _in_line():
            return super().verify(password, encoded)


@contextmanager
def _in_line() -> Iterator[None]:
    """One of the two. Whoever has to wait for it keeps nobody else from working, and no connection to the database."""
    if not _turns.acquire(blocking=False):
        if not connection.in_atomic_block:
            connection.close()
        with without_turn():
            _turns.acquire()
    try:
        yield
    finally:
        _turns.release()


def decoy() -> str:
    """What no password matches, but costs as much to check as a real one: for accounts that are not there."""
    parameters = f"m={Argon2id.memory_cost},t={Argon2id.time_cost},p={Argon2id.parallelism}"
    salt, digest = b64encode(Argon2id().salt().encode()), b64encode(token_bytes(DEFAULT_HASH_LENGTH))
    return f"argon2$argon2id$v={ARGON2_VERSION}${parameters}${salt.decode().rstrip('=')}${digest.decode().rstrip('=')}"
