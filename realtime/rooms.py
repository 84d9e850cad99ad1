"""A room: who is in it, and where each of them stands.

Whoever enters is held until the backend has said where they stand; then they get what came meanwhile and run level.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from realtime.clients import Client
from realtime.connection import Connection
from realtime.frames import Event, Frame

MAX_WAITING = 1000


class Stage(Enum):
    """How far a client is that is not yet level with its room."""

    HELD = "held"
    """The backend's answer is awaited, or not yet sent: events are kept for it."""
    AHEAD = "ahead"
    """It was told of events that the room has not handed out yet; it gets those after its own number."""
    BEHIND = "behind"
    """It still reads what it missed, and will join again from its cursor: it gets nothing."""


@dataclass(slots=True)
class Arrival:
    """A client on its way into a room."""

    stage: Stage = Stage.HELD
    position: int = 0
    held: list[Event] = field(default_factory=list)


class Room:
    """One room with a member on this node."""

    __slots__ = ("arrivals", "epoch", "filling", "last", "live", "name", "party_ids", "status", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = ""
        self.last: int | None = None
        """The last number handed out; None until the backend first says where the room stands."""
        self.live: dict[Client, Connection] = {}
        """Those who are level with the room."""
        self.arrivals: dict[Client, Arrival] = {}
        self.waiting: dict[int, Event] = {}
        """Events that came before one that they follow."""
        self.filling: asyncio.Task[None] | None = None
        self.status: str | None = None
        """Of a roadside job: its status, and who is party to it now; of a conversation: its members."""
        self.party_ids: frozenset[int] = frozenset()

    @property
    def empty(self) -> bool:
        return not self.live and not self.arrivals

    def holds(self, client: Client) -> bool:
        """Whether the client is in it, level or not."""
        return client in self.live or client in self.arrivals

    def remove(self, client: Client) -> None:
        self.live.pop(client, None)
        self.arrivals.pop(client, None)

    def pass_on(self, frame: Frame) -> None:
        """Hand out what carries no number, to whoever has been told that they are in."""
        for client in self._told():
            client.connection.push(frame)

    def tell_of(self, user_id: object, frame: Frame) -> None:
        """The same for what somebody does: it is no news to themselves, and none to who has blocked them."""
        for client in self._told():
            if client.user_id != user_id and not client.is_deaf_in(self.name):
                client.connection.push(frame)

    def _told(self) -> list[Client]:
        return [*self.live, *(client for client, at in self.arrivals.items() if at.stage is Stage.AHEAD)]

    def hand_out(self, event: Event, number: int) -> None:
        """Hand out the next number."""
        self.last = number
        for connection in self.live.values():
            connection.push(event.frame)
        if self.arrivals:
            self._hand_to_arrivals(event, number)

    def concerned(self, number: int) -> list[Client]:
        """For whom this number, about to be handed out, is news at once."""
        arrived = [
            client
            for client, arrival in self.arrivals.items()
            if arrival.stage is not Stage.HELD and number > arrival.position
        ]
        return [*self.live, *arrived]

    def release(self, client: Client) -> list[Event]:
        """The client has been sent its answer: hand out what came meanwhile; answers it."""
        arrival = self.arrivals.get(client)
        if arrival is None:
            return []
        held, arrival.held = [event for event in arrival.held if (event.number or 0) > arrival.position], []
        if arrival.stage is Stage.HELD:
            for event in held:
                client.connection.push(event.frame)
            arrival.stage = Stage.AHEAD
            self._level(client, arrival)
        return held

    def keep(self, event: Event) -> None:
        """Keep an event until those before it are here; beyond a bound the backend is asked for it instead."""
        if event.number is not None and len(self.waiting) < MAX_WAITING:
            self.waiting[event.number] = event

    def restart(self, epoch: str, head: int, notice: Frame) -> None:
        """The numbers start anew: tell everyone who has been told that they are in."""
        self.epoch, self.last = epoch, head
        self.waiting.clear()
        for connection in self.live.values():
            connection.push(notice)
        for client, arrival in list(self.arrivals.items()):
            if arrival.stage is Stage.HELD:
                arrival.held.clear()
            else:
                client.connection.push(notice)
                arrival.stage, arrival.position = Stage.AHEAD, head
                self._level(client, arrival)

    def _hand_to_arrivals(self, event: Event, number: int) -> None:
        for client, arrival in list(self.arrivals.items()):
            if arrival.stage is Stage.HELD:
                arrival.held.append(event)
            elif arrival.stage is Stage.AHEAD:
                if number > arrival.position:
                    client.connection.push(event.frame)
                self._level(client, arrival)

    def _level(self, client: Client, arrival: Arrival) -> None:
        if self.last is None or self.last >= arrival.position:
            del self.arrivals[client]
            self.live[client] = client.connection
