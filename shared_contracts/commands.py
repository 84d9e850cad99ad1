"""The commands of the socket and their answers. Unknown fields, NaN, infinity and out-of-range numbers are refused."""

from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Identifier = Annotated[int, Field(ge=1, le=2**63 - 1, strict=True)]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]


class Command(BaseModel):
    """Base of all commands. `name` is the event's name on the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]


class Join(Command):
    """Enter a room; with the cursor of the last event seen, what was missed comes in the answer."""

    name: ClassVar[str] = "join"
    room: str = Field(max_length=40)
    cursor: str | None = Field(None, max_length=64)


class Leave(Command):
    """Leave a room."""

    name: ClassVar[str] = "leave"
    room: str = Field(max_length=40)


class LocationUpdate(Command):
    """One's own live position. Whose it is comes from the session, never from the message."""

    name: ClassVar[str] = "location.update"
    lat: float = Field(ge=-90, le=90)
    lng: float = Field(ge=-180, le=180)
    heading: float | None = Field(None, ge=0, le=360, description="Degrees clockwise from north.")
    speed: float | None = Field(None, ge=0, le=150, description="Metres per second.")
    accuracy: float | None = Field(None, ge=0, le=100_000, description="Metres.")
    at: AwareDatetime | None = Field(None, description="When it was measured; the server's time when left out.")


class MessageSend(Command):
    """Say something in a conversation, named by itself or by its roadside job."""

    name: ClassVar[str] = "message.send"
    conversation_id: Identifier | None = None
    assistance_id: Identifier | None = None
    content: str = Field("", max_length=4000, description="May be empty when something is attached.")
    client_id: ClientId
    reply_to: Identifier | None = None
    attachments: list[Identifier] = Field(
        default_factory=list, max_length=10, description="Ids of what was uploaded with `POST /attachments/`."
    )


class MarkRead(Command):
    """I have read everything up to this message, as `POST /conversations/{id}/read/`."""

    name: ClassVar[str] = "message.read"
    conversation_id: Identifier
    message_id: Identifier


class MarkDelivered(Command):
    """Everything up to this message has reached this device, as `POST /conversations/{id}/delivered/`."""

    name: ClassVar[str] = "message.delivered"
    conversation_id: Identifier
    message_id: Identifier


class SetTyping(Command):
    """I am writing in a conversation whose room I have joined, or have stopped. Say it again every few seconds."""

    name: ClassVar[str] = "typing"
    conversation_id: Identifier
    on: bool = Field(strict=True)


class AssistanceAccept(Command):
    """Accept an offered job, as `POST /assistance/{id}/accept/`."""

    name: ClassVar[str] = "assistance.accept"
    id: Identifier


class AssistanceDecline(Command):
    """Decline an offered job, as `POST /assistance/{id}/decline/`."""

    name: ClassVar[str] = "assistance.decline"
    id: Identifier


class Authenticate(Command):
    """Give a fresh access token of the same person before the old one runs out."""

    name: ClassVar[str] = "authenticate"
    token: str = Field(max_length=4096)


class Ping(Command):
    """Ask whether the server hears."""

    name: ClassVar[str] = "ping"


COMMANDS: tuple[type[Command], ...] = (
    Join,
    Leave,
    LocationUpdate,
    MessageSend,
    MarkRead,
    MarkDelivered,
    SetTyping,
    AssistanceAccept,
    AssistanceDecline,
    Authenticate,
    Ping,
)


class Answer(BaseModel):
    """The acknowledgement of a command. When `ok` is false, `code` says why, as in the REST problems."""

    ok: bool
    code: str | None = None
    detail: str | None = None
    errors: list[dict[str, str]] | None = None


class JoinAnswer(Answer):
    """The acknowledgement of a join: where the room stands, and what was missed since the cursor."""

    cursor: str | None = None
    missed: list[dict[str, Any]] = Field(default_factory=list, description="Envelopes in order.")
    more: bool = Field(False, description="There is more than fits: join again from `cursor`.")
    resync_required: bool = Field(False, description="Too much was missed: read the REST snapshot; the room is joined.")


class MessageAnswer(Answer):
    """The acknowledgement of a message: the message as it was stored."""

    message: dict[str, Any] | None = None


class AssistanceAnswer(Answer):
    """The acknowledgement of an accepted or declined offer: the job as REST shows it."""

    assistance: dict[str, Any] | None = None


class ConnectAuth(BaseModel):
    """What a client gives at connect, as Socket.IO's `auth`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str = Field(min_length=1, max_length=4096, description="An access token.")
    cursors: dict[str, str] | None = Field(
        None, max_length=200, description="The last cursor of each room; used for those that are joined by themselves."
    )


class Ready(BaseModel):
    """The event `ready`: the rooms that were joined by themselves. Sent after connect, and when duties add a room."""

    name: ClassVar[str] = "ready"

    rooms: dict[str, JoinAnswer]


class Closing(BaseModel):
    """The event `closing`: the server is about to close this socket, and why."""

    name: ClassVar[str] = "closing"

    code: str
    reconnect_in_ms: int | None = Field(None, description="Connect again after so long; absent: sign in first.")
