"""What other modules may do with conversations: ids and plain values in, frozen values out.

The operations that reach a conversation through its subject (`/assistance/{id}/messages/`) take `MessageIn` and
`MessagesIn`, call `send_message` and `message_feed`, and answer `MessageOut` and `Feed[MessageOut]`, as
`/conversations/{id}/messages/` does.
"""

from backend.messaging.schemas import MessageIn, MessagesIn
from backend.messaging.selectors import message_feed
from backend.messaging.services import close_conversation, open_conversation, remove_member, send_message
from backend.messaging.values import ConversationView
from shared_contracts.events import MessageOut

__all__ = [
    "ConversationView",
    "MessageIn",
    "MessageOut",
    "MessagesIn",
    "close_conversation",
    "message_feed",
    "open_conversation",
    "remove_member",
    "send_message",
]
