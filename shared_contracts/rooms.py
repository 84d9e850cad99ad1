"""Room names: `kind:id`, or `console`. The sidecar parses them and never passes on a client's own text."""

import re
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

PARTITIONS = 16
"""Events belong to one of this many partitions by hash of their room; a relay numbers whole partitions."""

_NAME = re.compile(r"(user|assistant|assistance|conversation):([1-9][0-9]{0,17})")


class RoomKind(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    ASSISTANCE = "assistance"
    CONVERSATION = "conversation"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Room:
    """A parsed room name. `id` is 0 for the console, which is one room."""

    kind: RoomKind
    id: int = 0

    def __str__(self) -> str:
        return "console" if self.kind is RoomKind.CONSOLE else f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, name: str) -> "Room":
        """Read a room's name. Raises ValueError for anything that is not one."""
        if name == "console":
            return cls(RoomKind.CONSOLE)
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError("not a room: expected user:ID, assistant:ID, assistance:ID, conversation:ID or console")
        return cls(RoomKind(match[1]), int(match[2]))


def user_room(user_id: int) -> str:
    return f"user:{user_id}"


def assistant_room(user_id: int) -> str:
    return f"assistant:{user_id}"


def assistance_room(assistance_id: int) -> str:
    return f"assistance:{assistance_id}"


def conversation_room(conversation_id: int) -> str:
    return f"conversation:{conversation_id}"


CONSOLE = "console"


def partition_of(room: str) -> int:
    """The partition of a room, 0 to 15: CRC-32 of its name modulo 16, the same in every process and version."""
    return crc32(room.encode()) % PARTITIONS
