"""python-socketio and python-engineio with the bounds and the speed they lack; subclasses, nothing is patched.

What they were seen to do wrong, and where it is mended: binary attachments without a cap (`Packet`), queues without a
bound and writers that wait for ever (`Connection`), a packet encoded and a task made per member (`Connection.push`),
handlers that a client can call by their reserved names (`SocketServer._handle_event`), refused or half-open clients
that stay (`SocketServer._close_unless_connected`), `REMOTE_ADDR` that is always 127.0.0.1 (`SocketServer.peer`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import socketio
import structlog
from aiohttp import web
from engineio import AsyncServer as EngineIOServer
from engineio import packet as engine_packet
from engineio.async_drivers.aiohttp import WebSocket as EngineIOWebSocket
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError, SocketIsClosedError
from socketio import packet as socket_packet

from realtime.environment import Timing
from realtime.frames import Frame, Json, model_frame
from realtime.limits import FRAME_BYTES, FRAMES_BURST, FRAMES_PER_SECOND, QUEUED_BYTES, QUEUED_PACKETS, Bucket
from realtime.logs import LIBRARY_LOGGER
from shared_contracts.commands import Closing
from shared_contracts.errors import ErrorCode

log = structlog.get_logger(__name__)

PING_INTERVAL_SECONDS = 20
PING_TIMEOUT_SECONDS = 15
MESSAGE = "4"
DISCONNECT = Frame(b"41")
CLOSE = Frame(b"1")
WRITE_THROUGH_BYTES = 64 * 1024
"""While the transport holds less than this, packets are written to it; beyond it they wait in the bounded queue."""


class Refused(Exception):
    """This client is not let in; the client reads the message, the code and when to try again."""

    def __init__(self, code: ErrorCode, message: str, *, reconnect_in_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reconnect_in_ms = reconnect_in_ms


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command, and what to do once it has been sent."""

    answer: dict[str, Any]
    then: Callable[[], None] | None = None


class Application(Protocol):
    """What the server asks of the node."""

    def opened(self, connection: "Connection", request: web.Request) -> bool:
        """A connection was opened; False refuses it before anything is kept for it."""

    def closed(self, connection: "Connection") -> None:
        """The connection is gone, whether or not it ever authenticated."""

    async def connect(self, connection: "Connection", sid: str, auth: object) -> None:
        """Let the client in. Raises Refused."""

    def connected(self, sid: str) -> None:
        """The client was told that it is in."""

    def disconnected(self, sid: str) -> None:
        """The client is out; also called when it vanished while it was being let in."""

    async def command(self, sid: str, name: str, arguments: Sequence[Any]) -> Reply:
        """Do what the client asks. Raises nothing."""


class Packet(socket_packet.Packet):
    """A Socket.IO packet without binary attachments, which would be kept without a bound."""

    uses_binary_events = False
    json: Any = Json

    def decode(self, encoded_packet: Any) -> Any:
        if not isinstance(encoded_packet, str) or encoded_packet[:1] in {"5", "6"}:
            raise ValueError("binary packets are refused")
        return super().decode(encoded_packet)


class Overflow(Exception):
    """More packets or bytes wait for this client than it may cost."""


class BoundedQueue(asyncio.Queue[Any]):
    """The packets that wait for one client. The sentinel None and engine.io's own packets count as nothing."""

    bytes_waiting = 0

    def _put(self, item: Any) -> None:
        size = len(item.payload) if isinstance(item, Frame) else 0
        if size and (self.qsize() >= QUEUED_PACKETS or self.bytes_waiting + size > QUEUED_BYTES):
            raise Overflow
        self.bytes_waiting += size
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.bytes_waiting -= len(item.payload) if isinstance(item, Frame) else 0
        return item

    def drop_all(self) -> None:
        """Forget what waits."""
        while not self.empty():
            self.get_nowait()


class WebSocket(EngineIOWebSocket):
    """aiohttp's WebSocket without compression (up to 90 KB a connection), and with its transport in reach."""

    transport: asyncio.Transport | None = None

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        request: web.Request = environ["aiohttp.request"]
        self.environ = environ
        self._sock = web.WebSocketResponse(max_msg_size=FRAME_BYTES, compress=False, timeout=1)
        await self._sock.prepare(request)
        self.transport = request.transport
        await self.handler(self)
        return self._sock

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

    def __init__(self, server: "EngineServer", sid: str, address: str) -> None:
        super().__init__(server, sid)
        self.address = address
        self.websocket: WebSocket | None = None
        self.bucket = Bucket(FRAMES_PER_SECOND, FRAMES_BURST)
        self.posting = asyncio.Lock()
        self.doomed = False
        """Its last packets are on their way; nothing follows them."""

    def push(self, frame: Frame) -> None:
        """Send a packet without waiting: at once when nothing waits before it, else through the bounded queue."""
        if self.closed or self.doomed:
            return
        if self.websocket is not None and self.queue.empty() and self.websocket.write(frame):
            return
        try:
            self.queue.put_nowait(frame)
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
        """Close the connection. Never waits for the client: what it has not read by the end of the linger is cut off."""
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
        self.queue.put_nowait(None)
        if self.websocket is not None:
            asyncio.get_running_loop().call_later(self.server.timing.linger, self.websocket.abort)
        self.server.sockets.pop(self.sid, None)
        self.server.application.closed(self)

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
        writer = asyncio.create_task(self._write_queued(ws))
        self.websocket = ws
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
        await writer

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

    async def _write_queued(self, ws: WebSocket) -> None:
        """Write what had to wait, in order. A packet leaves the queue only in the moment it is written."""
        try:
            while (waiting := await self.queue.get()) is not None:
                async with asyncio.timeout(self.server.timing.send):
                    await ws.send(waiting.encode())
            async with asyncio.timeout(self.server.timing.linger):
                await ws.close()
        except TimeoutError:
            self.shut(ErrorCode.SLOW_CONSUMER, reconnect_in_ms=0)
            ws.abort()
        except (OSError, RuntimeError):
            ws.abort()


