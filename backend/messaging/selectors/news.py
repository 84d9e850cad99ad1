"""Whom a message may disturb."""

from collections.abc import Collection

from backend.accounts import public as accounts
from backend.messaging.models import Block, Member, Message
from backend.messaging.selectors.membership import members_of
from backend.messaging.values import MessageNews


def message_news(message_id: int) -> MessageNews | None:
    """What to tell of a message, and whom; None for one that is nobody's news: of the system, withheld, deleted.

    Five queries.
    """
    message = Message.objects.filter(pk=message_id).select_related("conversation").first()
    if message is None or message.sender_id is None or message.is_withheld or message.deleted_at is not None:
        return None
    members = members_of(message.conversation_id).filter(
        is_muted=False, since_message_id__lt=message.pk, read_message_id__lt=message.pk
    )
    listening = set(members.exclude(user_id=message.sender_id).values_list("user_id", flat=True))
    blockers = Block.objects.filter(blocked_id=message.sender_id, blocker_id__in=listening)
    return MessageNews(
        message_id=message.pk,
        conversation_id=message.conversation_id,
        subject=message.conversation.subject,
        title=message.conversation.title,
        sender_id=message.sender_id,
        sender_name=accounts.person(message.sender_id).name,
        content=message.content,
        attachments=message.attachments.count(),
        user_ids=frozenset(listening - set(blockers.values_list("blocker_id", flat=True))),
    )


def who_has_not_read(*, message_id: int, user_ids: Collection[int]) -> set[int]:
    """Of these people, those who are still to read it. One query."""
    of_conversation = Message.objects.filter(pk=message_id).values("conversation_id")
    stays = Member.objects.filter(
        conversation_id__in=of_conversation, user_id__in=user_ids, left_at=None, read_message_id__lt=message_id
    )
    return set(stays.values_list("user_id", flat=True))
