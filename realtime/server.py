"""python-socketio without what clients could abuse; a subclass, nothing is patched.

What it was seen to do wrong, and where it is mended: binary attachments without a cap (`Packet`), handlers that a
client can call by their reserved names (`SocketServer._handle_event`), clients that vanish while they are let in and
stay (`SocketServer._handle_connect`), or that never ask to be let in (`SocketServer._close_unless_connected`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import socketio
import structlog
from aiohttp import web
from socketio import packet as socket_packet

from realtime.connection import Connection, Door, EngineServer
from realtime.environment import Timing
from realtime.frames import Frame, Json
from realtime.limits import FRAME_BYTES
from realtime.logs import LIBRARY_LOGGER
from shared_contracts.errors import ErrorCode

log = structlog.get_logger(__name__)

PING_INTERVAL_SECONDS = 20
PING_TIMEOUT_SECONDS = 15


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


class Application(Door, Protocol):
    """What the server asks of the node."""

    async def connect(self, connection: Connection, sid: str, auth: object) -> None:
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
        self.eio.door = application
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
