"""Letting clients in, and the commands of the socket. No business rule: the backend decides, the node passes on."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from realtime.access import Access
from realtime.backend import Acted, Backend, BackendAway
from realtime.clients import Client, Clients, OpenConnections
from realtime.connection import Connection
from realtime.ending import end
from realtime.environment import Timing
from realtime.frames import model_frame
from realtime.hub import Hub
from realtime.limits import ROOMS_PER_SOCKET
from realtime.locations import Locations
from realtime.metrics import Metrics
from realtime.server import Refused, Reply
from realtime.talking import Talking
from realtime.tokens import BadToken, TokenVerifier
from shared_contracts import commands
from shared_contracts.errors import ErrorCode
from shared_contracts.internal import JoinResult
from shared_contracts.rooms import Room, assistance_room, assistant_room, user_room
from shared_contracts.tokens import LEEWAY_SECONDS, AccessClaims

log = structlog.get_logger(__name__)

RECONNECT_SPREAD_MS = 5000
QUIET = frozenset({commands.LocationUpdate.name, commands.Ping.name})
"""Commands that come all the time: logged at the lowest level only."""

Body = TypeVar("Body", bound=BaseModel)


class Gateway:
    """The node as its clients see it; the `Application` of `realtime.server`."""

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        backend: Backend,
        hub: Hub,
        clients: Clients,
        access: Access,
        locations: Locations,
        talking: Talking,
        timing: Timing,
        metrics: Metrics,
        clock_movable: bool,
    ) -> None:
        self._verifier = verifier
        self._backend = backend
        self._hub = hub
        self._clients = clients
        self._access = access
        self._locations = locations
        self._talking = talking
        self._timing = timing
        self._metrics = metrics
        self._clock_movable = clock_movable
        self._open = OpenConnections()
        self._connections: set[Connection] = set()
        self._everyone_gone = asyncio.Event()
        self._welcomes: dict[str, commands.Ready] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Callable[[Client, Any], Awaitable[Reply]]] = {
            commands.Join.name: self._with(commands.Join, self._join),
            commands.Leave.name: self._with(commands.Leave, self._leave),
            commands.LocationUpdate.name: self._with(commands.LocationUpdate, self._update_location),
            commands.MessageSend.name: self._with(commands.MessageSend, self._send_message),
            commands.MarkRead.name: self._with(commands.MarkRead, self._mark_read),
            commands.MarkDelivered.name: self._with(commands.MarkDelivered, self._mark_delivered),
            commands.SetTyping.name: self._with(commands.SetTyping, self._set_typing),
            commands.AssistanceAccept.name: self._with(commands.AssistanceAccept, self._accept),
            commands.AssistanceDecline.name: self._with(commands.AssistanceDecline, self._decline),
            commands.Authenticate.name: self._with(commands.Authenticate, self._authenticate),
            commands.Ping.name: self._with(commands.Ping, self._ping),
        }
        self.draining = False

    # Connections

    def opened(self, connection: Connection) -> bool:
        if not self._open.open(connection.address):
            self._metrics.refused.labels(ErrorCode.TOO_MANY_SOCKETS).inc()
            return False
        self._connections.add(connection)
        return True

    def closed(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._open.close(connection.address)
        if not self._connections:
            self._everyone_gone.set()

    async def connect(self, connection: Connection, sid: str, auth: object) -> None:
        """Let the client in, held in its own rooms until it was told so. Raises Refused."""
        try:
            await self._connect(connection, sid, auth)
        except Refused as refusal:
            self._metrics.refused.labels(refusal.code).inc()
            log.info("socket.refused", code=refusal.code, address=connection.address)
            self.disconnected(sid)
            raise

    def connected(self, sid: str) -> None:
        client = self._clients.get(sid)
        ready = self._welcomes.pop(sid, None)
        if client is None or ready is None:
            return
        client.connection.push(model_frame(ready.name, ready))
        for name in ready.rooms:
            self._hub.release(client, name)
        log.info("socket.connected", user_id=client.user_id, session_id=client.session_id)

    def disconnected(self, sid: str) -> None:
        self._welcomes.pop(sid, None)
        client = self._clients.remove(sid)
        if client is None:
            return
        for name in list(client.rooms):
            self._hub.leave(client, name)
        self._metrics.sockets.set(len(self._clients))
        log.info("socket.disconnected", user_id=client.user_id, seconds=round(time.monotonic() - client.since, 1))

    async def drain(self) -> None:
        """Let nobody in any more, tell everyone to come back in a while (not all at once), and wait a moment."""
        self.draining = True
        for connection in list(self._connections):
            connection.shut(ErrorCode.SERVER_DRAINING, reconnect_in_ms=_spread_ms())
        self._everyone_gone.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._everyone_gone.wait(), self._timing.drain)
        await end(self._tasks)

    async def _connect(self, connection: Connection, sid: str, auth: object) -> None:
        if self.draining:
            raise Refused(ErrorCode.SERVER_DRAINING, "The server is restarting.", reconnect_in_ms=_spread_ms())
        if not isinstance(auth, dict) or "token" not in auth:
            raise Refused(ErrorCode.NOT_AUTHENTICATED, "Give an access token as `auth: {token}`.")
        try:
            given = commands.ConnectAuth.model_validate(auth)
            claims = await self._verify(given.token)
        except ValidationError:
            raise Refused(ErrorCode.INVALID_TOKEN, "`auth` is `{token, cursors?}`.") from None
        except BadToken as error:
            raise Refused(error.code, str(error)) from None
        except BackendAway:
            raise _away() from None
        client = self._clients.add(sid, connection, claims, given.token, _end_of(claims))
        self._metrics.sockets.set(len(self._clients))
        names = [user_room(client.user_id), assistant_room(client.user_id)]
        cursors = given.cursors or {}
        answers = await asyncio.gather(
            *(self._hub.join(client, name, cursors.get(name)) for name in names), return_exceptions=True
        )
        joined: list[tuple[JoinResult, commands.JoinAnswer]] = []
        for answer in answers:
            if isinstance(answer, BackendAway):
                raise _away()
            if isinstance(answer, BaseException):
                raise answer
            joined.append(answer)
        if not joined[0][0].allowed:
            code = ErrorCode.SESSION_ENDED if joined[0][0].session_ended else ErrorCode.FORBIDDEN
            raise Refused(code, "The session is over; sign in again.")
        self._welcomes[sid] = commands.Ready(
            rooms={name: answer for name, (result, answer) in zip(names, joined, strict=True) if result.allowed}
        )

    async def _verify(self, token: str) -> AccessClaims:
        """Raises BadToken, and BackendAway where the clock can be moved and the backend does not say how far."""
        if self._clock_movable:
            await self._backend.heads([])
        return self._verifier.verify(token, now=self._backend.now())

    # Commands

    async def command(self, sid: str, name: str, arguments: Sequence[Any]) -> Reply:
        """Do what the client asks; every failure is an answer."""
        began = time.monotonic()
        client = self._clients.get(sid)
        handler = self._handlers.get(name)
        with structlog.contextvars.bound_contextvars(request_id=uuid.uuid4().hex):
            if client is None:
                reply = _no(ErrorCode.NOT_AUTHENTICATED)
            elif handler is None:
                reply = _no(ErrorCode.UNKNOWN_COMMAND, "There is no such command.")
            else:
                reply = await self._safely(handler, client, name, arguments)
            code = str(reply.answer.get("code") or "ok")
            self._metrics.commands.labels(name if handler is not None else "unknown", code).inc()
            (log.debug if name in QUIET else log.info)(
                "command",
                command=name[:40],
                code=code,
                user_id=client.user_id if client is not None else None,
                ms=round((time.monotonic() - began) * 1000, 1),
            )
        return reply

    async def _safely(
        self, handler: Callable[[Client, Any], Awaitable[Reply]], client: Client, name: str, arguments: Sequence[Any]
    ) -> Reply:
        try:
            if len(arguments) > 1:
                return _no(ErrorCode.VALIDATION_FAILED, "A command takes one object.")
            return await handler(client, arguments[0] if arguments else {})
        except ValidationError as error:
            errors = [
                {"field": ".".join(map(str, detail["loc"])), "code": detail["type"], "message": detail["msg"]}
                for detail in error.errors(include_url=False, include_input=False, include_context=False)
            ]
            return _reply(commands.Answer(ok=False, code=ErrorCode.VALIDATION_FAILED, errors=errors))
        except BackendAway:
            return _no(ErrorCode.UNAVAILABLE, "The server cannot do this at the moment; try again.")
        except Exception:
            log.exception("command.failed", command=name, user_id=client.user_id)
            return _no(ErrorCode.INTERNAL_ERROR, "The server has failed.")

    def _with(
        self, model: type[Body], handle: Callable[[Client, Body], Awaitable[Reply]]
    ) -> Callable[[Client, Any], Awaitable[Reply]]:
        def parse_and_handle(client: Client, payload: Any) -> Awaitable[Reply]:
            return handle(client, model.model_validate({} if payload is None else payload))

        return parse_and_handle

    async def _join(self, client: Client, command: commands.Join) -> Reply:
        try:
            name = str(Room.parse(command.room))
        except ValueError:
            return _no(ErrorCode.UNKNOWN_ROOM, "There is no such kind of room.")
        if name not in client.rooms and len(client.rooms) >= ROOMS_PER_SOCKET:
            return _no(ErrorCode.TOO_MANY_ROOMS, "Leave a room first.")
        result, answer = await self._hub.join(client, name, command.cursor)

        def then() -> None:
            if result.session_ended:
                client.connection.shut(ErrorCode.SESSION_ENDED)
            elif result.allowed:
                self._hub.release(client, name)
                self._spawn(self._locations.show_parties(client, name))
                self._spawn(self._talking.show_present(client, name))

        return _reply(answer, then)

    async def _leave(self, client: Client, command: commands.Leave) -> Reply:
        if command.room in {user_room(client.user_id), assistant_room(client.user_id)}:
            return _no(ErrorCode.FORBIDDEN, "This room is joined by itself and cannot be left.")
        if command.room not in client.rooms:
            return _no(ErrorCode.NOT_JOINED, "You are not in this room.")
        self._hub.leave(client, command.room)
        return _reply(commands.Answer(ok=True))

    async def _update_location(self, client: Client, command: commands.LocationUpdate) -> Reply:
        return _reply(await self._locations.update(client, command))

    async def _send_message(self, client: Client, command: commands.MessageSend) -> Reply:
        if (command.conversation_id is None) == (command.assistance_id is None):
            return _no(ErrorCode.VALIDATION_FAILED, "Name either conversation_id or assistance_id.")
        if command.conversation_id is not None:
            path = f"conversations/{command.conversation_id}/messages/"
        else:
            path = f"assistance/{command.assistance_id}/messages/"
        body = command.model_dump(exclude={"conversation_id", "assistance_id"}, exclude_unset=True, exclude_none=True)
        acted = await self._act(client, path, body)
        return _problem(acted) or _reply(commands.MessageAnswer(ok=True, message=acted.body))

    async def _mark_read(self, client: Client, command: commands.MarkRead) -> Reply:
        return await self._mark(client, command, "read")

    async def _mark_delivered(self, client: Client, command: commands.MarkDelivered) -> Reply:
        return await self._mark(client, command, "delivered")

    async def _mark(self, client: Client, command: commands.MarkRead | commands.MarkDelivered, how: str) -> Reply:
        path = f"conversations/{command.conversation_id}/{how}/"
        acted = await self._act(client, path, {"message_id": command.message_id})
        return _problem(acted) or _reply(commands.Answer(ok=True))

    async def _set_typing(self, client: Client, command: commands.SetTyping) -> Reply:
        return _reply(await self._talking.set_typing(client, command))

    async def _accept(self, client: Client, command: commands.AssistanceAccept) -> Reply:
        return await self._answer_offer(client, command.id, "accept")

    async def _decline(self, client: Client, command: commands.AssistanceDecline) -> Reply:
        return await self._answer_offer(client, command.id, "decline")

    async def _answer_offer(self, client: Client, assistance_id: int, act: str) -> Reply:
        acted = await self._act(client, f"{assistance_room(assistance_id).replace(':', '/')}/{act}/")
        return _problem(acted) or _reply(commands.AssistanceAnswer(ok=True, assistance=acted.body))

    async def _authenticate(self, client: Client, command: commands.Authenticate) -> Reply:
        """Take a fresh token of the same person; one of another session is taken only when that session is alive."""
        try:
            claims = await self._verify(command.token)
        except BadToken as error:
            return _no(error.code, str(error))
        if claims.user_id != client.user_id:
            return _no(ErrorCode.FORBIDDEN, "The token is another person's.")
        before = (client.session_id, client.token, client.expires_at)
        client.session_id, client.token, client.expires_at = claims.sid, command.token, _end_of(claims)
        if claims.sid != before[0]:
            try:
                alive = await self._access.recheck(client)
            except BackendAway:
                client.session_id, client.token, client.expires_at = before
                raise
            if not alive:
                client.session_id, client.token, client.expires_at = before
                return _no(ErrorCode.SESSION_ENDED, "The token's session is over.")
        return _reply(commands.Answer(ok=True))

    async def _ping(self, client: Client, command: commands.Ping) -> Reply:
        return _reply(commands.Answer(ok=True))

    async def _act(self, client: Client, path: str, body: dict[str, Any] | None = None) -> Acted:
        return await self._backend.act(token=client.token, address=client.connection.address, path=path, body=body)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reply(answer: commands.Answer, then: Callable[[], None] | None = None) -> Reply:
    return Reply(answer.model_dump(mode="json", exclude_unset=True, exclude_none=True), then)


def _no(code: ErrorCode, detail: str | None = None) -> Reply:
    return _reply(commands.Answer(ok=False, code=code, detail=detail))


def _problem(acted: Acted) -> Reply | None:
    """The answer to an act that the backend refused; None when it was done."""
    if acted.ok:
        return None
    return _reply(commands.Answer(ok=False, code=acted.code, detail=acted.detail, errors=acted.errors))


def _away() -> Refused:
    return Refused(ErrorCode.UNAVAILABLE, "The server is not ready; try again soon.", reconnect_in_ms=_spread_ms())


def _end_of(claims: AccessClaims) -> float:
    return float(claims.exp + LEEWAY_SECONDS)


def _spread_ms() -> int:
    """When to come back, so that not everyone comes at once."""
    return random.randrange(RECONNECT_SPREAD_MS)  # noqa: S311 - jitter
