"""The way by road, asked of an OSRM server (HTTP API v1, project-osrm.org/docs) when `OSRM_URL` names one.

Nothing asked here may be needed: while the server is away, slow or talks nonsense there is no route, and distances are
estimated. It is the operator's own server, so private addresses and plain http are fine. Never called in a transaction.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock

import httpx2
import msgspec
import structlog

from backend.core.environment import environment
from backend.core.geo import Point, haversine_m
from backend.core.outbound import certificates

TIMEOUT_SECONDS = 1.0
"""Of the whole call: a server that sends a byte now and then gets no more."""
REST_SECONDS = 10.0
"""A deaf server costs the requests of one second their time; then nobody asks it for so long."""
MAX_BYTES = 64 * 1024
LONGEST_M = 100_000_000
SNAP_M = 1000
"""Both ends are moved to the nearest road. What is so much shorter than the straight line is no way between them."""

_NO_WAY = frozenset({"NoRoute", "NoSegment"})

log = structlog.get_logger("callout.osrm")


class NotAnswered(Exception):
    """The server said nothing that can be used; the message says why."""


class _Route(msgspec.Struct):
    distance: float
    duration: float


class _Answer(msgspec.Struct):
    code: str
    routes: list[_Route] = []


class RouteFinder:
    """One OSRM server, asked by all threads of a process. After a failure it rests; then one call finds out for all."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = monotonic
        self._url = url.rstrip("/")
        self._lock = Lock()
        self._resting_until = 0.0
        self._client = _make_client()
        # Only whoever does not do the reading can stop waiting at a given moment.
        self._readers = ThreadPoolExecutor(environment().backend_threads, thread_name_prefix="osrm")

    def distance_m(self, start: Point, end: Point) -> int | None:
        """The way by road in whole metres, or None when the server did not tell one in time."""
        if not self._may_ask():
            return None
        path = f"/route/v1/driving/{_written(start)};{_written(end)}?overview=false"
        reading = self._readers.submit(_get, self._client, self._url + path)
        try:
            metres = _metres(reading.result(TIMEOUT_SECONDS))
        except (NotAnswered, httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            reading.cancel()
            self._rest(error)
            return None
        self._resting_until = 0.0
        return metres if metres is not None and metres >= haversine_m(start, end) - SNAP_M else None

    def _may_ask(self) -> bool:
        with self._lock:
            now = self._now()
            if now < self._resting_until:
                return False
            if self._resting_until:
                self._resting_until = now + 2 * TIMEOUT_SECONDS
            return True

    def _rest(self, error: Exception) -> None:
        with self._lock:
            self._resting_until = self._now() + REST_SECONDS
            # Closing ends what still reads there.
            self._client, old = _make_client(), self._client
        old.close()
        log.warning("osrm.away", error=type(error).__name__, reason=str(error)[:200])


@cache
def _finder(url: str) -> RouteFinder:
    return RouteFinder(url)


def routed_m(start: Point, end: Point) -> int | None:
    """The way by road in whole metres, or None: no server is configured, or it told none in time."""
    url = environment().osrm_url
    return _finder(url).distance_m(start, end) if url else None


def _make_client() -> httpx2.Client:
    return httpx2.Client(
        verify=certificates(),
        trust_env=False,
        follow_redirects=False,
        timeout=TIMEOUT_SECONDS,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


def _written(place: Point) -> str:
    return f"{place.lng:.6f},{place.lat:.6f}"


def _get(client: httpx2.Client, url: str) -> bytes:
    end = time.monotonic() + TIMEOUT_SECONDS
    with client.stream("GET", url) as answer:
        # Where there is no way, OSRM says so in the body of a 400.
        if answer.status_code not in {200, 400}:
            raise NotAnswered(f"the answer was {answer.status_code}")
        body = b""
        for part in answer.iter_raw():
            body += part
            if len(body) > MAX_BYTES:
                raise NotAnswered(f"the answer has more than {MAX_BYTES} bytes")
            if time.monotonic() > end:
                raise NotAnswered("the answer took too long")
    return body


def _metres(body: bytes) -> int | None:
    """The length of the route in the answer; None when there is no way. Raises NotAnswered."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAnswered(f"the answer cannot be read: {error}") from None
    if answer.code in _NO_WAY:
        return None
    if answer.code != "Ok" or not answer.routes:
        raise NotAnswered(f"the answer was {answer.code[:40]}")
    route = answer.routes[0]
    if not (0 <= route.distance <= LONGEST_M and 0 <= route.duration < math.inf):
        raise NotAnswered("metres and seconds were out of range")
    return math.floor(route.distance + 0.5)
