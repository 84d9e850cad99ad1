"""Who is writing, and who is connected: of the moment, kept nowhere but in Redis, and told to the members of
conversations whose rooms are joined."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from realtime.backend import Backend
from realtime.clients import Client, Clients, Person
from realtime.environment import Timing
from realtime.frames import envelope_frame
from realtime.hub import Hub
from shared_contracts import events
from shared_contracts.commands import Answer, SetTyping
from shared_contracts.errors import ErrorCode
from shared_contracts.redis_keys import last_seen, presence, room_channel
from shared_contracts.rooms import RoomKind, conversation_room, user_room

log = structlog.get_logger(__name__)

REDIS_SECONDS = 0.5
SEEN_SECONDS = 30 * 24 * 3600
ASKED_AT_ONCE = 200
Thing = TypeVar("Thing")

TALKS = f"{RoomKind.CONVERSATION}:"

# Written and read for hundreds of people in one command each: three for every one of ten thousand, from the same few
# milliseconds, would stop the node for longer than a message may take. The keys come in pairs: presence, last seen.
NOTE = """
for i = 1, #KEYS, 2 do
    redis.call('ZADD', KEYS[i], ARGV[2], ARGV[1])
    redis.call('EXPIRE', KEYS[i], ARGV[3])
    redis.call('SET', KEYS[i + 1], ARGV[4], 'EX', ARGV[5])
end
"""
FORGET = """
for i = 1, #KEYS, 2 do
    redis.call('ZREM', KEYS[i], ARGV[1])
    if ARGV[2] == '' then
        redis.call('DEL', KEYS[i + 1])
    else
        redis.call('SET', KEYS[i + 1], ARGV[2], 'EX', ARGV[3])
    end
end
"""
LOOK = """
local found = {}
for i = 1, #KEYS, 2 do
    found[i] = redis.call('ZCOUNT', KEYS[i], ARGV[1], '+inf')
    found[i + 1] = redis.call('GET', KEYS[i + 1])
