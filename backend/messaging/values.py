"""Values that travel between messaging and other modules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation, without its members and messages. `subject` is a reference such as `assistance:9`."""

    id: int
    subject: str | None
    title: str
    is_closed: bool


@dataclass(frozen=True, slots=True)
class MessageNews:
    """A message that people may want to hear of who are not looking: its sender's name, what it says, and to whom.

    `user_ids`: the members who may see it, but for its sender, whoever muted the conversation or blocked the sender.
    """

    message_id: int
    conversation_id: int
    subject: str | None
    title: str
    sender_id: int
    sender_name: str
    content: str
    attachments: int
    user_ids: frozenset[int]
