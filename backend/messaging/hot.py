"""Sending a message by the fast lane: the most frequent write of a talk, from sockets above all."""

import re
from typing import Any

from django.db import transaction
from pydantic import ValidationError

from backend.core.actor import Actor
from backend.core.fast_lane import Asked, HotWrite, serve
from backend.core.rendering import encode
from backend.messaging.schemas import MessageIn
from backend.messaging.services.messages import send_message


def send(asked: Asked, sent: Any) -> bytes | None:
    """Say something under a name of one's own: it is stored once, however often it is sent."""
    try:
        said = MessageIn.model_validate(sent)
    except ValidationError:
        return None
    if said.client_id is None or said.attachments:
        return None
    # Whose roles nobody has asked for: they count for nothing in a conversation.
    actor = Actor(id=asked.user_id, roles=frozenset(), session_id=asked.session_id)
    with transaction.atomic():
        message = send_message(
            actor=actor,
            asks_session=True,
            conversation_id=asked.id,
            content=said.content,
            client_id=said.client_id,
            reply_to=said.reply_to,
            now=asked.now,
        )
    return encode(message.model_dump())


def take_the_fast_lane() -> None:
    """Called once when the apps are ready."""
    base = "api/v1/conversations/"
    path = re.compile(f"/{base}([1-9][0-9]{{0,17}})/messages/")
    serve(HotWrite(path, f"{base}<conversation_id>/messages/", send))
