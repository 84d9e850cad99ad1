"""A load of HTTP requests from one process: keep-alive connections that each send the next one when answered."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(slots=True)
class Load:
    """How it went: milliseconds, status and body of every request in the order of answers, and seconds altogether."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    by_status: list[tuple[int, float]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    seconds: float = 0

    @property
    def last_body(self) -> bytes:
        return self.bodies[-1] if self.bodies else b""

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds


def request(method: str, path: str, token: str, body: Any = None, **headers: str) -> bytes:
    """A request as it goes over the wire."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}"]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Connection(asyncio.Protocol):
    def __init__(self, waiting: Iterator[bytes], load: Load, done: "asyncio.Future[None]") -> None:
        self._waiting = waiting
        self._load = load
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def send_next(self) -> None:
        try:
            wire = next(self._waiting)
        except StopIteration:
            if not self._done.done():
                self._done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self.transport.write(wire)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        status, spent = int(head[9:12]), (time.perf_counter() - self._sent_at) * 1000
        self._load.statuses[status] += 1
        self._load.milliseconds.append(spent)
        self._load.by_status.append((status, spent))
        self._load.bodies.append(rest)
        self._buffer = b""
        self.send_next()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError("the server closed the connection"))


async def drive(address: tuple[str, int], requests: Sequence[bytes], *, connections: int = 8) -> Load:
    """Send them all, each connection one at a time, all connections opened before the first is sent."""
    load, waiting, loop = Load(), iter(requests), asyncio.get_running_loop()
    opened: list[tuple[_Connection, asyncio.Future[None]]] = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        connection = _Connection(waiting, load, done)
        await loop.create_connection(lambda made=connection: made, *address)  # type: ignore[misc]
        opened.append((connection, done))
    began = time.perf_counter()
    for connection, _ in opened:
        connection.send_next()
    await asyncio.gather(*(done for _, done in opened))
    load.seconds = time.perf_counter() - began
    for connection, _ in opened:
        connection.transport.close()
    return load
