"""What other modules may do with conversations: ids and plain values in, frozen values out.

The operations that reach a conversation through its subject (`/assistance/{id}/messages/`) take `MessageIn` and
`MessagesIn`, call `send_message` and `message_feed`, and answer `MessageOut` and `Feed[MessageOut]`, as
`/conversations/{id}/messages/` does. Who may talk about a subject is `core.references.SUBJECT_PEOPLE`.
"""

from backend.messaging.schemas import MessageIn, MessagesIn
from backend.messaging.selectors.messages import message_feed
from backend.messaging.selectors.news import first_unread, message_news
from backend.messaging.services.conversations import close_conversation, open_conversation, remove_member
from backend.messaging.services.messages import say_about, send_message, send_system_message
from backend.messaging.values import ConversationView, MessageNews, Unread
from shared_contracts.events import MessageOut

__all__ = [
    "ConversationView",
    "MessageIn",
    "MessageNews",
    "MessageOut",
    "MessagesIn",
    "Unread",
    "close_conversation",
    "first_unread",
    "message_feed",
    "message_news",
    "open_conversation",
    "remove_member",
    "say_about",
    "send_message",
    "send_system_message",
]
