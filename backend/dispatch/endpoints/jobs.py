"""A job from its offer to its rating, and what is said meanwhile."""

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock
from backend.core.errors import Forbidden, InvalidState
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.schemas import Feed, Id
from backend.dispatch import selectors, states
from backend.dispatch.endpoints.router import router
from backend.dispatch.errors import (
    AlreadyAccepted,
    AlreadyRated,
    AssistantBusy,
    LicenceExpired,
    NobodyToTalkTo,
    NotOnDuty,
    OfferGone,
    TariffMissing,
)
from backend.dispatch.schemas import AssistanceOut, RatingIn, RatingOut, StatusIn
from backend.dispatch.selectors import shapes
from backend.dispatch.services import offers, progress
from backend.dispatch.services.progress import Change
from backend.messaging import public as messaging
from backend.messaging.errors import ConversationClosed
from backend.messaging.public import MessageIn, MessageOut, MessagesIn


@router.post(
    "/assistance/{assistance_id}/accept/",
    response=AssistanceOut,
    auth=auth.assistant,
    operation_id="acceptAssistance",
    openapi_extra=problems(AlreadyAccepted, OfferGone, AssistantBusy, NotOnDuty, LicenceExpired, TariffMissing),
)
@decorate_view(idempotent)
def accept_assistance(request: HttpRequest, assistance_id: Id) -> AssistanceOut:
    """Accept an offered job. The first assistant to accept wins; the others get `already_accepted`.

    From here on client and assistant share a conversation, and the job's room on the socket.
    """
    actor = auth.actor(request)
    accepted = offers.accept_assistance(actor=actor, assistance_id=assistance_id, now=clock.now())
    return shapes.show_assistance(actor, accepted)


@router.post(
    "/assistance/{assistance_id}/decline/",
    response=AssistanceOut,
    auth=auth.assistant,
    operation_id="declineAssistance",
    openapi_extra=problems(AlreadyAccepted, OfferGone),
)
@decorate_view(idempotent)
def decline_assistance(request: HttpRequest, assistance_id: Id) -> AssistanceOut:
    """Decline an offered job. It is not offered to you again in this search."""
    actor = auth.actor(request)
    declined = offers.decline_assistance(actor=actor, assistance_id=assistance_id, now=clock.now())
    return shapes.show_assistance(actor, declined)


@router.post(
    "/assistance/{assistance_id}/status/",
    response=AssistanceOut,
    auth=auth.any_user,
    operation_id="changeAssistanceStatus",
    openapi_extra=problems(Forbidden, InvalidState),
)
@decorate_view(idempotent)
def change_status(request: HttpRequest, assistance_id: Id, payload: StatusIn) -> AssistanceOut:
    """Move a job on: the assistant arrives (`ongoing`), finishes (`completed`) or cancels; the client may only cancel.

    An assistant who cancels before `ongoing` gives the job back: others are asked for ten more minutes, unless
    `reoffer` is false. What is priced on the spot takes its `total_price` with `completed`; left out, it is the
    tariff's minimum. Nothing changes after `completed` or `canceled`.
    """
    actor = auth.actor(request)
    change = Change(
        to=states.Status(payload.status),
        reason=payload.reason,
        total_price=None if payload.total_price is None else payload.total_price.money("body.total_price"),
        reoffer=payload.reoffer,
    )
    changed = progress.change_status(actor=actor, assistance_id=assistance_id, change=change, now=clock.now())
    return shapes.show_assistance(actor, changed)


@router.post(
    "/assistance/{assistance_id}/rating/",
    response={201: RatingOut},
    auth=auth.any_user,
    operation_id="rateAssistance",
    openapi_extra=problems(Forbidden, InvalidState, AlreadyRated),
)
@decorate_view(idempotent)
def rate_assistance(request: HttpRequest, assistance_id: Id, payload: RatingIn) -> Status[dict[str, Any]]:
    """Rate the assistant of a completed job, once. It counts in their average."""
    now = clock.now()
    progress.rate_assistance(
        actor=auth.actor(request),
        assistance_id=assistance_id,
        rating=payload.rating,
        comment=payload.comment,
        now=now,
    )
    return Status(201, {"assistance_id": assistance_id, **payload.model_dump(), "created_at": now})


MESSAGES = "/assistance/{assistance_id}/messages/"


@router.get(
    MESSAGES,
    response=Feed[MessageOut],
    auth=auth.any_user,
    operation_id="listAssistanceMessages",
    openapi_extra=problems(NobodyToTalkTo),
)
def list_messages(request: HttpRequest, assistance_id: Id, filters: Query[MessagesIn]) -> dict[str, Any]:
    """What client and assistant said to each other: the messages of the job's present conversation."""
    actor = auth.actor(request)
    conversation_id = selectors.get_conversation_id(actor, assistance_id)
    return messaging.message_feed(
        actor=actor, conversation_id=conversation_id, asked=filters, request=request, now=clock.now()
    )


@router.post(
    MESSAGES,
    response={201: MessageOut},
    auth=auth.any_user,
    operation_id="sendAssistanceMessage",
    openapi_extra=problems(NobodyToTalkTo, ConversationClosed),
)
@decorate_view(idempotent)
def send_message(request: HttpRequest, assistance_id: Id, payload: MessageIn) -> Status[MessageOut]:
    """Say something to the other side of a job; the same as in `/conversations/{conversation_id}/messages/`."""
    actor = auth.actor(request)
    message = messaging.send_message(
        actor=actor,
        conversation_id=selectors.get_conversation_id(actor, assistance_id),
        content=payload.content,
        client_id=payload.client_id,
        reply_to=payload.reply_to,
        attachments=payload.attachments,
        now=clock.now(),
    )
    return Status(201, message)
