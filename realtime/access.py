"""Losing and gaining access while connected: the numbered events that the node itself obeys, and expired tokens."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from realtime.backend import Backend, BackendAway
from realtime.clients import Client, Clients
from realtime.ending import end
from realtime.environment import Timing
from realtime.frames import Event, model_frame
from realtime.hub import Hub
from realtime.rooms import Room
from shared_contracts.commands import Ready
from shared_contracts.errors import ErrorCode
from shared_contracts.events import AccessChanged, AssistanceStatus, MemberAdded, MemberRemoved, SessionEnded
from shared_contracts.rooms import RoomKind, assistant_room, user_room

log = structlog.get_logger(__name__)

RECHECK_TRIES = 5


class Access:
    """Keeps every socket in exactly the rooms that its person may be in."""

    def __init__(self, backend: Backend, hub: Hub, clients: Clients, timing: Timing) -> None:
        self._backend = backend
        self._hub = hub
        self._clients = clients
        self._timing = timing
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders: dict[str, Callable[[Room, dict[str, Any], Iterable[Client]], None]] = {
            AssistanceStatus.type: self._follow_status,
            MemberAdded.type: self._let_in,
            MemberRemoved.type: self._put_out,
            SessionEnded.type: self._end_session,
            AccessChanged.type: self._recheck_soon,
        }

    def obey(self, room: Room, event: Event, clients: Iterable[Client]) -> None:
        """Do what an event that was just handed out to these clients orders."""
        try:
            self._orders[event.type](room, event.data(), clients)
        except (KeyError, TypeError, ValueError):
            log.exception("event.not_obeyed", room=room.name, type=event.type)

    async def recheck(self, client: Client) -> bool:
        """Ask again for every room of this socket; False when its session is over. Raises BackendAway.

        Rooms that are not allowed any more are left; contexts are taken over; a room that is now joined by itself is
        joined, and told with another `ready`.
        """
        names = list(dict.fromkeys([user_room(client.user_id), *client.rooms]))
        answers = await self._backend.joins([client.join_request(name) for name in names])
        if any(result.session_ended for _, result in answers):
            return False
        for name, (_, result) in zip(names, answers, strict=True):
            if not result.allowed:
                if name == user_room(client.user_id):
                    return False
                self._hub.leave(client, name)
            elif name in client.rooms:
                client.rooms[name] = result.context
        automatic = assistant_room(client.user_id)
        if automatic not in client.rooms:
            result, answer = await self._hub.join(client, automatic, None)
            if result.allowed and not client.gone:
                client.connection.push(model_frame(Ready.name, Ready(rooms={automatic: answer})))
                self._hub.release(client, automatic)
        return True

    async def keep_sweeping(self) -> None:
        """Close the sockets whose token has run out."""
        while True:
            await asyncio.sleep(self._timing.sweep)
            self._sweep()  # by itself, so that nothing here holds on to a client meanwhile

    def _sweep(self) -> None:
        now = self._backend.now()
        for client in self._clients:
            if client.expires_at <= now:
                client.connection.shut(ErrorCode.TOKEN_EXPIRED)

    async def close(self) -> None:
        """End all tasks."""
        await end(self._tasks)

    def _follow_status(self, room: Room, data: dict[str, Any], _clients: Iterable[Client]) -> None:
        if room.name.startswith(f"{RoomKind.ASSISTANCE}:"):
            room.status = str(data["status"])
            people = (data["client"], data["assistant"])
            room.party_ids = frozenset(int(person["id"]) for person in people if person is not None)

    def _let_in(self, room: Room, data: dict[str, Any], _clients: Iterable[Client]) -> None:
        if room.name.startswith(f"{RoomKind.CONVERSATION}:"):
            room.party_ids |= {int(data["user"]["id"])}

    def _put_out(self, room: Room, data: dict[str, Any], clients: Iterable[Client]) -> None:
        user_id = data["user"]["id"]
        if room.name.startswith(f"{RoomKind.CONVERSATION}:"):
            room.party_ids -= {user_id}
        for client in clients:
            if client.user_id == user_id:
                self._hub.leave(client, room.name)

    def _end_session(self, _room: Room, data: dict[str, Any], clients: Iterable[Client]) -> None:
        session_id = data.get("session_id")
        for client in clients:
            if session_id is None or client.session_id == session_id:
                client.connection.shut(ErrorCode.SESSION_ENDED)

    def _recheck_soon(self, _room: Room, _data: dict[str, Any], clients: Iterable[Client]) -> None:
        for client in clients:
            task = asyncio.create_task(self._recheck_until_done(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _recheck_until_done(self, client: Client) -> None:
        """Who cannot be asked for is not left with the old rights: after a few tries the socket is closed."""
        pause = self._timing.retry
        for _ in range(RECHECK_TRIES):
            if client.gone:
                return
            try:
                if not await self.recheck(client):
                    client.connection.shut(ErrorCode.SESSION_ENDED)
            except BackendAway:
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._timing.retry_limit)
            except Exception:
                log.exception("recheck.failed", user_id=client.user_id)
                break
            else:
                return
        client.connection.shut(ErrorCode.UNAVAILABLE, reconnect_in_ms=int(pause * 1000))
