"""The events of Callout: what the backend writes, the relay numbers, and the sidecar hands out.

Events are versioned by addition: a field may be added with a default, never changed or removed, and an unknown
one is ignored. Every event is complete enough that the sidecar reads no database.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class Place(BaseModel):
    """A point on the earth, WGS 84 degrees."""

    model_config = ConfigDict(frozen=True)

    lat: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[36.7538])
    lng: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[3.0588])


class Money(BaseModel):
    """An amount as a decimal string in major units, with its ISO 4217 currency."""

    model_config = ConfigDict(frozen=True)

    amount: str = Field(examples=["1850.00"])
    currency: str = Field(examples=["DZD"])


class Person(BaseModel):
    """A person as others may see them."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str


class Event(BaseModel):
    """Base of all events. `type` is the name on the wire; `version` is that of the aggregate, where it has one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]
    rooms: ClassVar[tuple[str, ...]]
    """The kinds of room that carry it."""


class AssistanceOffered(Event):
    """A job near this assistant is on offer; the first to accept wins."""

    type: ClassVar[str] = "assistance.offered"
    rooms: ClassVar[tuple[str, ...]] = ("assistant",)

    assistance_id: int
    version: int
    service_type: str | None
    vehicle_class: str
    vehicle_type: str
    pickup: Place
    dropoff: Place | None
    distance_km: float = Field(description="From the assistant's last position to the pickup, straight line.")
    eta_minutes: int
    price: Money | None = Field(description="What the client was quoted; null when priced on the spot.")
    client: Person
    note: str
    wave: int
    expires_at: datetime


class AssistanceWithdrawn(Event):
    """The offer no longer stands."""

    type: ClassVar[str] = "assistance.withdrawn"
    rooms: ClassVar[tuple[str, ...]] = ("assistant",)

    assistance_id: int
    version: int
    reason: Literal["accepted_by_another", "canceled", "expired"]


class AssistanceStatus(Event):
    """A roadside job changed its state, price or assistant."""

    type: ClassVar[str] = "assistance.status"
    rooms: ClassVar[tuple[str, ...]] = ("assistance", "assistant", "console")

    assistance_id: int
    version: int
    status: str
    client: Person
    assistant: Person | None
    conversation_id: int | None
    total_price: Money | None
    reason: str
    at: datetime


class AttachmentOut(BaseModel):
    """A file of a message."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str = Field(description="As its uploader called it.", examples=["tow-bar.jpg"])
    content_type: str = Field(examples=["image/jpeg"])
    size_bytes: int
    url: str | None = Field(
        None, description="Where it can be had for an hour or two. Null in events: read the message for it."
    )


class SystemNote(BaseModel):
    """What happened to a conversation's subject, for apps to say in their reader's language. People are named by id."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(examples=["assistance.accepted"])
    parameters: dict[str, str] = Field(default_factory=dict, examples=[{"assistant_id": "2"}])


class MessageOut(BaseModel):
    """A message as its conversation's members see it."""

    model_config = ConfigDict(frozen=True)

    id: int
    conversation_id: int
    sender: Person | None = Field(description="Null for a system message.")
    content: str = Field(description="Empty once deleted. Of a system message: its sentence in English.")
    client_id: str | None
    reply_to: int | None
    created_at: datetime
    attachments: list[AttachmentOut] = Field(default_factory=list)
    version: int = Field(1, description="Grows when the message is edited or deleted.")
    edited_at: datetime | None = None
    deleted_at: datetime | None = Field(None, description="What is left of a deleted message is this mark.")
    system: SystemNote | None = None


class MessageCreated(Event):
    """A message was stored in the conversation.

    It comes in one's own room instead where the other of two people has blocked the sender.
    """

    type: ClassVar[str] = "message.created"
    rooms: ClassVar[tuple[str, ...]] = ("conversation", "user")

    message: MessageOut


class MessageUpdated(Event):
    """A message was edited or deleted: this is how it stands now. A lower `version` than the one known is old news."""

    type: ClassVar[str] = "message.updated"
    rooms: ClassVar[tuple[str, ...]] = ("conversation", "user")

    message: MessageOut


class MessageRead(Event):
    """A member has read everything up to this message."""

    type: ClassVar[str] = "message.read"
    rooms: ClassVar[tuple[str, ...]] = ("conversation",)

    conversation_id: int
    user_id: int
    message_id: int
    at: datetime


