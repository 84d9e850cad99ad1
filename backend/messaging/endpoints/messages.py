"""What is said in conversations, and the files that go with it."""

from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest, HttpResponse
from ninja import File, Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock, etags
from backend.core.errors import Forbidden, PreconditionFailed
from backend.core.etags import IfMatch
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.schemas import Feed, Id
from backend.core.uploads import Upload, prepared, receives_file
from backend.media import public as media
from backend.media.errors import InvalidDocument, InvalidImage
from backend.messaging.endpoints.router import router
from backend.messaging.errors import ConversationClosed, MessageFixed, TooManyAttachments
from backend.messaging.schemas import MessageChangeIn, MessageIn, MessagesIn, OwnMessagesIn
from backend.messaging.selectors import messages as selectors
from backend.messaging.services import attachments, messages
from shared_contracts.events import AttachmentOut, MessageOut

MESSAGES = "/conversations/{conversation_id}/messages/"
ONE = "/messages/{message_id}/"


@router.get(MESSAGES, response=Feed[MessageOut], auth=auth.any_user, operation_id="listMessages")
def list_messages(request: HttpRequest, conversation_id: Id, filters: Query[MessagesIn]) -> dict[str, Any]:
    """What was said in a conversation of mine, newest first or, with `order=oldest`, from its beginning.

    Only members can read it, from when they joined. `search` finds words.
    """
    return selectors.message_feed(
        actor=auth.actor(request), conversation_id=conversation_id, asked=filters, request=request, now=clock.now()
    )


@router.post(
    MESSAGES,
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
    message = messages.send_message(
        actor=auth.actor(request),
        conversation_id=conversation_id,
        content=payload.content,
        client_id=payload.client_id,
        reply_to=payload.reply_to,
        attachments=payload.attachments,
        now=clock.now(),
    )
    return Status(201, message)


@router.get("/messages/", response=Feed[MessageOut], auth=auth.any_user, operation_id="listMyMessages")
def list_my_messages(request: HttpRequest, filters: Query[OwnMessagesIn]) -> dict[str, Any]:
    """Every message of my conversations, newest first. `search` finds words."""
    return selectors.own_message_feed(actor=auth.actor(request), asked=filters, request=request, now=clock.now())


@router.get(ONE, response=MessageOut, auth=auth.any_user, operation_id="readMessage")
def read_message(request: HttpRequest, response: HttpResponse, message_id: Id) -> MessageOut:
    """A message of a conversation of mine, with fresh addresses of its files."""
    message = selectors.get_message_view_for(auth.actor(request), message_id, now=clock.now())
    etags.tag(response, message.version)
    return message


@router.patch(
    ONE,
    response=MessageOut,
    auth=auth.any_user,
    operation_id="editMessage",
    openapi_extra=problems(Forbidden, PreconditionFailed, ConversationClosed, MessageFixed),
)
def edit_message(
    request: HttpRequest,
    response: HttpResponse,
    message_id: Id,
    payload: MessageChangeIn,
    if_match: IfMatch = None,
) -> MessageOut:
    """Let a message of mine say something else, within 15 minutes. The others get `message.updated`."""
    message = messages.edit_message(
        actor=auth.actor(request),
        message_id=message_id,
        content=payload.content,
        wanted_versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )
    etags.tag(response, message.version)
    return message


@router.delete(
    ONE, response={204: None}, auth=auth.any_user, operation_id="deleteMessage", openapi_extra=problems(Forbidden)
)
def delete_message(request: HttpRequest, message_id: Id) -> Status[None]:
    """Take a message of mine back: its words and files are gone, and a mark is left."""
    messages.delete_message(actor=auth.actor(request), message_id=message_id, now=clock.now())
    return Status(204, None)


def _kept(upload: TemporaryUploadedFile) -> media.Kept:
    return attachments.keep_file(upload, now=clock.now())


@router.post(
    "/attachments/",
    response={201: AttachmentOut},
    auth=auth.any_user,
    operation_id="addAttachment",
    openapi_extra=problems(InvalidDocument, InvalidImage, TooManyAttachments),
)
@decorate_view(idempotent, receives_file(max_bytes=media.MAX_ATTACHMENT_BYTES, prepare=_kept))
def add_attachment(request: HttpRequest, file: File[Upload]) -> Status[AttachmentOut]:
    """Upload a file for a message: a PDF, JPEG, PNG, WebP or the first frame of a GIF; at most 10 MB and 25 megapixels.

    A picture is kept as a JPEG without metadata. Name it in a message within a day, or it is deleted.
    """
    now = clock.now()
    attachment = attachments.add_attachment(
        actor=auth.actor(request), kept=prepared(request), name=file.name or "", now=now
    )
    return Status(201, selectors.show_attachment(attachment, linked_at=now))
