"""What clients send to conversations and ask of them. What they get is `shared_contracts.events.MessageOut`."""

from typing import Annotated, Literal

from pydantic import Field

from backend.core.pagination import CursorIn
from backend.core.schemas import Id, In, Text
from backend.messaging.models import MAX_CONTENT
from shared_contracts.commands import ClientId

NOT_BLANK = r"\S"


class MessageIn(In):
    """Something to say."""

    content: Annotated[
        Text,
        Field(
            max_length=MAX_CONTENT,
            pattern=NOT_BLANK,
            json_schema_extra={"pattern": NOT_BLANK},  # pydantic leaves it out behind a validator of our own
            description="Kept as it is, spaces included; must hold more than spaces.",
            examples=["I am at the petrol station."],
        ),
    ]
    client_id: Annotated[
        ClientId | None,
        Field(description="Your own name for this message: sent twice, it is stored once.", examples=["a81f-7"]),
    ] = None
    reply_to: Annotated[Id | None, Field(description="A message of the same conversation.", examples=[None])] = None


class MessagesIn(CursorIn):
    """Which part of a conversation."""

    order: Annotated[Literal["newest", "oldest"], Field(description="Which messages come first.")] = "newest"
