"""What messaging does by itself: lists of groups follow; unnamed files, and people who are gone, leave."""

from datetime import datetime

from backend.core.jobs import enqueue, job
from backend.core.timetable import every
from backend.messaging.services import attachments, conversations, news
from shared_contracts.jobs import Queue


@job("messaging.tell_members")
def tell_members(*, now: datetime, conversation_id: int, **_: object) -> None:
    """Critical, since people look at their lists: a hundred rows at most, and once a second at most."""
    news.tell_group(conversation_id=conversation_id, now=now)


@job("messaging.purge_attachments", queue=Queue.BULK)
def purge_attachments(*, now: datetime, **_: object) -> None:
    if attachments.purge_unnamed(now=now):
        enqueue("messaging.purge_attachments", now=now)


@job("messaging.leave_conversations", queue=Queue.BULK)
def leave_conversations(*, now: datetime, user_id: int, **_: object) -> None:
    """Take somebody who is gone out of a hundred conversations, and leave the rest to a job of its own."""
    if conversations.leave_conversations(user_id=user_id, now=now):
        enqueue("messaging.leave_conversations", now=now, user_id=user_id)


every(name="messaging.purge_attachments", seconds=3600, job="messaging.purge_attachments")