end
return found
"""


class Talking:
    """The `typing` command, and presence.

    A node notes in Redis whose sockets it holds, and looks there for the members of the rooms that it has: nothing is
    sent from node to node, and a node that dies is forgotten with its notes.
    """

    def __init__(self, node: str, redis: Redis, backend: Backend, hub: Hub, clients: Clients, timing: Timing) -> None:
        self._node = node
        self._redis = redis
        self._backend = backend
        self._hub = hub
        self._clients = clients
        self._timing = timing
        self._write_note = redis.register_script(NOTE)
        self._write_gone = redis.register_script(FORGET)
        self._look = redis.register_script(LOOK)
        self._noted: dict[int, float] = {}
        """Whom this node has noted as connected, and when it last did."""
        self._known: dict[int, events.Presence] = {}
        """What was last told of the members of this node's rooms."""
        self._hidden: set[int] = set()
        """Who hides it here, and was forgotten for that."""
        self._unshown: set[tuple[Client, str]] = set()
        """Who joined a room while Redis said nothing, and is still to be told how the others are."""

    async def set_typing(self, client: Client, command: SetTyping) -> Answer:
        """Tell the others in the conversation's room, which the client must have joined."""
        name = conversation_room(command.conversation_id)
        if name not in client.rooms:
            return Answer(ok=False, code=ErrorCode.NOT_JOINED, detail="Join the conversation's room first.")
        if not client.person.typing.take():
            return Answer(ok=False, code=ErrorCode.RATE_LIMITED, detail="Say it every few seconds only.")
        typing = events.Typing(conversation_id=command.conversation_id, user_id=client.user_id, on=command.on)
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._redis.publish(room_channel(name), self._envelope(name, typing).model_dump_json())
        except (RedisError, OSError, TimeoutError):
            return Answer(ok=False, code=ErrorCode.UNAVAILABLE, detail="The others cannot be told at the moment.")
        return Answer(ok=True)

    async def show_present(self, client: Client, name: str) -> None:
        """Tell this client, who has just joined a conversation's room, how the others are."""
        context = client.rooms.get(name)
        if context is None:
            return
        others = self._members(name) - {client.user_id}
        # The backend has just said who hides it; what Redis holds may be older than their wish.
        hidden = others.intersection(context.hidden_ids)
        try:
            await self._wipe(hidden)
            found = await self._ask(others)
        except (RedisError, OSError, TimeoutError):
            self._unshown.add((client, name))
            return
        for noted in found:
            context = client.rooms.get(name)
            if context is not None and not context.is_deaf:
                one = _presence(noted.user_id, is_online=False, seen=None) if noted.user_id in hidden else noted
                self._known.setdefault(one.user_id, one)
                client.connection.push(envelope_frame(self._envelope(name, one)))

    async def keep_telling(self) -> None:
        """Note who is here, and tell the rooms of the node whose members have come or gone."""
        me = asyncio.current_task()
        while me is not None and not me.cancelling():  # a cancellation may be lost on its way through a pipeline
            await asyncio.sleep(self._timing.presence)
            try:
                async with asyncio.timeout(REDIS_SECONDS * 4):
                    await self._note()
                    await self._tell()
                    await self._show_late()
            except (RedisError, OSError, TimeoutError):
                log.warning("presence.not_told")
            except Exception:
                log.exception("presence.failed")

    async def _note(self) -> None:
        """Write down whose sockets this node holds; who hides it is not there, and was not."""
        now = time.time()
        seen = datetime.fromtimestamp(self._backend.now(), UTC).isoformat()
        until = self._timing.presence_renewal * 3
        shown: set[int] = set()
        hidden: set[int] = set()
        async for people in self._clients.people_in_steps():
            wishes = [(person.id, _hides(person)) for person in people]
            here = {user_id for user_id, hides in wishes if hides is False}
            hidden |= {user_id for user_id, hides in wishes if hides}
            shown |= here
            due = [user_id for user_id in here if now - self._noted.get(user_id, 0) >= self._timing.presence_renewal]
            if due:
                life = max(1, round(until))
                await self._write_note(keys=_keys(due), args=[self._node, now + until, life, seen, SEEN_SECONDS])
                self._noted |= dict.fromkeys(due, now)
        gone = self._noted.keys() - shown
        await self._forget(gone - hidden, seen)
        await self._forget((gone & hidden) | (hidden - self._hidden), "")
        self._hidden = hidden

    async def _forget(self, user_ids: Collection[int], seen: str) -> None:
        """They are not here any more; without `seen` nobody is to know when they were."""
        for those in _in_parts(user_ids):
            await self._write_gone(keys=_keys(those), args=[self._node, seen, SEEN_SECONDS])
            for user_id in those:
                self._noted.pop(user_id, None)

    async def _tell(self) -> None:
        """Look for the members of this node's rooms, and tell what has changed."""
        rooms: dict[int, list[str]] = defaultdict(list)
        for names in _in_parts(name for name in self._hub.names() if name.startswith(TALKS)):
            for name in names:
                for user_id in self._members(name):
                    rooms[user_id].append(name)
            await asyncio.sleep(0)
        self._known = {user_id: one for user_id, one in self._known.items() if user_id in rooms}
        for watched in _in_parts(rooms):
            for one in await self._ask(watched):
                before = self._known.get(one.user_id)
                self._known[one.user_id] = one
                if before is not None and before.is_online is not one.is_online:
                    self._tell_rooms(one, rooms[one.user_id])

    async def _show_late(self) -> None:
        """Show the others to those who could not be shown them when they joined."""
        late, self._unshown = self._unshown, set()
        for client, name in late:
            await self.show_present(client, name)

    def _tell_rooms(self, one: events.Presence, names: Iterable[str]) -> None:
        for name in names:
            room = self._hub.get(name)
            if room is not None:
                room.tell_of(one.user_id, envelope_frame(self._envelope(name, one)))

    async def _wipe(self, user_ids: Collection[int]) -> None:
        """Nothing says any more that they are here, or when they were."""
        if user_ids:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._redis.delete(*_keys(user_ids))

    async def _ask(self, user_ids: Collection[int]) -> list[events.Presence]:
        if not user_ids:
            return []
        async with asyncio.timeout(REDIS_SECONDS):
            answers: Sequence[bytes | int | None] = await self._look(keys=_keys(user_ids), args=[time.time()])
        return [
            _presence(user_id, bool(answers[2 * place]), answers[2 * place + 1])
            for place, user_id in enumerate(user_ids)
        ]

    def _members(self, name: str) -> frozenset[int]:
        room = self._hub.get(name)
        return room.party_ids if room is not None and name.startswith(TALKS) else frozenset()

    def _envelope(self, name: str, data: events.Typing | events.Presence) -> events.Envelope:
        return events.Envelope(
            room=name,
            number=None,
            epoch=self._backend.epoch,
            type=data.type,
            at=datetime.fromtimestamp(self._backend.now(), UTC),
            request_id="",
            data=data.model_dump(mode="json"),
        )


def _keys(user_ids: Iterable[int]) -> list[str]:
    return [key for user_id in user_ids for key in (presence(user_id), last_seen(user_id))]


def _in_parts(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    """All of them as they are now, some at a time."""
    everything = list(things)
    for start in range(0, len(everything), ASKED_AT_ONCE):
        yield everything[start : start + ASKED_AT_ONCE]


def _hides(person: Person) -> bool | None:
    """None: the backend has not said so far."""
    own = user_room(person.id)
    said = [client.rooms[own].hides_presence for client in person.clients if own in client.rooms]
    return any(said) if said else None


def _presence(user_id: int, is_online: bool, seen: object) -> events.Presence:
    at = None
    if isinstance(seen, bytes) and not is_online:
        at = datetime.fromisoformat(seen.decode())
    return events.Presence(user_id=user_id, is_online=is_online, last_seen_at=at)
