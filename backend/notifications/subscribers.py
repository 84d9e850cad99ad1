"""Events of every module become notifications, as the table says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from backend.core.outbox import subscribe
from backend.notifications.services.reading import mark_messages_read
from backend.notifications.services.telling import tell_all
from backend.notifications.table import ROWS
from shared_contracts.events import MessageRead


def tell_of(*, type_: str, event: Mapping[str, Any], rooms: Sequence[str], event_id: int | None, now: datetime) -> None:
    """One call for every row of the table with this event. An event's own id makes that nobody is told twice."""
    for row in ROWS:
        if row.event.type == type_:
            tellings = row.tell(row.event.model_validate(event), rooms)
            tell_all(tellings, source=f"event:{event_id}", now=now)


def read_messages(event: Mapping[str, Any], *, now: datetime) -> None:
    """What was read in a conversation is unread nowhere else."""
    read = MessageRead.model_validate(event)
    mark_messages_read(
        user_id=read.user_id, conversation_id=read.conversation_id, up_to_message_id=read.message_id, now=now
    )


def listen() -> None:
    """Called once when the apps are ready."""
    for row in ROWS:
        subscribe(row.event, job=row.job, when=row.when, after=row.after())
    subscribe(MessageRead, job="notifications.read_messages")
