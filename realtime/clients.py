"""Who is connected to this node: sockets, and the people behind them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from realtime.connection import Connection
from realtime.limits import (
    CONNECTIONS_PER_ADDRESS,
    LOCATIONS_BURST,
    LOCATIONS_PER_SECOND,
    SOCKETS_PER_ADDRESS,
    SOCKETS_PER_PERSON,
    TYPINGS_BURST,
    TYPINGS_PER_SECOND,
    Bucket,
    address_key,
)
from realtime.server import Refused
from shared_contracts.errors import ErrorCode
from shared_contracts.internal import JoinRequest, RoomContext
from shared_contracts.tokens import AccessClaims

PEOPLE_A_STEP = 200


@dataclass(frozen=True, slots=True)
class Position:
    """The last position that a person sent to this node."""

    lat: float
    lng: float
    at: datetime


@dataclass(eq=False, slots=True)
class Person:
    """What this node keeps of a person, over all their sockets."""

    id: int
    clients: list["Client"] = field(default_factory=list)
    locations: Bucket = field(default_factory=lambda: Bucket(LOCATIONS_PER_SECOND, LOCATIONS_BURST))
    position: Position | None = None
    typing: Bucket = field(default_factory=lambda: Bucket(TYPINGS_PER_SECOND, TYPINGS_BURST))


@dataclass(eq=False, slots=True)
class Client:
    """One authenticated socket."""

    sid: str
    connection: Connection
    person: Person
    token: str
    session_id: int
    expires_at: float
    """Unix seconds of the platform's clock, leeway included."""
    rooms: dict[str, RoomContext] = field(default_factory=dict)
    """The rooms it is in, and what the backend said of them for this person."""
    gone: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def user_id(self) -> int:
        return self.person.id

    def is_deaf_in(self, room: str) -> bool:
        """Whether this person has blocked the other of the two in this conversation's room."""
        context = self.rooms.get(room)
        return context is not None and context.is_deaf

    def join_request(self, room: str, cursor: str | None = None) -> JoinRequest:
        return JoinRequest(session_id=self.session_id, user_id=self.user_id, room=room, cursor=cursor)


class Clients:
    """The sockets of this node by id, by person, and counted by address."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Client] = {}
        self._people: dict[int, Person] = {}
        self._addresses: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._by_sid.values()))

    def __len__(self) -> int:
        return len(self._by_sid)

    def get(self, sid: str) -> Client | None:
        return self._by_sid.get(sid)

    async def people_in_steps(self) -> AsyncIterator[Sequence[Person]]:
        """Everyone who is here, a few hundred at a time: the rest of the node goes on in between."""
        people = list(self._people.values())
        for start in range(0, len(people), PEOPLE_A_STEP):
            yield people[start : start + PEOPLE_A_STEP]
            await asyncio.sleep(0)

    def person(self, user_id: int) -> Person | None:
        return self._people.get(user_id)

    def add(self, sid: str, connection: Connection, claims: AccessClaims, token: str, expires_at: float) -> Client:
        """Keep a socket that is being let in. Raises Refused when the person or the address has too many."""
        key = address_key(connection.address)
        person = self._people.get(claims.user_id) or Person(claims.user_id)
        if len(person.clients) >= SOCKETS_PER_PERSON or self._addresses[key] >= SOCKETS_PER_ADDRESS:
            raise Refused(ErrorCode.TOO_MANY_SOCKETS, "Too many connections are open; close one first.")
        client = Client(sid, connection, person, token, claims.sid, expires_at)
        self._people[person.id] = person
        person.clients.append(client)
        self._by_sid[sid] = client
        self._addresses[key] += 1
        return client

    def remove(self, sid: str) -> Client | None:
        """Forget a socket; None when it is forgotten already."""
        client = self._by_sid.pop(sid, None)
        if client is None:
            return None
        client.gone = True
        client.person.clients.remove(client)
        if not client.person.clients:
            del self._people[client.user_id]
        key = address_key(client.connection.address)
        self._addresses[key] -= 1
        if not self._addresses[key]:
            del self._addresses[key]
        return client


class OpenConnections:
    """Connections by address, including those that have not authenticated."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def open(self, address: str) -> bool:
        """Count one; False when the address has as many as it may."""
        key = address_key(address)
        if self._open[key] >= CONNECTIONS_PER_ADDRESS:
            return False
        self._open[key] += 1
        return True

    def close(self, address: str) -> None:
        """Count one less."""
        key = address_key(address)
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]
