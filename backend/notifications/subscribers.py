"""Events of every module become notifications, as the table says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from backend.core.outbox import subscribe
from backend.core.references import make_reference
from backend.notifications.services.messages import before_telling, tell_of_messages
from backend.notifications.services.reading import mark_messages_read
from backend.notifications.services.telling import tell_all
from backend.notifications.table import ROWS
from shared_contracts.events import MessageCreated, MessageRead


def tell_of(*, type_: str, event: Mapping[str, Any], rooms: Sequence[str], event_id: int | None, now: datetime) -> None:
    """One call for every row of the table with this event. An event's own id makes that nobody is told twice."""
    for row in ROWS:
        if row.event.type == type_:
            tellings = row.tell(row.event.model_validate(event), rooms)
            tell_all(tellings, source=f"event:{event_id}", now=now)


def tell_of_said(event: Mapping[str, Any], *, now: datetime) -> None:
    """What was said in a conversation, from this message on."""
    message = event["message"]
    tell_of_messages(conversation_id=message["conversation_id"], since_id=message["id"], now=now)


def read_messages(event: Mapping[str, Any], *, now: datetime) -> None:
    """What was read in a conversation is unread nowhere else."""
    read = MessageRead.model_validate(event)
    mark_messages_read(
        user_id=read.user_id, conversation_id=read.conversation_id, up_to_message_id=read.message_id, now=now
    )


def listen() -> None:
    """Called once when the apps are ready."""
    for row in ROWS:
        subscribe(row.event, job="notifications.tell_of_event", when=row.when)
    subscribe(
        MessageCreated,
        job="notifications.tell_of_message",
        when=lambda event: event.message.sender is not None,
        after=before_telling(),
        one_per=lambda event: make_reference("conversation", event.message.conversation_id),
    )
    subscribe(MessageRead, job="notifications.read_messages")
