"""Where requests wait: for their body to come in, and for their turn. Slow senders must not take the workers' places.

The server gives every request a thread, of which there are many. A thread that waits costs nothing; only so many as
BACKEND_THREADS work at a time, each on a request that has come in whole. Nobody can interrupt the reading of a body
that does not come, but its connection can be ended: that is done to whoever keeps us waiting for SENDING_SECONDS.
"""

import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import structlog

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

SENDING_SECONDS = 20.0
LATE_SECONDS = 2.0
"""A body that takes longer makes us look at the connections."""
LOOK_SECONDS = 1.0
PART_BYTES = 64 * 1024
KEPT_IN_MEMORY_BYTES = 256 * 1024

log = structlog.get_logger("callout.reception")


class Reception:
    """The WSGI application around all others."""

    def __init__(self, application: Application, *, threads: int) -> None:
        self._application = application
        self._turns = threading.Semaphore(threads)
        self._sending: dict[int, float] = {}
        """By thread: since when (`time.monotonic`) it waits for a body."""
        self._watch: threading.Thread | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        if length in {None, "0"} and "HTTP_TRANSFER_ENCODING" not in environ:
            with self._turns:
                return self._application(environ, start_response)
        with tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY_BYTES) as body:
            received = self._receive(environ["wsgi.input"], body)
            if length is not None and str(received) != length:
                start_response("400 Bad Request", [])  # whoever began to ask has gone, or was hung up on
                return [b""]
            environ["wsgi.input"] = body
            with self._turns:
                return self._application(environ, start_response)

    def _receive(self, source: IO[bytes], body: IO[bytes]) -> int:
        """Read what comes until the body or the connection ends; returns its length."""
        self._begin_to_watch()
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

    def _begin_to_watch(self) -> None:
        """Only now: the server may have made this process from another, without its threads."""
        if self._watch is None:
            self._watch = threading.Thread(target=self._hang_up_on_the_slow, name="reception", daemon=True)
            self._watch.start()

    def _hang_up_on_the_slow(self) -> None:
        waiting: dict[object, float] = {}
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if not any(began < now - LATE_SECONDS for began in self._sending.copy().values()):
                waiting.clear()
                continue
            waiting = {peer: waiting.get(peer, now) for peer in unanswered()}
            late = {peer for peer, since in waiting.items() if since < now - SENDING_SECONDS}
            if late:
                for _ in unanswered(hang_up_on=late):
                    pass
                log.info("reception.hung_up", connections=len(late))


def unanswered(*, hang_up_on: Iterable[object] = ()) -> Iterator[object]:
    """The addresses of this process's connections that have sent something since they were last sent anything.

    Linux tells (`struct tcp_info`: milliseconds since the last data sent and received); other systems' users have none.
    """
    if sys.platform != "linux":
        return
    for descriptor in Path("/dev/fd").iterdir():
        with suppress(OSError), _connection(int(descriptor.name)) as connection:
            peer = connection.getpeername()
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
            sent_ms, received_ms = struct.unpack_from("=I4xI", told, 44)
            if received_ms < sent_ms:
                yield peer
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
