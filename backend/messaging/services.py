"""Every write of messaging. A conversation's row is locked before anything in it changes."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import invalid_field
from backend.core.hot import insert
from backend.core.outbox import emit, emit_all
from backend.messaging import selectors
from backend.messaging.errors import ConversationClosed
from backend.messaging.models import Conversation, Member, Message
from backend.messaging.values import ConversationView
from shared_contracts.events import MemberAdded, MemberRemoved, MessageCreated, MessageOut, Person
from shared_contracts.rooms import conversation_room

MAX_MEMBERS = 100
LEFT_AT_ONCE = 100


@transaction.atomic
def open_conversation(
    *, actor: Actor | None, subject: str | None, user_ids: Collection[int], now: datetime, title: str = ""
) -> ConversationView:
    """The open conversation of exactly these people on this subject (without one: under this title), made if need be.

    `actor` None: the platform opens it. Raises NotFound when somebody is missing or inactive, and a 422 for fewer than
    2 or more than 100 people.
    """
    people_ids = sorted(set(user_ids))
    if not 2 <= len(people_ids) <= MAX_MEMBERS:
        raise invalid_field("body.participants", f"2 to {MAX_MEMBERS} people talk with each other")
    accounts.hold_active(people_ids)
    identity = {"subject": subject} if subject is not None else {"subject": None, "title": title}
    conversation, is_new = Conversation.objects.get_or_create(
        **identity,
        opened_with=people_ids,
        closed_at=None,
        defaults={"title": title, "opened_by_id": actor.id if actor else None, "created_at": now},
    )
    if is_new:
        _add_members(conversation, people_ids, now=now)
    return ConversationView(
        id=conversation.pk,
        subject=conversation.subject,
        title=conversation.title,
        is_closed=conversation.closed_at is not None,
    )


def _add_members(conversation: Conversation, user_ids: Collection[int], *, now: datetime) -> None:
    room = conversation_room(conversation.pk)
    people = accounts.people(user_ids)
    event_ids = emit_all(
        [(MemberAdded(user=Person(id=user_id, name=people[user_id].name)), [room]) for user_id in user_ids], now=now
    )
    Member.objects.bulk_create(
        Member(conversation=conversation, user_id=user_id, added_event_id=event_id, joined_at=now)
        for user_id, event_id in zip(user_ids, event_ids, strict=True)
    )


@transaction.atomic
def close_conversation(*, conversation_id: int, now: datetime) -> None:
    """Make it read-only for good: members go on reading, and the same people may open another on its subject.

    Closing twice is closing once.
    """
    Conversation.objects.filter(pk=conversation_id, closed_at=None).update(closed_at=now)


@transaction.atomic
def remove_member(*, conversation_id: int, user_id: int, now: datetime) -> None:
    """Take somebody out: they find the conversation no more, and their sockets leave its room.

    Removing twice is removing once.
    """
    # Taken for the order of locks: nobody sends while members change.
    Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
    stay = Member.objects.filter(conversation_id=conversation_id, user_id=user_id, left_at=None)
    if stay.update(left_at=now):
        person = accounts.person(user_id)
        event = MemberRemoved(user=Person(id=person.id, name=person.name))
        emit(event, rooms=[conversation_room(conversation_id)], now=now)


@transaction.atomic
def leave_conversations(*, user_id: int, now: datetime) -> bool:
    """Take somebody out of up to a hundred of their conversations; true when there may be more."""
    stays = Member.objects.filter(user_id=user_id, left_at=None).order_by("conversation_id")
    conversation_ids = list(stays.values_list("conversation_id", flat=True)[:LEFT_AT_ONCE])
    for conversation_id in conversation_ids:
        remove_member(conversation_id=conversation_id, user_id=user_id, now=now)
    return len(conversation_ids) == LEFT_AT_ONCE


@transaction.atomic
def send_message(
    *,
    actor: Actor,
    conversation_id: int,
    content: str,
    now: datetime,
    client_id: str | None = None,
    reply_to: int | None = None,
) -> MessageOut:
    """Say something. A `client_id` that this person used here before gives the message that was stored then.

    Raises NotFound (not a member), ConversationClosed, or a 422 for a reply to what is not in this conversation.
    """
    # One sender at a time: the order of ids is the order of commits, and a repeated client_id sees the first.
    conversation = selectors.hold_conversation_for(actor, conversation_id)
    mine = {"conversation": conversation, "sender_id": actor.id, "client_id": client_id}
    stored = Message.objects.filter(**mine).first() if client_id is not None else None
    if stored is not None:
        return selectors.views_of([stored])[0]
    if conversation.closed_at is not None:
        raise ConversationClosed
    if reply_to is not None and not conversation.messages.filter(pk=reply_to).exists():
        raise invalid_field("body.reply_to", "there is no such message in this conversation")
    message = Message(**mine, content=content, reply_to_id=reply_to, created_at=now)
    insert([message])
    view = selectors.views_of([message])[0]
    emit(MessageCreated(message=view), rooms=[conversation_room(conversation.pk)], now=now)
    return view
