"""Whom messages may disturb."""

from collections.abc import Collection

from backend.accounts import public as accounts
from backend.core.hot import HotQuery, run
from backend.messaging.models import Message
from backend.messaging.values import MessageNews, Unread

_FIRST_UNREAD = """
    SELECT member.user_id, said.id, said.created_at FROM messaging_member AS member
    CROSS JOIN LATERAL (
        SELECT message.id, message.created_at FROM messaging_message AS message
        WHERE message.conversation_id = member.conversation_id AND message.id >= %s
            AND message.id > greatest(member.read_message_id, member.since_message_id)
            AND message.sender_id <> member.user_id AND NOT message.is_withheld AND message.deleted_at IS NULL
            AND NOT EXISTS (
                SELECT FROM messaging_block WHERE blocker_id = member.user_id AND blocked_id = message.sender_id
            )
        ORDER BY message.id LIMIT 1
    ) AS said
    WHERE member.conversation_id = %s AND member.left_at IS NULL AND NOT member.is_muted
"""

_SAID = HotQuery(
    lambda messages: (
        Message.objects.filter(pk__any=messages, sender__isnull=False)
        .order_by("pk")
        .values_list("pk", "sender_id", "content")
    ),
    messages=list,
)


def first_unread(*, conversation_id: int, since_id: int) -> dict[int, Unread]:
    """By member: the first message from this one on that is news to them and that they have not read. One query.

    What they said themselves is no news, nor what the system says, what is withheld or deleted, what somebody says whom
    they have blocked, and nothing to whoever has muted the conversation.
    """
    rows = run(_FIRST_UNREAD, [since_id, conversation_id])
    return {user_id: Unread(message_id, said_at) for user_id, message_id, said_at in rows}


def message_news(message_ids: Collection[int]) -> list[MessageNews]:
    """What to tell of these messages, which people sent. Two queries."""
    said = _SAID.rows(messages=list(message_ids))
    names = accounts.people(sender_id for _, sender_id, _ in said)
    return [
        MessageNews(message_id=message_id, sender_name=names[sender_id].name, content=content)
        for message_id, sender_id, content in said
    ]
