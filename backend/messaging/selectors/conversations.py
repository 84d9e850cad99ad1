"""Conversations as their members see them: the list, one, and who is blocked."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Greatest
from django.http import HttpRequest

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.pagination import paginate
from backend.core.references import make_reference, read_reference
from backend.messaging.models import Block, Member, Message
from backend.messaging.schemas import BlockOut, BlocksIn, ConversationOut, ConversationsIn, ParticipantOut
from backend.messaging.selectors.membership import last_seen_by
from backend.messaging.selectors.messages import views_of
from shared_contracts.events import Person


def list_stays_of(actor: Actor, asked: ConversationsIn) -> QuerySet[Member]:
    """One's own conversations, those where something was said last first."""
    stays = Member.objects.filter(user_id=actor.id, left_at=None, is_listed=True)
    if asked.is_unread is not None:
        stays = stays.filter(unread_count__gt=0) if asked.is_unread else stays.filter(unread_count=0)
    if asked.subject is not None:
        stays = stays.filter(conversation__subject=make_reference(*read_reference(asked.subject)))
    # What is missing counts for nothing in PostgreSQL's GREATEST.
    said_at = Greatest("conversation__last_message_at", F("withheld_message_at"))
    return stays.select_related("conversation").order_by(said_at.desc(), "-conversation_id")


def conversation_page(*, actor: Actor, asked: ConversationsIn, request: HttpRequest, now: datetime) -> dict[str, Any]:
    """A numbered page of one's own conversations. Six queries."""
    page = paginate(request, list_stays_of(actor, asked), asked)
    return {**page, "results": show_conversations(page["results"], now=now)}


def get_conversation_for(actor: Actor, conversation_id: int, *, now: datetime) -> ConversationOut:
    """One conversation as its member sees it. Raises NotFound. Five queries."""
    stay = (
        Member.objects.filter(user_id=actor.id, conversation_id=conversation_id, left_at=None)
        .select_related("conversation")
        .first()
    )
    if stay is None:
        raise NotFound
    return show_conversations([stay], now=now)[0]


def show_conversations(stays: Sequence[Member], *, now: datetime) -> list[ConversationOut]:
    """Conversations as these stays show them. Four queries: members, names, last messages and what they carry.

    Names are asked for once more by the messages, whose senders may have left.
    """
    participants = _participants([stay.conversation_id for stay in stays])
    last_ids = {stay.pk: last_seen_by(stay.conversation, stay) for stay in stays}
    last = Message.objects.filter(pk__in=[pk for pk in last_ids.values() if pk is not None])
    views = {view.id: view for view in views_of(list(last), linked_at=now)}
    return [
        ConversationOut(
            id=stay.conversation_id,
            subject=stay.conversation.subject,
            title=stay.conversation.title,
            is_closed=stay.conversation.closed_at is not None,
            is_group=not stay.conversation.is_pair,
            is_muted=stay.is_muted,
            opened_by=stay.conversation.opened_by_id,
            participants=participants[stay.conversation_id],
            last_message=views.get(last_ids[stay.pk] or 0),
            unread_count=stay.unread_count,
            created_at=stay.conversation.created_at,
        )
        for stay in stays
    ]


def _participants(conversation_ids: Sequence[int]) -> dict[int, list[ParticipantOut]]:
    members = Member.objects.filter(conversation_id__in=conversation_ids, left_at=None).order_by("user_id")
    rows = members.values_list("conversation_id", "user_id", "read_message_id", "delivered_message_id")
    found = list(rows)
    people = accounts.people(user_id for _, user_id, _, _ in found)
    shown = defaultdict(list)
    for conversation_id, user_id, read, delivered in found:
        shown[conversation_id].append(
            ParticipantOut(
                id=user_id,
                name=people[user_id].name,
                read_message_id=read or None,
                delivered_message_id=delivered or None,
            )
        )
    return shown


def block_page(*, actor: Actor, asked: BlocksIn, request: HttpRequest) -> dict[str, Any]:
    """Whom this person has blocked, the latest first. Three queries."""
    page = paginate(request, Block.objects.filter(blocker_id=actor.id).order_by("-pk"), asked)
    people = accounts.people(block.blocked_id for block in page["results"])
    return {**page, "results": list(map(partial(_show_block, people), page["results"]))}


def _show_block(people: dict[int, accounts.PersonView], block: Block) -> BlockOut:
    person = people[block.blocked_id]
    return BlockOut(user=Person(id=person.id, name=person.name), created_at=block.created_at)
