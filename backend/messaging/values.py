"""Values that travel between messaging and other modules."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation, without its members and messages. `subject` is a reference such as `assistance:9`."""

    id: int
    subject: str | None
    title: str
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """A message that somebody has not read."""

    message_id: int
    said_at: datetime


@dataclass(frozen=True, slots=True)
class MessageNews:
    """A message that people may want to hear of who are not looking. It says nothing where files are all there is."""

    message_id: int
    sender_name: str
    content: str
