"""What clients send to conversations, ask of them and get. A message is `shared_contracts.events.MessageOut`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from backend.core.pagination import CursorIn, PageIn
from backend.core.schemas import Id, In, Line, Out, QueryIn, Text
from backend.messaging.models import MAX_CONTENT
from shared_contracts.commands import ClientId
from shared_contracts.events import MessageOut, Person

NOT_BLANK = r"\S"
MAX_MEMBERS = 100
MAX_ATTACHMENTS = 10

Content = Annotated[
    Text,
    Field(
        max_length=MAX_CONTENT,
        description="Kept as it is, spaces included; must hold more than spaces, unless something is attached.",
        examples=["I am at the petrol station."],
    ),
]
Search = Annotated[
    Line,
    Field(
        max_length=100,
        description='Messages that hold these words; `"two words"`, `or` and `-not` are understood.',
        examples=["petrol"],
    ),
]


class ConversationIn(In):
    """With whom to talk, and about what."""

    participants: Annotated[
        list[Id],
        Field(
            min_length=1,
            max_length=MAX_MEMBERS - 1,
            description="The ids of the others. Whoever opens it takes part in any case.",
            examples=[[2]],
        ),
    ]
    title: Annotated[Line, Field(max_length=200, examples=["Kitchen"])] = ""
    subject: Annotated[
        Text | None,
        Field(max_length=40, description="What it is about: `assistance:9`, `booking:7`.", examples=[None]),
    ] = None


class ConversationsIn(PageIn):
    """Which of one's own conversations."""

    subject: Annotated[Text | None, Field(max_length=40, description="Those about this, such as `assistance:9`.")] = (
        None
    )
    is_unread: Annotated[bool | None, Field(description="Those with unread messages, or those without.")] = None


class ParticipantOut(Out):
    """A member, and how far they are."""

    id: int
    name: str
    read_message_id: int | None = Field(description="Everything up to this message is read.")
    delivered_message_id: int | None = Field(description="Everything up to this message has reached a device.")


class ConversationOut(Out):
    """A conversation as one of its members sees it."""

    id: int
    subject: str | None
    title: str
    is_closed: bool = Field(description="It can be read, but not written to.")
    is_group: bool = Field(description="Opened with more than two: it may grow.")
    is_muted: bool
    opened_by: int | None = Field(description="Null: by the platform.")
    participants: list[ParticipantOut]
    last_message: MessageOut | None
    unread_count: int
    created_at: datetime


class MessageIn(In):
    """Something to say."""

    content: Content = ""
    client_id: Annotated[
        ClientId | None,
        Field(description="Your own name for this message: sent twice, it is stored once.", examples=["a81f-7"]),
    ] = None
    reply_to: Annotated[Id | None, Field(description="A message of the same conversation.", examples=[None])] = None
    attachments: Annotated[
        list[Id],
        Field(
            max_length=MAX_ATTACHMENTS,
            description="Ids of what you uploaded with `POST /attachments/` within a day, in their order.",
            examples=[[]],
        ),
    ] = []


class MessageChangeIn(In):
    """What it says from now on."""

    content: Content


class MessagesIn(CursorIn):
    """Which part of a conversation."""

    order: Annotated[Literal["newest", "oldest"], Field(description="Which messages come first.")] = "newest"
    search: Search = ""


class OwnMessagesIn(CursorIn):
    """Which part of everything said in one's own conversations."""

    search: Search = ""


class UpToIn(In):
    """How far one is."""

    message_id: Annotated[
        Id | None, Field(description="Everything up to this message; left out: up to the last.", examples=[None])
    ] = None


class MembersIn(In):
    """Who shall take part."""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_MEMBERS, examples=[[3]])]


class BlocksIn(PageIn):
    """Which page of those whom one has blocked."""


class BlockOut(Out):
    """Somebody whom one has blocked."""

    user: Person
    created_at: datetime


class AttachmentFormIn(QueryIn):
    """Besides the file nothing is sent."""
