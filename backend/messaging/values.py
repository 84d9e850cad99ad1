"""Values that travel between messaging and other modules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation, without its members and messages. `subject` is a reference such as `assistance:9`."""

    id: int
    subject: str | None
    title: str
    is_closed: bool