class MessageDelivered(Event):
    """Everything up to this message has reached a device of this member. Reading is receiving: it is not told apart."""

    type: ClassVar[str] = "message.delivered"
    rooms: ClassVar[tuple[str, ...]] = ("conversation",)

    conversation_id: int
    user_id: int
    message_id: int
    at: datetime


class ConversationUpdated(Event):
    """Where a conversation stands in this person's list. An id that the list does not know is a new conversation.

    In a group several messages may be told of at once, at most once a second.
    """

    type: ClassVar[str] = "conversation.updated"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    id: int
    last_message: MessageOut | None
    unread_count: int
    is_muted: bool = False
    is_closed: bool = False
    is_member: bool = Field(True, description="False: the person has left, or was taken out; it leaves the list.")


class MemberAdded(Event):
    """A person may see the room from this event on."""

    type: ClassVar[str] = "member.added"
    rooms: ClassVar[tuple[str, ...]] = ("assistance", "conversation")

    user: Person


class MemberRemoved(Event):
    """A person may no longer see the room; the sidecar puts their sockets out of it."""

    type: ClassVar[str] = "member.removed"
    rooms: ClassVar[tuple[str, ...]] = ("assistance", "conversation")

    user: Person


class SessionEnded(Event):
    """A session is over; the sidecar closes its sockets. Without `session_id`: every session of the person."""

    type: ClassVar[str] = "session.ended"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    session_id: int | None = None
    reason: str


class AccessChanged(Event):
    """What this person may do has changed (roles, duty): the sidecar asks again for every room of theirs."""

    type: ClassVar[str] = "access.changed"
    rooms: ClassVar[tuple[str, ...]] = ("user",)


class AccountNotice(Event):
    """Something that matters to this account's safety has happened."""

    type: ClassVar[str] = "account.notice"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    kind: str = Field(examples=["password_changed"])


class DocumentReviewed(Event):
    """A manager approved or rejected a document of this person."""

    type: ClassVar[str] = "document.reviewed"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    document_id: int
    version: int
    document_type: str
    status: Literal["approved", "rejected"]
    reason: str


class DocumentExpiring(Event):
    """An approved document of this person runs out in so many days."""

    type: ClassVar[str] = "document.expiring"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    document_id: int
    version: int
    document_type: str
    expires_on: date
    days: int


class ReviewCreated(Event):
    """A review of this person is shown from now on. It may have waited for the other side's."""

    type: ClassVar[str] = "review.created"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    review_id: int
    reviewed_id: int
    author: Person
    reference: str | None = Field(description="The finished job; null for an unverified review.")
    rating: int
    comment: str
    is_verified: bool
    created_at: datetime
    average_rating: Decimal | None = Field(description="The reviewed person's, with this review.")
    total_reviews: int


BookingChange = Literal[
    "requested", "confirmed", "unconfirmed", "moved", "edited", "completed", "cancelled", "no_show", "expired"
]
ReminderLead = Literal["day", "hour"]


class BookingUpdated(Event):
    """A booking was made, moved, edited, or changed its state; complete, so that nobody has to read it again."""

    type: ClassVar[str] = "booking.updated"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    booking_id: int
    version: int
    status: str
    previous_status: str = Field(description="Empty when it was made just now.")
    what: BookingChange
    starts_at: datetime
    ends_at: datetime
    service_id: int | None
    service_title: str
    provider: Person
    client: Person
    resource_id: int
    resource_name: str
    proposed_by: Literal["client", "provider"] = Field(description="Who proposed the present time; the other confirms.")
    price: Money | None
    estimated_cost: Money | None
    fee: Money | None = Field(description="What a late cancellation or a no-show costs the client.")
    notes: str
    address: str
    location: Place | None
    reason: str
    at: datetime


class BookingReminder(Event):
    """A confirmed booking begins in a day, or in an hour."""

    type: ClassVar[str] = "booking.reminder"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    booking_id: int
    version: int
    lead: ReminderLead
    starts_at: datetime
    ends_at: datetime
    service_title: str
    provider: Person
    client: Person
    address: str


