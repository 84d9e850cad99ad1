"""Rate limits: one Lua call in Redis checks every limit of a request (GCRA, exact under parallel calls).

GCRA keeps one number per key, the time at which the bucket will be empty again (ITU-T I.371; Rhee, "GCRA in Redis").
When Redis is away the limits of sign-in are kept by the process itself; the others let pass.
"""

import ipaddress
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from backend.core.environment import environment
from backend.core.errors import RateLimited
from backend.core.redis_link import RedisLink, Script
from shared_contracts.redis_keys import RATE_LIMIT

MAX_LOCAL_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in so many seconds, in any burst. `strict` ones hold without Redis too."""

    name: str
    requests: int
    seconds: int
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tightest of the limits said: how many more may come, and in how many seconds all may come again."""

    limit: Limit
    allowed: bool
    remaining: int
    reset_seconds: int
    retry_seconds: int


_GCRA = Script("""
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local answer, refused = {}, false
local next_tats = {}
for i, key in ipairs(KEYS) do
  local interval = ARGV[2 * i - 1] + 0
  local window = ARGV[2 * i] + 0
  local tat = tonumber(redis.call('GET', key) or now)
  if tat < now then tat = now end
  local next_tat = tat + interval
  next_tats[i] = next_tat
  if next_tat - now > window + 0.000001 then refused = true end
  answer[i] = tostring(next_tat - now)
end
if not refused then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.6f', next_tats[i]), 'PX', math.ceil((next_tats[i] - now) * 1000) + 1)
  end
end
return answer
""")


class _Local:
    """The same limits in this process's memory, for while Redis is away."""

    def __init__(self) -> None:
        self._empty_at: dict[str, float] = {}
        self._lock = Lock()

    def ask(self, keys: Sequence[str], limits: Sequence[Limit]) -> list[float]:
        now = time.monotonic()
        with self._lock:
            if len(self._empty_at) > MAX_LOCAL_KEYS:
                self._empty_at = {key: at for key, at in self._empty_at.items() if at > now}
            waits = [
                max(self._empty_at.get(key, now), now) + limit.seconds / limit.requests - now
                for key, limit in zip(keys, limits, strict=True)
            ]
            if all(wait <= limit.seconds + 1e-6 for wait, limit in zip(waits, limits, strict=True)):
                self._empty_at.update({key: now + wait for key, wait in zip(keys, waits, strict=True)})
        return waits


_local = _Local()
_redis = RedisLink("rate limits", timeout_s=0.2)


def check(asked: Sequence[tuple[Limit, str]]) -> Verdict | None:
    """Count one request against each (limit, whose); the tightest verdict, or None when nothing limits it.

    A refused request counts against none of them.
    """
    if not asked or not environment().rate_limits:
        return None
    keys = [f"{RATE_LIMIT}:{limit.name}:{whose}" for limit, whose in asked]
    arguments = [part for limit, _ in asked for part in (limit.seconds / limit.requests, limit.seconds)]
    waits = _redis.evaluate(_GCRA, keys, arguments)
    if waits is not None:
        return _tightest([limit for limit, _ in asked], [float(wait) for wait in waits])
    strict = [(limit, whose) for limit, whose in asked if limit.strict]
    if not strict:
        return None
    limits = [limit for limit, _ in strict]
    return _tightest(limits, _local.ask([f"{limit.name}:{whose}" for limit, whose in strict], limits))


def whose_address(address: str | None) -> str:
    """The key of an address: IPv6 counts by its /64, which is what one subscriber gets."""
    if address is None:
        return "unknown"
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address


def enforce(limit: Limit, whose: str) -> None:
    """Count one request against a limit of its operation. Raises RateLimited."""
    verdict = check([(limit, whose)])
    if verdict is not None and not verdict.allowed:
        raise RateLimited(headers={"Retry-After": str(max(1, verdict.retry_seconds))})


def _tightest(limits: Sequence[Limit], waits: Sequence[float]) -> Verdict:
    return min((_verdict(limit, wait) for limit, wait in zip(limits, waits, strict=True)), key=_how_tight)


def _how_tight(verdict: Verdict) -> tuple[bool, int, float]:
    return verdict.allowed, -verdict.retry_seconds, verdict.remaining / verdict.limit.requests


def _verdict(limit: Limit, wait: float) -> Verdict:
    """`wait` is how long the bucket would take to empty after this request."""
    interval = limit.seconds / limit.requests
    allowed = wait <= limit.seconds + 1e-6
    filled = wait if allowed else wait - interval
    return Verdict(
        limit=limit,
        allowed=allowed,
        remaining=max(0, math.floor((limit.seconds - filled) / interval + 1e-6)),
        reset_seconds=math.ceil(filled),
        retry_seconds=0 if allowed else math.ceil(wait - limit.seconds),
    )
