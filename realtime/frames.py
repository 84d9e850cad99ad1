"""Events as bytes: read once from the wire, encoded once per room, written to each member as they are."""

from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel

from shared_contracts.events import Envelope

TEXT_FRAME = 0x81
"""RFC 6455: a final text frame. Servers do not mask."""


class Json:
    """The JSON of the socket's packets: strict (no NaN, no lone surrogates), bounded in depth, compact."""

    @staticmethod
    def dumps(value: object, **_options: object) -> str:
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str, **_options: object) -> Any:
        return msgspec.json.decode(text)


class Frame:
    """An Engine.IO packet that is ready to leave: as text for polling, as a WebSocket frame otherwise."""

    __slots__ = ("_wire", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._wire: bytes | None = None

    def encode(self, b64: bool = False) -> str:
        """The packet's text, as engine.io's own packets give it."""
        return self.payload.decode()

    @property
    def wire(self) -> bytes:
        """The whole WebSocket frame."""
        if self._wire is None:
            size = len(self.payload)
            if size < 126:
                header = bytes((TEXT_FRAME, size))
            elif size < 1 << 16:
                header = bytes((TEXT_FRAME, 126)) + size.to_bytes(2, "big")
            else:
                header = bytes((TEXT_FRAME, 127)) + size.to_bytes(8, "big")
            self._wire = header + self.payload
        return self._wire


def event_frame(name: str, body: bytes) -> Frame:
    """A Socket.IO event with one argument that is JSON already."""
    return Frame(b"42[" + msgspec.json.encode(name) + b"," + body + b"]")


def envelope_frame(envelope: Envelope) -> Frame:
    """An event of a room that the node itself says."""
    return event_frame(envelope.type, envelope.model_dump_json().encode())


def model_frame(name: str, model: BaseModel) -> Frame:
    """A notice to one socket; what is None is left out."""
    return event_frame(name, model.model_dump_json(exclude_none=True).encode())


class _Head(msgspec.Struct):
    """The part of an `Envelope` that the node itself needs; `data` stays as it came."""

    epoch: str
    type: str
    at: datetime
    data: msgspec.Raw
    number: int | None = None


class Event:
    """One event of a room, on its way to the members."""

    __slots__ = ("_data", "at", "epoch", "frame", "number", "type")

    def __init__(self, raw: bytes) -> None:
        """Read an `Envelope` as JSON. Raises ValueError when it is not one."""
        raw.decode()  # a frame that is no UTF-8 would make every browser hang up
        head = msgspec.json.decode(raw, type=_Head)
        self.number = head.number
        self.epoch = head.epoch
        self.type = head.type
        self.at = head.at
        self._data = head.data
        self.frame = event_frame(head.type, raw)

    @classmethod
    def of(cls, envelope: dict[str, Any]) -> "Event":
        """The same from an envelope that the backend answered."""
        return cls(msgspec.json.encode(envelope))

    def data(self) -> dict[str, Any]:
        """The event's own fields."""
        value = msgspec.json.decode(self._data)
        return value if isinstance(value, dict) else {}
