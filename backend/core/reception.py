"""Where requests wait: for their body to come in, and for their turn. Slow senders must not take the workers' places.

The server gives every request a thread, of which there are many. A thread that waits costs nothing; only so many as
BACKEND_THREADS work at a time, each on a request that has come in whole. One that works for long waits for a lock or a
slow query: another may begin beside it, up to as many again. Who comes with a password waits in a lane of their own, so
that nobody waits behind a storm of sign-ins but those who sign in.

Nobody can interrupt the reading of a body that does not come, but its connection can be ended: that is done to whoever
keeps us waiting for SENDING_SECONDS and sends next to nothing.
"""

import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import structlog

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

SENDING_SECONDS = 20.0
SLOWEST_BYTES_A_SECOND = 4096
"""Whoever sends faster may take longer: a photo over a poor line."""
LATE_SECONDS = 2.0
"""A body that takes longer makes us look at the connections."""
LOOK_SECONDS = 0.1
CONNECTIONS_SECONDS = 1.0
"""Between two looks at the connections."""
LONG_SECONDS = 0.25
"""Who works for longer does not work but wait."""
PART_BYTES = 64 * 1024
KEPT_IN_MEMORY_BYTES = 256 * 1024
MOST_BYTES = 16 * 1024 * 1024
"""More than anything may be sent: what announces more is refused unread."""
WITH_A_PASSWORD = frozenset({"/api/v1/auth/login/", "/api/v1/auth/register/", "/api/v1/auth/password/reset/confirm/"})
"""What anybody may ask as often as they like and is dear: a hash (backend.core.passwords). Each has its lane."""

log = structlog.get_logger("callout.reception")


def _announced(environ: Environ) -> int:
    """How long the body says it is; Django reads none that does not say so."""
    try:
        return int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _lane(environ: Environ) -> str:
    """Where this request waits. Lanes are few and named here: nobody makes more of them with paths of their own."""
    path: str = environ.get("PATH_INFO", "")
    return path if path in WITH_A_PASSWORD else "all others"


_mine = threading.local()
"""The turn that this thread has: of which turns, and in which lane it waited for it."""


@contextmanager
def without_turn() -> Iterator[None]:
    """Let somebody else work while this thread waits for what it knows will take its time."""
    turn: tuple[Turns, str] | None = getattr(_mine, "turn", None)
    if turn is None:
        yield
        return
    turns, lane = turn
    turns.give_back()
    try:
        yield
    finally:
        turns.take(lane)


class Turns:
    """Who may work now: `with turns.in_lane(lane):`.

    Fair queuing (J. Nagle, RFC 970): the lanes in which somebody waits are served in turn, one of each, so that a storm
    in one of them keeps nobody in another waiting.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._free = threads
        """Zero while somebody waits."""
        self._lanes: dict[str, deque[threading.Lock]] = {}
        """Who waits, in order; the lane to be served next is the first. One in which nobody waits is not there."""
        self._working: dict[int, float] = {}
        """By thread: since when (`time.monotonic`)."""
        self._lent: set[int] = set()
        """Threads whose turn was given to another."""

    @contextmanager
    def in_lane(self, lane: str) -> Iterator[None]:
        self.take(lane)
        try:
            yield
        finally:
            self.give_back()

    def take(self, lane: str) -> None:
        """Wait until this thread may work."""
        called = None
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                called = threading.Lock()
                called.acquire()
                self._lanes.setdefault(lane, deque()).append(called)
        if called:
            called.acquire()
        self._working[threading.get_ident()] = time.monotonic()
        _mine.turn = (self, lane)

    def give_back(self) -> None:
        """Work no more."""
        _mine.turn = None
        thread = threading.get_ident()
        with self._lock:
            del self._working[thread]
            if thread not in self._lent:
                self._call_next()
            self._lent.discard(thread)

    def lend(self) -> None:
        """Give the turns of those who work for long to others, too."""
        latest = time.monotonic() - LONG_SECONDS
        with self._lock:
            for thread, began in self._working.copy().items():
                if began < latest and thread not in self._lent and len(self._lent) < self._threads:
                    self._lent.add(thread)
                    self._call_next()

    def _call_next(self) -> None:
        """Under the lock: a turn has become free."""
        if not self._lanes:
            self._free += 1
            return
        lane = next(iter(self._lanes))
        waiting = self._lanes.pop(lane)
        waiting.popleft().release()
        if waiting:
            self._lanes[lane] = waiting


class Reception:
    """The WSGI application around all others."""

    def __init__(self, application: Application, *, threads: int) -> None:
        self._application = application
        self._turns = Turns(threads)
        self._sending: dict[int, float] = {}
        """By thread: since when (`time.monotonic`) it waits for a body."""
        self._watch: threading.Thread | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._watch is None:  # only now: the server may have made this process from another, without its threads
            self._watch = threading.Thread(target=self._look_after_all, name="reception", daemon=True)
            self._watch.start()
        length, lane = _announced(environ), _lane(environ)
        if not 0 < length <= MOST_BYTES:
            with self._turns.in_lane(lane):
                return self._application(environ, start_response)
        with tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY_BYTES) as body:
            if self._receive(environ["wsgi.input"], body) != length:
                start_response("400 Bad Request", [])  # whoever began to ask has gone, or was hung up on
                return [b""]
            environ["wsgi.input"] = body
            with self._turns.in_lane(lane):
                return self._application(environ, start_response)

    def _receive(self, source: IO[bytes], body: IO[bytes]) -> int:
        """Read what comes until the body or the connection ends; returns its length."""
        thread = threading.get_ident()
        self._sending[thread] = time.monotonic()
        try:
            while part := source.read(PART_BYTES):
                body.write(part)
        finally:
            del self._sending[thread]
        received = body.tell()
        body.seek(0)
        return received

    def _look_after_all(self) -> None:
        waiting: dict[object, tuple[float, int]] = {}
        looked_at = 0.0
        while True:
            time.sleep(LOOK_SECONDS)
            self._turns.lend()
            now = time.monotonic()
            if not any(began < now - LATE_SECONDS for began in self._sending.copy().values()):
                waiting.clear()
                continue
            if now - looked_at < CONNECTIONS_SECONDS:
                continue
            looked_at = now
            present = dict(unanswered())
            waiting = {peer: waiting.get(peer, (now, received)) for peer, received in present.items()}
            late = {
                peer
                for peer, (since, before) in waiting.items()
                if now - since > SENDING_SECONDS and present[peer] - before < SLOWEST_BYTES_A_SECOND * (now - since)
            }
            if late:
                for _ in unanswered(hang_up_on=late):
                    pass
                log.info("reception.hung_up", connections=len(late))


def unanswered(*, hang_up_on: Collection[object] = ()) -> Iterator[tuple[object, int]]:
    """The addresses of this process's connections that have sent something since they were last sent anything.

    Each with the bytes that it ever sent. Linux tells (`struct tcp_info`: milliseconds since the last data sent and
    received, bytes received); on other systems nobody is found.
    """
    if sys.platform != "linux":
        return
    for descriptor in Path("/dev/fd").iterdir():
        with suppress(OSError), _connection(int(descriptor.name)) as connection:
            peer = connection.getpeername()
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
            sent_ms, received_ms, received = struct.unpack_from("=I4xI72xQ", told, 44)
            if received_ms < sent_ms:
                yield peer, received
                if peer in hang_up_on:
                    connection.shutdown(socket.SHUT_RDWR)


def _connection(descriptor: int) -> socket.socket:
    """A duplicate, which keeps the number from being given to another connection meanwhile. Raises OSError."""
    duplicate = os.dup(descriptor)
    try:
        return socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
