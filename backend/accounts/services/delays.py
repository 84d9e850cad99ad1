"""Growing delays for who tries passwords: exact under parallel calls, never a lock for good (RELIABILITY.md A6).

A try is counted before its password is looked at, and given back when that was right; so of sixty that come at once
five are judged. A device that the account is signed in from, or was until a day ago, has a count of its own: strangers
cannot lock it out. Nor the device that has just brought the code of a new password, however long they go on. Rows, not
Redis: the counts must outlive its restart.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from backend.accounts.models import Session, SignInDelay, User
from backend.core.environment import environment
from backend.core.errors import RateLimited
from backend.core.limits import whose_address
from backend.core.request_context import client_address

FREE_TRIES = 5
"""Of one account within a quarter of an hour."""
FREE_TRIES_OF_A_NETWORK = 30

# After the free tries each wrong one doubles the wait from 30 s to an hour; from the hundredth in a row on it is a day
# (NIST SP 800-63B-4, section 3.2.2). The count starts anew a quarter of an hour after the last of the free tries, and a
# day after any other: so also after that day, which no guess makes longer.
_COUNT = """
    INSERT INTO accounts_sign_in_delay AS known (key, failures, tried_at, next_try_at)
    VALUES (%(key)s, 1, %(now)s, %(now)s)
    ON CONFLICT (key) DO UPDATE SET (failures, tried_at, next_try_at) = (
        SELECT n, %(now)s, %(now)s + make_interval(secs => CASE
            WHEN n < %(free)s THEN 0 WHEN n >= 100 THEN 86400 ELSE least(30 * 2.0 ^ least(n - %(free)s, 20), 3600) END)
        FROM (SELECT CASE
            WHEN known.tried_at <= %(now)s - CASE
                WHEN known.failures < %(free)s THEN interval '15 min' ELSE interval '1 day' END
            THEN 1 ELSE known.failures + 1 END) AS counted (n)
    )
    WHERE known.next_try_at <= %(now)s
    RETURNING failures
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a try was counted against: an account or one of its devices, and a network."""

    key: str
    network: str | None


def begin(*, identifier: str, user: User | None, agent: str, now: datetime) -> Tried | None:
    """Count a try to sign in. The same queries whether or not there is such an account. Raises RateLimited."""
    if not environment().rate_limits:
        return None
    address = client_address()
    whose = f"account:{user.pk}" if user else f"identifier:{identifier.lower()}"
    is_known = is_known_device(user_id=user.pk if user else 0, agent=agent)
    network = _key(f"network:{whose_address(address)}")
    key = _key(_of_device(whose, agent, address) if is_known else whose)
    _count([(network, FREE_TRIES_OF_A_NETWORK), (key, FREE_TRIES)], now=now)
    return Tried(key, network)


def is_known_device(*, user_id: int, agent: str) -> bool:
    """Whether who asks does so on a device that the account was signed in from within a day, or that brought a code.

    Nobody makes one known without the password or a code. Two queries where it is not; `user_id` 0 is nobody.
    """
    address = client_address()
    sessions = Session.objects.filter(user_id=user_id, agent=agent, client_address=address or "::")
    of_device = _key(_of_device(f"account:{user_id}", agent, address))
    # Only devices that are known have a count, so whoever has one is.
    return sessions.exists() or SignInDelay.objects.filter(key=of_device).exists()


def begin_proof(*, user: User, now: datetime) -> Tried | None:
    """Count a password that a signed-in person gives as proof. Raises RateLimited."""
    if not environment().rate_limits:
        return None
    key = _key(f"proof:{user.pk}")
    _count([(key, FREE_TRIES)], now=now)
    return Tried(key, None)


def forgive(tried: Tried | None, *, now: datetime) -> None:
    """The password was right: the account starts anew, and the network gets this one try back."""
    if tried is None:
        return
    SignInDelay.objects.filter(key=tried.key).delete()
    if tried.network is not None:
        SignInDelay.objects.filter(key=tried.network).update(failures=Greatest(F("failures") - 1, 0), next_try_at=now)


def forgive_account(user: User, *, device_agent: str, now: datetime) -> None:
    """Whoever proved by a code that the account is theirs may sign in at once, and their device is known."""
    whose = f"account:{user.pk}"
    of_device = _key(_of_device(whose, device_agent, client_address()))
    SignInDelay.objects.filter(key__in=[_key(whose), _key(f"proof:{user.pk}"), of_device]).delete()
    known = SignInDelay(key=of_device, failures=0, tried_at=now, next_try_at=now)
    SignInDelay.objects.bulk_create([known], ignore_conflicts=True)


def forget_account(*, user_id: int, devices: Iterable[tuple[str, str | None]]) -> None:
    """Drop what was counted against an account and these devices (agent, address) of it."""
    whose = f"account:{user_id}"
    known = (_of_device(whose, agent, address) for agent, address in devices)
    SignInDelay.objects.filter(key__in=map(_key, [whose, f"proof:{user_id}", *known])).delete()


@transaction.atomic
def _count(keys: Sequence[tuple[str, int]], *, now: datetime) -> None:
    """Against all of them or none: networks first, so that two never wait for each other."""
    with connection.cursor() as cursor:
        for key, free in keys:
            cursor.execute(_COUNT, {"key": key, "free": free, "now": now})
            if cursor.fetchone() is None:
                next_try_at = SignInDelay.objects.values_list("next_try_at", flat=True).get(key=key)
                wait = max(1, round((next_try_at - now).total_seconds()))
                raise RateLimited("Too many tries: wait, then try again.", headers={"Retry-After": str(wait)})


def _of_device(whose: str, agent: str, address: str | None) -> str:
    return f"{whose}:device:{agent}:{address}"


def _key(text: str) -> str:
    # People type passwords into the wrong field: no table keeps what was typed.
    return hmac.new(environment().secret_key.encode(), f"delay\0{text}".encode(), "sha256").hexdigest()
