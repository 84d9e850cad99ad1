"""Whom one does not hear."""

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock
from backend.core.idempotency import idempotent
from backend.core.schemas import Id, Page
from backend.messaging.endpoints.router import router
from backend.messaging.schemas import BlockOut, BlocksIn
from backend.messaging.selectors.conversations import block_page
from backend.messaging.services import blocks


@router.post("/users/{user_id}/block/", response={204: None}, auth=auth.any_user, operation_id="blockUser")
@decorate_view(idempotent)
def block_user(request: HttpRequest, user_id: Id) -> Status[None]:
    """Hear nothing of somebody any more in conversations of two; they are not told.

    What they say there reaches nobody. In groups their messages still come: apps mark them with `GET /me/blocks/`.
    """
    blocks.block(actor=auth.actor(request), user_id=user_id, now=clock.now())
    return Status(204, None)


@router.delete("/users/{user_id}/block/", response={204: None}, auth=auth.any_user, operation_id="unblockUser")
def unblock_user(request: HttpRequest, user_id: Id) -> Status[None]:
    """Hear somebody again. What they said meanwhile stays unheard."""
    blocks.unblock(actor=auth.actor(request), user_id=user_id, now=clock.now())
    return Status(204, None)


@router.get("/me/blocks/", response=Page[BlockOut], auth=auth.any_user, operation_id="listMyBlocks")
def list_my_blocks(request: HttpRequest, filters: Query[BlocksIn]) -> dict[str, Any]:
    """Whom I have blocked, the latest first."""
    return block_page(actor=auth.actor(request), asked=filters, request=request)