class NotificationOut(BaseModel):
    """Something that a person was told, in their language."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    type: str = Field(examples=["assistance.accepted"])
    title: str = Field(examples=["Amel Hamdi is coming"])
    body: str = Field(examples=["Your request was accepted. You can follow the way in the app."])
    reference: str = Field(description="The thing that it is about; empty for none.", examples=["assistance:7"])
    is_read: bool
    read_at: datetime | None
    created_at: datetime


class NotificationCreated(Event):
    """This person was told something new."""

    type: ClassVar[str] = "notification.created"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    notification: NotificationOut
    unread_count: int = Field(description="How many this person has not read now.")


class NotificationChanged(Event):
    """This person has read or deleted notifications, perhaps on another device."""

    type: ClassVar[str] = "notification.changed"
    rooms: ClassVar[tuple[str, ...]] = ("user",)

    change: Literal["read", "deleted"]
    notification_id: int | None = Field(description="The one; null for many.")
    up_to: int | None = Field(
        description="Of many, the last one's id: all up to it were read, or all read ones up to it were deleted."
    )
    unread_count: int


class Location(BaseModel):
    """A live location on its way to the others of a job, or to the console. Carries no number and is never replayed."""

    type: ClassVar[str] = "assistance.location"
    rooms: ClassVar[tuple[str, ...]] = ("assistance", "console")

    assistance_id: int | None
    user_id: int
    lat: float
    lng: float
    heading: float | None = None
    speed: float | None = None
    accuracy: float | None = None
    at: datetime


class Typing(BaseModel):
    """A member of the conversation is writing, or has stopped. It stands for six seconds. Carries no number."""

    type: ClassVar[str] = "typing"
    rooms: ClassVar[tuple[str, ...]] = ("conversation",)

    conversation_id: int
    user_id: int
    on: bool


class Presence(BaseModel):
    """Whether another member is connected, or since when not. Who hides it is never told of. Carries no number."""

    type: ClassVar[str] = "presence"
    rooms: ClassVar[tuple[str, ...]] = ("conversation",)

    user_id: int
    is_online: bool
    last_seen_at: datetime | None = Field(None, description="Null where it is not known.")


NUMBERED: tuple[type[Event], ...] = (
    AssistanceOffered,
    AssistanceWithdrawn,
    AssistanceStatus,
    MessageCreated,
    MessageUpdated,
    MessageRead,
    MessageDelivered,
    ConversationUpdated,
    MemberAdded,
    MemberRemoved,
    SessionEnded,
    AccessChanged,
    AccountNotice,
    DocumentReviewed,
    DocumentExpiring,
    ReviewCreated,
    BookingUpdated,
    BookingReminder,
    NotificationCreated,
    NotificationChanged,
)
"""Every event that the backend emits. An event missing here cannot be emitted."""


class Envelope(BaseModel):
    """What travels on a room's channel and what clients receive, the event's own fields under `data`.

    `number` is dense per room and null for what carries none (locations, hints); `epoch` names the database's life:
    another epoch means that numbers start anew. `cursor` for a later join is `<epoch>.<number>`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    room: str
    number: int | None
    epoch: str
    type: str
    at: datetime
    request_id: str
    data: dict[str, Any]


class PartitionBehind(BaseModel):
    """On the nodes' channel: the events of these partitions may not have reached everyone; ask their heads."""

    partitions: list[int]


class Canary(BaseModel):
    """On the nodes' channel: a sidecar says every five seconds that it speaks, so that each proves that it hears."""

    canary: str
    """The node that says it."""


class ResyncRequired(BaseModel):
    """To one socket, unnumbered: numbers of the room start anew; read the REST snapshot and go on from `cursor`."""

    type: ClassVar[str] = "resync_required"

    cursor: str


class PositionReport(BaseModel):
    """A person's position on its way to PostgreSQL. Without `lat` and `lng` it only says that the phone is alive."""

    model_config = ConfigDict(extra="ignore")

    lat: float | None = None
    lng: float | None = None
    heading: float | None = None
    speed: float | None = None
    accuracy: float | None = None
    at: datetime


def make_cursor(epoch: str, number: int) -> str:
    return f"{epoch}.{number}"


def read_cursor(cursor: str) -> tuple[str, int]:
    """Epoch and number of a cursor. Raises ValueError when it is not one."""
    epoch, dot, number = cursor.rpartition(".")
    if not (dot and epoch and number.isascii() and number.isdigit() and len(number) < 19):
        raise ValueError("not a cursor")
    return epoch, int(number)
