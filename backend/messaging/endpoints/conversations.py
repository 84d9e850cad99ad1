"""Conversations: opened, listed, read, muted; who comes and goes."""

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock
from backend.core.errors import Forbidden, NotFound, UnknownReference
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.schemas import Id, Page
from backend.messaging.endpoints.router import router
from backend.messaging.errors import ConversationClosed, ConversationFull, ConversationLeft, ConversationOfTwo
from backend.messaging.schemas import ConversationIn, ConversationOut, ConversationsIn, MembersIn, UpToIn
from backend.messaging.selectors.conversations import conversation_page, get_conversation_for
from backend.messaging.services import conversations, receipts

ONE = "/conversations/{conversation_id}/"


@router.get(
    "/conversations/",
    response=Page[ConversationOut],
    auth=auth.any_user,
    operation_id="listConversations",
    openapi_extra=problems(UnknownReference),
)
def list_conversations(request: HttpRequest, filters: Query[ConversationsIn]) -> dict[str, Any]:
    """My conversations, those where something was said last first.

    The list stays live without joining anything: `conversation.updated` comes in one's own room.
    """
    return conversation_page(actor=auth.actor(request), asked=filters, request=request, now=clock.now())


@router.post(
    "/conversations/",
    response={201: ConversationOut},
    auth=auth.any_user,
    operation_id="openConversation",
    openapi_extra=problems(NotFound, UnknownReference, ConversationLeft, ConversationFull),
)
@decorate_view(idempotent)
def open_conversation(request: HttpRequest, payload: ConversationIn) -> Status[dict[str, Any]]:
    """Open a conversation with one or more others: about a subject that concerns us all, or under a title.

    There is one for each subject and set of people, and without a subject one for each title and set: who asks again
    gets it, also with 201. A conversation of two stays one.
    """
    actor, now = auth.actor(request), clock.now()
    opened = conversations.start_conversation(
        actor=actor, participants=payload.participants, subject=payload.subject, title=payload.title, now=now
    )
    return Status(201, get_conversation_for(actor, opened.id, now=now))


@router.get(ONE, response=ConversationOut, auth=auth.any_user, operation_id="readConversation")
def read_conversation(request: HttpRequest, conversation_id: Id) -> dict[str, Any]:
    """A conversation of mine: who takes part and how far each has read, the last message, what I have not read."""
    return get_conversation_for(auth.actor(request), conversation_id, now=clock.now())


@router.post(f"{ONE}read/", response={204: None}, auth=auth.any_user, operation_id="markConversationRead")
@decorate_view(idempotent)
def mark_conversation_read(request: HttpRequest, conversation_id: Id, payload: UpToIn) -> Status[None]:
    """I have read everything up to a message, or all there is. The others get `message.read`. It never moves back."""
    receipts.mark_read(
        actor=auth.actor(request), conversation_id=conversation_id, message_id=payload.message_id, now=clock.now()
    )
    return Status(204, None)


@router.post(f"{ONE}delivered/", response={204: None}, auth=auth.any_user, operation_id="markConversationDelivered")
@decorate_view(idempotent)
def mark_conversation_delivered(request: HttpRequest, conversation_id: Id, payload: UpToIn) -> Status[None]:
    """Everything up to a message, or all there is, has reached this device. The others get `message.delivered`."""
    receipts.mark_delivered(
        actor=auth.actor(request), conversation_id=conversation_id, message_id=payload.message_id, now=clock.now()
    )
    return Status(204, None)


@router.post(
    f"{ONE}members/",
    response=ConversationOut,
    auth=auth.any_user,
    operation_id="addConversationMembers",
    openapi_extra=problems(ConversationOfTwo, ConversationFull, ConversationClosed),
)
@decorate_view(idempotent)
def add_members(request: HttpRequest, conversation_id: Id, payload: MembersIn) -> dict[str, Any]:
    """Let more people take part in a group, up to 100. They see what is said from then on."""
    actor, now = auth.actor(request), clock.now()
    conversations.add_members(actor=actor, conversation_id=conversation_id, user_ids=payload.user_ids, now=now)
    return get_conversation_for(actor, conversation_id, now=now)


@router.delete(
    f"{ONE}members/{{user_id}}/",
    response={204: None},
    auth=auth.any_user,
    operation_id="removeConversationMember",
    openapi_extra=problems(Forbidden, ConversationOfTwo),
)
def remove_member(request: HttpRequest, conversation_id: Id, user_id: Id) -> Status[None]:
    """Leave a group; whoever opened it may also take others out. Who is out sees nothing of it any more."""
    conversations.end_stay(actor=auth.actor(request), conversation_id=conversation_id, user_id=user_id, now=clock.now())
    return Status(204, None)


@router.put(f"{ONE}mute/", response={204: None}, auth=auth.any_user, operation_id="muteConversation")
def mute_conversation(request: HttpRequest, conversation_id: Id) -> Status[None]:
    """No notifications of this conversation for me. Its messages come as before."""
    receipts.set_muted(actor=auth.actor(request), conversation_id=conversation_id, is_muted=True, now=clock.now())
    return Status(204, None)


@router.delete(f"{ONE}mute/", response={204: None}, auth=auth.any_user, operation_id="unmuteConversation")
def unmute_conversation(request: HttpRequest, conversation_id: Id) -> Status[None]:
    """Notifications of this conversation again."""
    receipts.set_muted(actor=auth.actor(request), conversation_id=conversation_id, is_muted=False, now=clock.now())
    return Status(204, None)
