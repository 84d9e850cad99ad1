"""python-engineio with the bounds and the speed it lacks; subclasses, nothing is patched.

What it was seen to do wrong, and where it is mended: queues without a bound (`BoundedQueue`), writers that wait for
ever and descriptors that stay (`Connection.close`), a task and a timer per message (`Connection._websocket_handler`), a
packet encoded and queued per member (`Connection.push`), a task and a timer per idle connection (`Pulse`), compression
(`WebSocket`), closed connections that hold themselves (`WebSocket.let_go`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

import structlog
from aiohttp import web
from engineio import AsyncServer as EngineIOServer
from engineio import packet as engine_packet
from engineio.async_drivers.aiohttp import WebSocket as EngineIOWebSocket
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError, SocketIsClosedError

from realtime.ending import end
from realtime.environment import Timing
from realtime.frames import Frame, model_frame
from realtime.limits import FRAME_BYTES, FRAMES_BURST, FRAMES_PER_SECOND, Bucket
from realtime.queue import BoundedQueue, Overflow
from shared_contracts.commands import Closing
from shared_contracts.errors import ErrorCode

log = structlog.get_logger(__name__)

MESSAGE = "4"
PING = Frame(b"2")
DISCONNECT = Frame(b"41")
CLOSE = Frame(b"1")
WRITE_THROUGH_BYTES = 64 * 1024
"""While the transport holds less than this, packets are written to it; beyond it they wait in the bounded queue."""


PULSE_SECONDS = 0.05
FEW = 20
"""So many connections are seen to in one beat however few there are."""


class Door(Protocol):
    """Counts connections, whether or not they ever authenticate."""

    def opened(self, connection: "Connection") -> bool:
        """A connection was opened; False refuses it before anything is kept for it."""

    def closed(self, connection: "Connection") -> None:
        """The connection is gone."""


class WebSocket(EngineIOWebSocket):
    """aiohttp's WebSocket without compression (up to 90 KB a connection), and with its transport in reach."""

    transport: asyncio.Transport | None = None

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        request: web.Request = environ["aiohttp.request"]
        self.environ = environ
        self._sock = web.WebSocketResponse(max_msg_size=FRAME_BYTES, compress=False, timeout=1)
        await self._sock.prepare(request)
        self.transport = request.transport
        environ.clear()  # read by nobody from here on; it would stay as long as the connection
        await self.handler(self)
        self.let_go()
        return self._sock

    def let_go(self) -> None:
        """Leave nothing that holds itself, so that it is freed at once: see `realtime.garbage`."""
        self.handler = None
        error = self._sock.exception() if self._sock is not None else None
        while error is not None:
            error.__traceback__, error.__context__, error = None, None, error.__context__

    def write(self, frame: Frame) -> bool:
        """Write the frame when the transport is ready for it; False when it must wait."""
        transport = self.transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > WRITE_THROUGH_BYTES:
            return False
        transport.write(frame.wire)
        return True

    def abort(self) -> None:
        """Cut the connection; what was not sent is lost, and nothing of it stays."""
        if self.transport is not None:
            self.transport.abort()


