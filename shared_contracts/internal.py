"""What the sidecar asks the backend, and the answers. Served under `/internal/` with the sidecar's own credential."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

CREDENTIAL_HEADER = "X-Callout-Sidecar"
"""Carries the sidecar's credential; a request with it is also trusted to name the client's address."""

MAX_MISSED_EVENTS = 1000
MAX_MISSED_BYTES = 256 * 1024
MAX_HEADS = 1000


class JoinRequest(BaseModel):
    """May this session's person be in this room, and what was missed since the cursor?"""

    model_config = ConfigDict(extra="ignore")

    session_id: int
    user_id: int
    room: str
    cursor: str | None = None


class JoinRequests(BaseModel):
    joins: list[JoinRequest] = Field(max_length=500)


class RoomContext(BaseModel):
    """What the node must know of the room, or of this person in it, without asking again."""

    on_duty: bool = False
    """For `assistant:{id}`: whether this assistant is on duty."""
    status: str | None = None
    """For `assistance:{id}`: the job's status."""
    party: bool = False
    """For `assistance:{id}`: whether this person is its client or its assistant now."""
    party_ids: list[int] = Field(default_factory=list)
    """For `assistance:{id}`: the ids of its client and, once it has one, its assistant. For `conversation:{id}`: those
    of its members."""
    is_deaf: bool = False
    """For `conversation:{id}`: this person has blocked the other of two, and hears nothing of typing and presence."""
    hidden_ids: list[int] = Field(default_factory=list)
    """For `conversation:{id}`: the members who let nobody see when they are connected, or were."""
    hides_presence: bool = False
    """For `user:{id}`: whether this person lets nobody see when they are connected."""


class JoinResult(BaseModel):
    """The answer to one JoinRequest. `events` are envelopes in order, numbered `first..head` at most."""

    allowed: bool
    code: str | None = None
    session_ended: bool = False
    first: int = 1
    """The first number that this person may see; beyond `head + 1` when what waits for its number is not theirs."""
    head: int = 0
    """The last number of the room."""
    events: list[dict[str, Any]] = Field(default_factory=list)
    more: bool = False
    resync_required: bool = False
    cursor: str | None = None
    context: RoomContext = Field(default_factory=RoomContext)


class Internal(BaseModel):
    """What every internal answer carries."""

    epoch: str
    clock_offset_ms: int = 0
    """How far the test clock is ahead of the real one; 0 in production."""


class JoinResults(Internal):
    results: list[JoinResult]


class HeadsRequest(BaseModel):
    rooms: list[str] = Field(max_length=MAX_HEADS)


class Heads(Internal):
    heads: dict[str, int]
    """The last number of each room; 0 for a room without events."""


class EventsRequest(BaseModel):
    room: str
    after: int
    until: int | None = None


class Events(Internal):
    events: list[dict[str, Any]]
    """Envelopes in order, at most MAX_MISSED_EVENTS; an absent number was purged."""
    head: int