class EngineServer(EngineIOServer):
    """Engine.IO with our connections."""

    application: Application
    timing: Timing
    message: Callable[[Connection, str], Awaitable[None]]
    shutting: Callable[[ErrorCode], None]
    address: Callable[[web.Request], str]
    sockets: dict[str, Connection]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._async: dict[str, Any] = dict(self._async or {}, websocket=WebSocket)

    def create_queue(self, *_args: Any, **_options: Any) -> BoundedQueue:
        return BoundedQueue()

    async def _handle_connect(self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None) -> Any:
        if self.start_service_task:
            self.start_service_task = False
            self.service_task_handle = self.start_background_task(self._service_task)
        request: web.Request = environ["aiohttp.request"]
        connection = Connection(self, self.generate_id(), self.address(request))
        if not self.application.opened(connection, request):
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


class SocketServer(socketio.AsyncServer):
    """Socket.IO on one namespace. Rooms are not its own: members are kept, and written to, by `realtime.rooms`."""

    eio: EngineServer

    def __init__(
        self,
        application: Application,
        *,
        origins: Sequence[str],
        timing: Timing,
        address: Callable[[web.Request], str],
        shutting: Callable[[ErrorCode], None],
    ) -> None:
        library_logger = logging.getLogger(LIBRARY_LOGGER)
        super().__init__(
            logger=library_logger,
            engineio_logger=library_logger,
            serializer=Packet,
            async_mode="aiohttp",
            async_handlers=False,
            namespaces=["/"],
            cors_allowed_origins=list(origins) or None,
            ping_interval=PING_INTERVAL_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            max_http_buffer_size=FRAME_BYTES,
            http_compression=False,
        )
        self.application = application
        self.timing = timing
        self.eio.application = application
        self.eio.timing = timing
        self.eio.address = address
        self.eio.shutting = shutting
        self.eio.message = self._take_message
        self.on("connect", self._let_in)

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:  # type: ignore[override]
        await super()._handle_eio_connect(eio_sid, environ)
        self._expect_connected(eio_sid)

    async def _take_message(self, connection: Connection, text: str) -> None:
        """Take one Socket.IO packet. Whoever sends what is not one is closed."""
        try:
            await self._handle_eio_message(connection.sid, text)
        except (ValueError, TypeError, RecursionError):
            connection.shut(ErrorCode.MALFORMED)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: object) -> None:
        await super()._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, "/")
        if sid is None:
            self._expect_connected(eio_sid)
        elif eio_sid not in self.eio.sockets:
            # It vanished while it was being let in; the stock server would keep it for ever.
            await self.manager.disconnect(sid, "/")
            self.application.disconnected(sid)
        elif namespace in {None, "/"}:
            self.application.connected(sid)

    async def _let_in(self, sid: str, _environ: dict[str, Any], auth: object = None) -> None:
        """Ask the node; whatever goes wrong there, the client is out."""
        connection = self.eio.sockets.get(self.manager.eio_sid_from_sid(sid, "/"))
        if connection is None:
            raise socketio.exceptions.ConnectionRefusedError("The connection is gone.")
        try:
            await self.application.connect(connection, sid, auth)
        except Refused as refusal:
            details: dict[str, Any] = {"code": refusal.code}
            if refusal.reconnect_in_ms is not None:
                details["reconnect_in_ms"] = refusal.reconnect_in_ms
            raise socketio.exceptions.ConnectionRefusedError(str(refusal), details) from None
        except BaseException as error:
            self.application.disconnected(sid)
            if not isinstance(error, Exception):
                raise
            log.exception("connect.failed")
            details = {"code": ErrorCode.INTERNAL_ERROR}
            raise socketio.exceptions.ConnectionRefusedError("The server has failed.", details) from None

    async def _handle_disconnect(self, eio_sid: str, namespace: str | None, reason: str | None = None) -> None:
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace or "/")
        if self.manager.is_connected(sid, namespace or "/"):
            await super()._handle_disconnect(eio_sid, namespace, reason)
            self.application.disconnected(sid)
            self._expect_connected(eio_sid)

    async def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: object) -> None:  # noqa: A002
        """Hand a command to the node, whatever its name: nothing that a client names is looked up among handlers."""
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace or "/")
        if not self.manager.is_connected(sid, namespace or "/"):
            return
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise ValueError("an event is a list that begins with its name")
        reply = await self.application.command(sid, data[0], data[1:])
        connection = self.eio.sockets.get(eio_sid)
        if id is not None and connection is not None:
            connection.push(Frame(f"43{id}{Json.dumps([reply.answer])}".encode()))
        if reply.then is not None:
            reply.then()

    async def _handle_ack(self, eio_sid: str, namespace: str | None, id: int | None, data: object) -> None:  # noqa: A002
        """Acknowledgements are never asked for."""

    def _expect_connected(self, eio_sid: str) -> None:
        """Close the connection unless it has authenticated within its time."""
        asyncio.get_running_loop().call_later(self.timing.connect, self._close_unless_connected, eio_sid)

    def _close_unless_connected(self, eio_sid: str) -> None:
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None and not self.manager.is_connected(self.manager.sid_from_eio_sid(eio_sid, "/"), "/"):
            self.start_background_task(connection.close, False)
