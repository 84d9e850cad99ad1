"""Every read of messaging: members see their conversations, nobody else does, managers included."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.hot import HotQuery
from backend.core.pagination import feed
from backend.messaging.models import Conversation, Member, Message
from backend.messaging.schemas import MessagesIn
from shared_contracts.events import MessageOut, Person


def membership(actor: Actor, conversation_id: int) -> QuerySet[Member]:
    """The one row that makes this person a member now, or none."""
    return Member.objects.filter(user_id=actor.id, conversation_id=conversation_id, left_at=None)


_COLUMNS = [field.attname for field in Conversation._meta.concrete_fields]
_HELD = HotQuery(
    lambda user, conversation: (
        Conversation.objects.select_for_update(no_key=True)
        .filter(
            pk=conversation,
            pk__in=Member.objects.filter(user_id=user, conversation_id=conversation, left_at=None).values(
                "conversation_id"
            ),
        )
        .values_list(*_COLUMNS)
    ),
    user=int,
    conversation=int,
)
_MEMBER = HotQuery(
    lambda user, conversation: Member.objects.filter(
        user_id=user, conversation_id=conversation, left_at=None
    ).values_list("pk"),
    user=int,
    conversation=int,
)


def hold_conversation_for(actor: Actor, conversation_id: int) -> Conversation:
    """The conversation of a member, locked until the end of the transaction. Raises NotFound. Two queries."""
    row = _HELD.row(user=actor.id, conversation=conversation_id)
    # Asked again under the lock: who was removed while this waited is a member no longer.
    if row is None or _MEMBER.row(user=actor.id, conversation=conversation_id) is None:
        raise NotFound
    return Conversation.from_db(connection.alias, _COLUMNS, row)


def list_messages_for(actor: Actor, conversation_id: int) -> QuerySet[Message]:
    """The messages that a member may read. Raises NotFound. One query, and one when they are read."""
    if not membership(actor, conversation_id).exists():
        raise NotFound
    return Message.objects.filter(conversation_id=conversation_id)


def message_feed(*, actor: Actor, conversation_id: int, asked: MessagesIn, request: HttpRequest) -> dict[str, Any]:
    """One part of a conversation as a `Feed[MessageOut]`; the request gives `next` and `previous` their address.

    Raises NotFound for all but members. Three queries.
    """
    messages = list_messages_for(actor, conversation_id)
    return feed(request, messages, asked, newest_first=asked.order == "newest", out=views_of)


def views_of(messages: Sequence[Message]) -> list[MessageOut]:
    """Messages as members see them. One query for the names of those who wrote."""
    people = accounts.people(message.sender_id for message in messages if message.sender_id is not None)
    return [
        MessageOut(
            id=message.pk,
            conversation_id=message.conversation_id,
            sender=None
            if message.sender_id is None
            else Person(id=message.sender_id, name=people[message.sender_id].name),
            content=message.content,
            client_id=message.client_id,
            reply_to=message.reply_to_id,
            created_at=message.created_at,
        )
        for message in messages
    ]
