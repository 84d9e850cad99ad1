"""What messaging holds of a person: the conversations they are or were in, what they wrote and sent there, whom they
blocked."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from backend.accounts import public as accounts
from backend.core import personal_data
from backend.core.jobs import enqueue
from backend.core.personal_data import Part, rows_of
from backend.messaging.models import Attachment, Block, Conversation, Member, Message
from backend.messaging.services.attachments import drop_unnamed

STAY = (
    *("conversation_id", "conversation__subject", "conversation__title", "conversation__opened_with"),
    *("joined_at", "left_at", "conversation__closed_at", "is_muted", "read_message_id", "delivered_message_id"),
)
MESSAGE = ("id", "conversation_id", "content", "reply_to_id", "created_at", "edited_at", "deleted_at")
ATTACHMENT = ("id", "message_id", "name", "content_type", "size_bytes", "created_at")


def export(user_id: int) -> Iterator[Part]:
    """Their own words, files and blocks; of the others the names that they may see. What others wrote is the others'.

    Also what the other of two never got: nothing tells it apart.
    """
    yield Part(name="messaging/conversations.json", rows=map(_named, rows_of(_stays(user_id), *STAY)))
    yield Part(name="messaging/messages.json", rows=_words(user_id))
    yield Part(name="messaging/blocks.json", rows=rows_of(_blocks(user_id), "blocked_id", "created_at"))
    files = Attachment.objects.filter(uploader_id=user_id)
    yield Part(name="messaging/attachments.json", rows=rows_of(files, *ATTACHMENT))
    for attachment in files.order_by("pk"):
        suffix = attachment.file_key.rpartition(".")[2]
        yield Part(name=f"messaging/attachments/{attachment.pk}.{suffix}", file=attachment.file_key)


def _words(user_id: int) -> Iterator[dict[str, Any]]:
    # By conversation: that is how messages are found.
    conversations = Conversation.objects.filter(members__user_id=user_id).distinct()
    for conversation in rows_of(conversations, "id"):
        said = Message.objects.filter(conversation_id=conversation["id"], sender_id=user_id)
        yield from rows_of(said, *MESSAGE)


def _stays(user_id: int) -> Any:
    return Member.objects.filter(user_id=user_id)


def _blocks(user_id: int) -> Any:
    return Block.objects.filter(blocker_id=user_id)


def _named(stay: Mapping[str, Any]) -> dict[str, Any]:
    people = accounts.people(stay["conversation__opened_with"])
    named = {name.removeprefix("conversation__"): value for name, value in stay.items()}
    del named["opened_with"]
    return {**named, "opened_with": [people[user_id].name for user_id in sorted(people)]}


def erase(*, user_id: int, now: datetime) -> None:
    """Messages stay readable to those who got them: it is their correspondence, from a deleted account.

    The person leaves the conversations afterwards, in a job: their row is locked before a conversation's here, and
    after it where somebody sends. Their blocks act until then.
    """
    drop_unnamed(user_id=user_id, now=now)
    if _stays(user_id).filter(left_at=None).exists() or _blocks(user_id).exists():
        enqueue("messaging.leave_conversations", now=now, user_id=user_id)


personal_data.holds("messaging", export=export, erase=erase)
