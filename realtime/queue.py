"""What waits for one client: bounded in packets and in bytes."""

import asyncio
from typing import Any

from realtime.frames import Frame
from realtime.limits import QUEUED_BYTES, QUEUED_PACKETS


class Overflow(Exception):
    """More packets or bytes wait for this client than it may cost."""


class BoundedQueue:
    """The packets that wait for one client. The sentinel None and engine.io's own packets count as nothing.

    An `asyncio.Queue` as far as engine.io asks for one, but next to nothing while nothing waits, as nearly always.
    """

    __slots__ = ("_getters", "_packets", "bytes_waiting")

    def __init__(self) -> None:
        self._packets: list[Any] = []
        self._getters: list[asyncio.Future[None]] = []
        self.bytes_waiting = 0

    def empty(self) -> bool:
        return not self._packets

    def put_nowait(self, item: Any) -> None:
        """Raises Overflow."""
        size = len(item.payload) if isinstance(item, Frame) else 0
        if size and (len(self._packets) >= QUEUED_PACKETS or self.bytes_waiting + size > QUEUED_BYTES):
            raise Overflow
        self.bytes_waiting += size
        self._packets.append(item)
        self._wake()

    def get_nowait(self) -> Any:
        """Raises asyncio.QueueEmpty."""
        if not self._packets:
            raise asyncio.QueueEmpty
        item = self._packets.pop(0)
        self.bytes_waiting -= len(item.payload) if isinstance(item, Frame) else 0
        return item

    async def get(self) -> Any:
        """The first packet, once there is one."""
        while not self._packets:
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                getter.cancel()
                if getter in self._getters:
                    self._getters.remove(getter)
                elif self._packets:
                    self._wake()  # it was this one's turn, and will not be taken
                raise
        return self.get_nowait()

    def task_done(self) -> None:
        """Nobody waits for that."""

    def drop_all(self) -> None:
        """Forget what waits."""
        self._packets.clear()
        self.bytes_waiting = 0

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.pop(0)
            if not getter.done():
                getter.set_result(None)
                return
