"""WebSocket clients by the thousand in one process: a protocol each, no task, nothing decoded that is not asked for."""

import asyncio
import base64
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

Heard = Callable[[bytes], None]
MASK = b"\0\0\0\0"


class Socket(asyncio.Protocol):
    """One client. With a token it speaks Socket.IO up to its `ready`; without one it is a plain WebSocket."""

    def __init__(self, path: str, address: str, token: str | None, on_text: Heard) -> None:
        self._path = path
        self._address = address
        self._token = token
        self.on_text = on_text
        self._buffer = b""
        self._upgraded = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.acks: dict[int, asyncio.Future[Any]] = {}
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {self._path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"X-Forwarded-For: {self._address}"]
        transport.write("\r\n".join([*lines, "", ""]).encode())

    def send(self, text: bytes) -> None:
        size = len(text)
        head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
        self.transport.write(head + MASK + text)  # masked with zeros, which is a mask too

    async def call(self, number: int, name: str, **fields: Any) -> Any:
        """A Socket.IO command and its acknowledgement."""
        answer = self.acks[number] = asyncio.get_running_loop().create_future()
        self.send(f"42{number}".encode() + msgspec.json.encode([name, fields]))
        return (await asyncio.wait_for(answer, 20))[0]

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        if not self._upgraded:
            head, blank, rest = data.partition(b"\r\n\r\n")
            if not blank:
                self._buffer = data
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.opened.set_exception(ConnectionError(head.decode()))
                return
            self._upgraded, data = True, rest
            if self._token is None:
                self.opened.set_result(None)
        start, end = 0, len(data)
        while end - start >= 2:
            size, body = data[start + 1], start + 2
            if size == 126:
                size, body = int.from_bytes(data[start + 2 : start + 4], "big"), start + 4
            elif size == 127:
                size, body = int.from_bytes(data[start + 2 : start + 10], "big"), start + 10
            if end < body + size or body > end:
                break
            if data[start] == 0x81:
                self._take(data[body : body + size])
            start = body + size
        self._buffer = data[start:]

    def _take(self, text: bytes) -> None:
        if self._token is None or (text[:2] == b"42" and self.opened.done()):
            self.on_text(text)
        elif text == b"2":
            self.send(b"3")
        elif text[:1] == b"0":
            self.send(b"40" + msgspec.json.encode({"token": self._token}))
        elif text[:2] == b"43":
            number, bracket, rest = text[2:].partition(b"[")
            ack = self.acks.pop(int(number))
            if not ack.done():  # nobody waits for it any more
                ack.set_result(msgspec.json.decode(bracket + rest))
        elif text.startswith(b'42["ready"'):
            self.opened.set_result(None)
        elif text.startswith((b"44", b'42["closing"')) and not self.opened.done():
            self.opened.set_exception(ConnectionError(text.decode()))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the server closed the connection"))


async def open_sockets(
    server: tuple[str, int],
    tokens: Sequence[str | None],
    on_text: Callable[[int], Heard],
    *,
    path: str = "/socket.io/?EIO=4&transport=websocket",
    at_once: int = 100,
) -> list[Socket]:
    """A socket for each token, from an address of its own; `on_text(i)` gives what the i-th calls with each text."""
    loop = asyncio.get_running_loop()
    opened: list[Socket] = []
    for start in range(0, len(tokens), at_once):
        batch = []
        for index in range(start, min(start + at_once, len(tokens))):
            socket = Socket(path, f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}", tokens[index], on_text(index))
            await loop.create_connection(lambda made=socket: made, *server)  # type: ignore[misc]
            batch.append(socket)
        await asyncio.gather(*(asyncio.wait_for(socket.opened, 30) for socket in batch))
        opened += batch
    return opened


def close(sockets: Sequence[Socket]) -> None:
    for socket in sockets:
        socket.transport.abort()


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError("what was awaited did not come")
        await asyncio.sleep(0.001)
