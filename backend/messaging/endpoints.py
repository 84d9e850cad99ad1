"""What is said in conversations."""

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.schemas import Feed, Id
from backend.messaging import selectors, services
from backend.messaging.errors import ConversationClosed
from backend.messaging.schemas import MessageIn, MessagesIn
from shared_contracts.events import MessageOut

router = Router()

PATH = "/conversations/{conversation_id}/messages/"


@router.get(PATH, response=Feed[MessageOut], auth=auth.any_user, operation_id="listMessages")
def list_messages(request: HttpRequest, conversation_id: Id, filters: Query[MessagesIn]) -> dict[str, Any]:
    """What was said in a conversation of mine, newest first or, with `order=oldest`, from its beginning.

    Only members can read it.
    """
    return selectors.message_feed(
        actor=auth.actor(request), conversation_id=conversation_id, asked=filters, request=request
    )


@router.post(
    PATH,
    response={201: MessageOut},
    auth=auth.any_user,
    operation_id="sendMessage",
    openapi_extra=problems(ConversationClosed),
)
@decorate_view(idempotent)
def send_message(request: HttpRequest, conversation_id: Id, payload: MessageIn) -> Status[MessageOut]:
    """Say something in a conversation of mine.

    Its members get `message.created`. With a `client_id` that I used here before, the answer is the message stored
    then, also with 201, and nothing new is said.
    """
    message = services.send_message(
        actor=auth.actor(request),
        conversation_id=conversation_id,
        content=payload.content,
        client_id=payload.client_id,
        reply_to=payload.reply_to,
        now=clock.now(),
    )
    return Status(201, message)
