"""Password hashing: Argon2id with OWASP's small parameters, and never more than two at a time in a process."""

from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher

AT_ONCE = 2
"""A hash takes 19 MiB and some 15 ms of one core: a storm of sign-ins waits in line instead of starving the rest."""

_turns = BoundedSemaphore(AT_ONCE)


class Argon2id(Argon2PasswordHasher):
    """m = 19 MiB, t = 2, p = 1 (OWASP Password Storage Cheat Sheet, 2024)."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _turns:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turns:
            return super().verify(password, encoded)
