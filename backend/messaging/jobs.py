"""What messaging does in the background."""

from datetime import datetime

from backend.core.jobs import enqueue, job
from backend.messaging import services
from shared_contracts.jobs import Queue


@job("messaging.leave_conversations", queue=Queue.BULK)
def leave_conversations(*, now: datetime, user_id: int, **_: object) -> None:
    """Take somebody who is gone out of a hundred conversations, and leave the rest to a job of its own."""
    if services.leave_conversations(user_id=user_id, now=now):
        enqueue("messaging.leave_conversations", now=now, user_id=user_id)