class Connection(AsyncSocket):
    """One Engine.IO connection: bounded in what it may send and in what may wait for it."""

    queue: BoundedQueue
    server: "EngineServer"
    last_ping: float | None  # type: ignore[assignment]
    """When it was pinged, while the answer is awaited."""

    def __init__(self, server: "EngineServer", sid: str, address: str) -> None:
        super().__init__(server, sid)
        self.address = address
        self.websocket: WebSocket | None = None
        self.bucket = Bucket(FRAMES_PER_SECOND, FRAMES_BURST)
        self.posting = asyncio.Lock()
        self.writing: asyncio.Task[None] | None = None
        """Writes what waits; there is none while nothing does."""
        self.doomed = False
        """Its last packets are on their way; nothing follows them."""

    def push(self, frame: Frame) -> None:
        """Send a packet without waiting: at once when nothing waits before it, else through the bounded queue."""
        if self.closed or self.doomed:
            return
        if self.websocket is not None and self.queue.empty() and self.websocket.write(frame):
            return
        try:
            self._queue(frame)
        except Overflow:
            self.queue.drop_all()
            self.shut(ErrorCode.SLOW_CONSUMER, reconnect_in_ms=0)

    def shut(self, code: ErrorCode, *, reconnect_in_ms: int | None = None) -> None:
        """Say why, then close within the linger time. Without `reconnect_in_ms` the client is told to stay away."""
        if self.closed or self.doomed:
            return
        self.server.shutting(code)
        self.push(model_frame(Closing.name, Closing(code=code, reconnect_in_ms=reconnect_in_ms)))
        if reconnect_in_ms is None:
            self.push(DISCONNECT)
        self.doomed = True
        self.server.start_background_task(self.close, False)

    async def send(self, pkt: Any) -> None:
        self.push(pkt if isinstance(pkt, Frame) else Frame(pkt.encode(b64=True).encode()))

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Close the connection without waiting for the client: what it has not read when the linger ends is cut off."""
        if self.closing:
            return
        self.closing = True
        await self.server._trigger_event(
            "disconnect", self.sid, reason or self.server.reason.SERVER_DISCONNECT, run_async=False
        )
        if not abort:
            self.doomed = False
            self.push(CLOSE)
        self.closed = True
        self._queue(None)
        if self.websocket is not None:
            asyncio.get_running_loop().call_later(self.server.timing.linger, self.websocket.abort)
        self.server.sockets.pop(self.sid, None)
        self.server.door.closed(self)

    def schedule_ping(self) -> None:
        """It is alive: the next ping is due in an interval. Does nothing when no answer was awaited."""
        if self.last_ping:
            self.last_ping = None
            self.server.pulse.expect(self.sid)

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Take what a polling client sends, one request after the other."""
        try:
            async with self.posting, asyncio.timeout(self.server.timing.send):
                await super().handle_post_request(environ)
        except SocketIsClosedError:
            pass
        except (ValueError, TimeoutError):
            self.shut(ErrorCode.MALFORMED)

    async def receive(self, pkt: Any) -> None:
        """Take one packet of a polling client."""
        if pkt.binary:
            self.shut(ErrorCode.MALFORMED)
        else:
            await self.take(pkt.encode())

    async def take(self, text: str) -> None:
        """Take one packet, and close the connection when it is too many or not one. Raises SocketIsClosedError."""
        if self.closed or self.doomed:
            raise SocketIsClosedError
        if not self.bucket.take():
            self.shut(ErrorCode.RATE_LIMITED)
        elif text[:1] == MESSAGE:
            await self.server.message(self, text[1:])
        elif text[:1] == "3":
            self.schedule_ping()
        elif text[:1] == "1":
            await self.close(abort=True, reason=self.server.reason.CLIENT_DISCONNECT)
        else:
            self.shut(ErrorCode.MALFORMED)

    async def _websocket_handler(self, ws: WebSocket) -> None:
        """Engine.IO over a WebSocket: one reader, one writer, no task and no timer per message."""
        if self.connected and not await self._upgrade(ws):
            return
        self.connected = self.upgraded = True
        self.upgrading = False
        self.websocket = ws
        if not self.queue.empty():
            self.writing = asyncio.create_task(self._write_queued(ws))
        try:
            while True:
                text = await ws.wait()
                if not isinstance(text, str):
                    self.shut(ErrorCode.MALFORMED)
                    break
                await self.take(text)
        except (OSError, EngineIOError):
            pass  # the client or we ourselves have closed
        except Exception:
            log.exception("socket.failed")
        await self.close(abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
        if self.writing is not None:
            await self.writing

    async def _upgrade(self, ws: WebSocket) -> bool:
        """Move a polling client over to this WebSocket: probe, end of the poll, upgrade (Engine.IO protocol, v4)."""
        self.upgrading = True
        try:
            async with asyncio.timeout(self.server.timing.connect):
                if await ws.wait() != "2probe":
                    raise ValueError("no probe")
                await ws.send("3probe")
                self.queue.put_nowait(engine_packet.Packet(engine_packet.NOOP))
                if await ws.wait() != "5":
                    raise ValueError("no upgrade")
        except (OSError, ValueError, TimeoutError):
            self.upgrading = False
            await ws.close()
            return False
        return True

    def _queue(self, packet: Frame | None) -> None:
        """Have it wait its turn. Raises Overflow."""
        self.queue.put_nowait(packet)
        if self.websocket is not None and self.writing is None:
            self.writing = asyncio.create_task(self._write_queued(self.websocket))

    async def _write_queued(self, ws: WebSocket) -> None:
        """Write what had to wait, in order, until nothing does. A packet leaves the queue when it is written."""
        try:
            while not self.queue.empty():
                waiting = self.queue.get_nowait()
                if waiting is None:
                    async with asyncio.timeout(self.server.timing.linger):
                        await ws.close()
                    return
                async with asyncio.timeout(self.server.timing.send):
                    await ws.send(waiting.encode())
        except TimeoutError:
            self.shut(ErrorCode.SLOW_CONSUMER, reconnect_in_ms=0)
            ws.abort()
        except (OSError, RuntimeError):
            ws.abort()
        finally:
            self.writing = None


class Pulse:
    """Pings every connection an interval after its last answer, and closes those that do not answer.

    One task for all of them: both times are the same for everyone, so who comes later is due later. Those who came all
    at once are pinged within a quarter of the interval, so that they do not answer at once for ever.
    """

    def __init__(self, server: "EngineServer") -> None:
        self._server = server
        self._to_ping: deque[tuple[float, str]] = deque()
        self._to_answer: deque[tuple[float, str]] = deque()

    def expect(self, sid: str) -> None:
        """Ping this connection when its interval is over."""
        self._to_ping.append((time.monotonic() + self._server.ping_interval, sid))

    async def beat(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            self._ping_due(time.monotonic())
            self._close_due(time.monotonic())

    def _ping_due(self, now: float) -> None:
        at_once = 4 * PULSE_SECONDS / self._server.ping_interval * len(self._server.sockets)
        for connection in self._due(self._to_ping, now, max(FEW, round(at_once))):
            if not connection.closing:
                connection.last_ping = now
                connection.push(PING)
                self._to_answer.append((now + self._server.ping_timeout, connection.sid))

    def _close_due(self, now: float) -> None:
        for connection in self._due(self._to_answer, now, FEW):
            if connection.last_ping and now >= connection.last_ping + self._server.ping_timeout:
                self._server.start_background_task(connection.close, False, False, self._server.reason.PING_TIMEOUT)

    def _due(self, waiting: deque[tuple[float, str]], now: float, most: int) -> Iterator["Connection"]:
        while most and waiting and waiting[0][0] <= now:
            connection = self._server.sockets.get(waiting.popleft()[1])
            if connection is not None:
                most -= 1
                yield connection


class EngineServer(EngineIOServer):
    """Engine.IO with our connections."""

    door: Door
    timing: Timing
    message: Callable[[Connection, str], Awaitable[None]]
    shutting: Callable[[ErrorCode], None]
    address: Callable[[web.Request], str]
    sockets: dict[str, Connection]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._async: dict[str, Any] = dict(self._async or {}, websocket=WebSocket)
        self.pulse = Pulse(self)

    async def _service_task(self) -> None:
        await self.pulse.beat()

    async def shutdown(self) -> None:
        if self.service_task_handle is not None:
            await end([self.service_task_handle])

    def create_queue(self, *_args: Any, **_options: Any) -> BoundedQueue:
        return BoundedQueue()

    async def _handle_connect(self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None) -> Any:
        if self.start_service_task:
            self.start_service_task = False
            self.service_task_handle = self.start_background_task(self._service_task)
        request: web.Request = environ["aiohttp.request"]
        connection = Connection(self, self.generate_id(), self.address(request))
        if not self.door.opened(connection):
            return self._unauthorized({"code": ErrorCode.TOO_MANY_SOCKETS})
        self.sockets[connection.sid] = connection
        await connection.send(engine_packet.Packet(engine_packet.OPEN, self._opening(connection, transport)))
        await self._trigger_event("connect", connection.sid, environ, run_async=False)
        connection.schedule_ping()
        if transport == "websocket":
            return await connection.handle_get_request(environ)
        connection.connected = True
        return self._ok(await connection.poll(), jsonp_index=jsonp_index)

    def _opening(self, connection: Connection, transport: str) -> dict[str, Any]:
        return {
            "sid": connection.sid,
            "upgrades": self._upgrades(connection.sid, transport),
            "pingTimeout": int(self.ping_timeout * 1000),
            "pingInterval": int(self.ping_interval * 1000),
            "maxPayload": self.max_http_buffer_size,
        }
