"""How far members are, by one watermark each, and whether they want to be disturbed."""

from datetime import datetime

from django.db import transaction

from backend.core.actor import Actor
from backend.core.errors import invalid_field
from backend.core.hot import run
from backend.core.outbox import emit_all
from backend.messaging.models import Conversation, Member
from backend.messaging.selectors.membership import hold_conversation_for, seen_by
from backend.messaging.services import news
from shared_contracts.events import MessageDelivered, MessageRead
from shared_contracts.rooms import conversation_room


@transaction.atomic
def mark_read(*, actor: Actor, conversation_id: int, message_id: int | None, now: datetime) -> None:
    """Everything up to this message (None: the last) is read; what was read stays so. Raises NotFound, or a 422."""
    conversation, stay = hold_conversation_for(actor, conversation_id)
    up_to = _up_to(conversation, stay, message_id)
    if up_to <= stay.read_message_id:
        return
    before = stay.unread_count
    stay.read_message_id, stay.delivered_message_id = up_to, max(up_to, stay.delivered_message_id)
    stay.unread_count = _unread_after(conversation, stay)
    stay.save(update_fields=["read_message_id", "delivered_message_id", "unread_count"])
    read = MessageRead(conversation_id=conversation.pk, user_id=actor.id, message_id=up_to, at=now)
    lists = news.standings(conversation, [stay]) if stay.unread_count != before else []
    emit_all([(read, [conversation_room(conversation.pk)]), *lists], now=now)


@transaction.atomic
def mark_delivered(*, actor: Actor, conversation_id: int, message_id: int | None, now: datetime) -> None:
    """Everything up to this message (None: the last) has reached a device. Raises NotFound, or a 422."""
    conversation, stay = hold_conversation_for(actor, conversation_id)
    up_to = _up_to(conversation, stay, message_id)
    if up_to <= stay.delivered_message_id:
        return
    stay.delivered_message_id = up_to
    stay.save(update_fields=["delivered_message_id"])
    delivered = MessageDelivered(conversation_id=conversation.pk, user_id=actor.id, message_id=up_to, at=now)
    emit_all([(delivered, [conversation_room(conversation.pk)])], now=now)


@transaction.atomic
def set_muted(*, actor: Actor, conversation_id: int, is_muted: bool, now: datetime) -> None:
    """Whether this person's devices stay quiet about the conversation. Raises NotFound."""
    conversation, stay = hold_conversation_for(actor, conversation_id)
    if stay.is_muted is not is_muted:
        stay.is_muted = is_muted
        stay.save(update_fields=["is_muted"])
        emit_all(news.standings(conversation, [stay]), now=now)


def _up_to(conversation: Conversation, stay: Member, message_id: int | None) -> int:
    """Never beyond the last message that everybody sees: what is withheld from another is told by nothing."""
    if message_id is not None and not seen_by(stay).filter(pk=message_id).exists():
        raise invalid_field("body.message_id", "there is no such message in this conversation")
    last = conversation.last_message_id or 0
    return last if message_id is None else min(message_id, last)


# Of what was said after the message: all, without what the reader said, and without what others have taken back. The
# rest needs no counting, however long it is; a message of one's own that was taken back is among one's own.
UNREAD = """
    SELECT %(said)s - message.position - (
        SELECT count(*) FROM messaging_message AS own
        WHERE own.conversation_id = message.conversation_id AND own.sender_id = %(user)s AND own.id > message.id
            AND NOT own.is_withheld
    ) - (
        SELECT count(*) FROM messaging_message AS gone
        WHERE gone.conversation_id = message.conversation_id AND gone.deleted_at IS NOT NULL AND gone.id > message.id
            AND gone.sender_id <> %(user)s AND NOT gone.is_withheld
    )
    FROM messaging_message AS message WHERE message.id = %(read)s
"""


def _unread_after(conversation: Conversation, stay: Member) -> int:
    """Nothing to ask when all is read, which is how people read; else one query."""
    if stay.read_message_id >= (conversation.last_message_id or 0):
        return 0
    asked = {"said": conversation.said_count, "user": stay.user_id, "read": stay.read_message_id}
    ((unread,),) = run(UNREAD, asked)
    return int(unread)
