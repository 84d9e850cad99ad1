"""Conversations opened and closed, and who comes and goes."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import Forbidden, NotFound, invalid_field
from backend.core.hot import HotQuery, insert, insert_once
from backend.core.outbox import emit_all
from backend.core.references import SUBJECT_PEOPLE, make_reference, read_reference
from backend.messaging.errors import ConversationClosed, ConversationFull, ConversationLeft, ConversationOfTwo
from backend.messaging.models import Block, Conversation, Member
from backend.messaging.schemas import MAX_MEMBERS
from backend.messaging.selectors.membership import get_stay, hold_conversation, hold_conversation_for, members_of
from backend.messaging.services import news
from backend.messaging.services.blocks import hold_pair
from backend.messaging.values import ConversationView
from shared_contracts.events import MemberAdded, MemberRemoved, Person
from shared_contracts.rooms import conversation_room

LEFT_AT_ONCE = 100


@transaction.atomic
def start_conversation(
    *, actor: Actor, participants: Collection[int], subject: str | None, title: str, now: datetime
) -> ConversationView:
    """Open a conversation with these people, or find the one that is open.

    Raises UnknownReference, NotFound (a subject that is not theirs), ConversationLeft, or a 422 for people who are
    missing or have nothing to do with the subject.
    """
    user_ids = {actor.id, *participants}
    if subject is not None:
        subject = make_reference(*read_reference(subject))
        _check_concerned(actor, subject, user_ids, field="body.participants")
    try:
        return open_conversation(actor=actor, subject=subject, user_ids=user_ids, title=title, now=now)
    except NotFound:
        raise invalid_field("body.participants", "somebody here is not, or no longer, among us") from None


def _check_concerned(actor: Actor, subject: str, user_ids: Collection[int], *, field: str) -> None:
    kind, number = read_reference(subject)
    concerned = SUBJECT_PEOPLE.about(kind)(number)
    if concerned is None or actor.id not in concerned:
        raise NotFound
    if not concerned.issuperset(user_ids):
        raise invalid_field(field, "somebody here has nothing to do with the subject")


@transaction.atomic
def open_conversation(
    *, actor: Actor | None, subject: str | None, user_ids: Collection[int], now: datetime, title: str = ""
) -> ConversationView:
    """The open conversation of exactly these people on this subject (without one: under this title), made if need be.

    `actor` None: the platform opens it, and lists show it from its first message on. Raises NotFound when somebody is
    missing or inactive, ConversationLeft when the actor was taken out of it, and a 422 for fewer than 2 or more than
    100 people.
    """
    people_ids = sorted(set(user_ids))
    if not 2 <= len(people_ids) <= MAX_MEMBERS:
        raise invalid_field("body.participants", f"2 to {MAX_MEMBERS} people talk with each other")
    accounts.hold_active(people_ids)
    conversation, is_new = _found_or_made(
        Conversation(
            subject=subject,
            title=title,
            opened_with=people_ids,
            opened_by_id=actor.id if actor else None,
            created_at=now,
            last_message_at=now,
        )
    )
    if is_new:
        _add(conversation, people_ids, opener=actor, now=now)
        if actor is not None:
            news.tell_members(conversation, now=now)
    elif actor is not None:
        _come_back(actor, conversation.pk, now=now)
    return ConversationView(
        id=conversation.pk,
        subject=conversation.subject,
        title=conversation.title,
        is_closed=conversation.closed_at is not None,
    )


def _found_or_made(new: Conversation) -> tuple[Conversation, bool]:
    """This one, unless there is an open one like it. Another is looked for if that is closed at this very moment."""
    alike = {"subject": new.subject} if new.subject is not None else {"subject": None, "title": new.title}
    while not insert_once(new):
        open_one = Conversation.objects.filter(**alike, opened_with=new.opened_with, closed_at=None).first()
        if open_one is not None:
            return open_one, False
    return new, True


def _add(conversation: Conversation, user_ids: Collection[int], *, opener: Actor | None, now: datetime) -> None:
    room = conversation_room(conversation.pk)
    people = accounts.people(user_ids)
    event_ids = emit_all(
        [(MemberAdded(user=Person(id=user_id, name=people[user_id].name)), [room]) for user_id in user_ids], now=now
    )
    blockers = _blockers(conversation, user_ids) if conversation.is_pair else frozenset()
    insert(
        [
            Member(
                conversation=conversation,
                user_id=user_id,
                added_event_id=event_id,
                joined_at=now,
                since_message_id=conversation.last_message_id or 0,
                blocks_other=user_id in blockers,
                is_listed=user_id not in blockers or opener is None or opener.id == user_id,
            )
            for user_id, event_id in zip(user_ids, event_ids, strict=True)
        ]
    )


def _blockers(conversation: Conversation, user_ids: Collection[int]) -> frozenset[int]:
    """Who of the two has blocked the other; nobody does so before the end of the transaction."""
    pair = conversation.opened_with
    hold_pair(*pair)
    return frozenset(blocker_id for (blocker_id,) in _BLOCKERS.rows(pair=pair)) & set(user_ids)


_BLOCKERS = HotQuery(
    lambda pair: Block.objects.filter(blocker__pk__any=pair, blocked__pk__any=pair).values_list("blocker_id"), pair=list
)


def _come_back(actor: Actor, conversation_id: int, *, now: datetime) -> None:
    """Whoever opens what is open is in it: also who had left, unless another had taken them out."""
    conversation = hold_conversation(conversation_id)
    stay = members_of(conversation_id).filter(user_id=actor.id).first()
    if stay is not None:
        if not stay.is_listed:
            members_of(conversation_id).filter(user_id=actor.id).update(is_listed=True)
            news.tell_members(conversation, now=now)
        return
    last = Member.objects.filter(conversation_id=conversation_id, user_id=actor.id).order_by("-pk")[0]
    if last.left_by != actor.id:
        raise ConversationLeft
    _check_room(conversation_id, 1)
    _add(conversation, [actor.id], opener=actor, now=now)
    news.tell_members(conversation, now=now)


def _check_room(conversation_id: int, more: int) -> None:
    if members_of(conversation_id).count() + more > MAX_MEMBERS:
        raise ConversationFull


@transaction.atomic
def close_conversation(*, conversation_id: int, now: datetime) -> None:
    """Make it read-only for good: members go on reading, and the same people may open another on its subject.

    Closing twice is closing once.
    """
    conversation = hold_conversation(conversation_id)
    if conversation.closed_at is None:
        conversation.closed_at = now
        conversation.save(update_fields=["closed_at"])
        news.tell_members(conversation, now=now)


@transaction.atomic
def add_members(*, actor: Actor, conversation_id: int, user_ids: Collection[int], now: datetime) -> None:
    """Let these people take part from now on; who does already is let be.

    Raises NotFound, ConversationClosed, ConversationOfTwo, ConversationFull, or a 422.
    """
    stay = get_stay(actor, conversation_id)
    subject = stay.conversation.subject
    if stay.conversation.is_pair:
        raise ConversationOfTwo
    # Subject, people, conversation: the order in which whoever moves the subject locks them, too.
    if subject is not None:
        _check_concerned(actor, subject, user_ids, field="body.user_ids")
    try:
        accounts.hold_active(user_ids)
    except NotFound:
        raise invalid_field("body.user_ids", "somebody here is not, or no longer, among us") from None
    conversation, _ = hold_conversation_for(actor, conversation_id)
    if conversation.closed_at is not None:
        raise ConversationClosed
    present = set(members_of(conversation_id).values_list("user_id", flat=True))
    new = sorted(set(user_ids) - present)
    if len(present) + len(new) > MAX_MEMBERS:
        raise ConversationFull
    if new:
        _add(conversation, new, opener=actor, now=now)
        news.tell_members(conversation, now=now)


@transaction.atomic
def end_stay(*, actor: Actor, conversation_id: int, user_id: int, now: datetime) -> None:
    """Leave, or take somebody out, which whoever opened it may. Raises NotFound, Forbidden or ConversationOfTwo."""
    conversation, _ = hold_conversation_for(actor, conversation_id)
    if not members_of(conversation_id).filter(user_id=user_id).exists():
        raise NotFound
    if actor.id not in {user_id, conversation.opened_by_id}:
        raise Forbidden("Whoever opened a conversation may take others out of it.")
    if conversation.is_pair:
        raise ConversationOfTwo("Two stay together: mute it, or block the other.")
    end(conversation_id, user_id, left_by=actor.id, now=now)


@transaction.atomic
def remove_member(*, conversation_id: int, user_id: int, now: datetime) -> None:
    """Take somebody out: they find the conversation no more, and their sockets leave its room.

    Removing twice is removing once.
    """
    hold_conversation(conversation_id)
    end(conversation_id, user_id, left_by=None, now=now)


@transaction.atomic
def leave_conversations(*, user_id: int, now: datetime) -> bool:
    """Take somebody who is gone out of up to a hundred of their conversations; true when there may be more."""
    stays = Member.objects.filter(user_id=user_id, left_at=None).order_by("conversation_id")
    conversation_ids = list(stays.values_list("conversation_id", flat=True)[:LEFT_AT_ONCE])
    for conversation_id in conversation_ids:
        remove_member(conversation_id=conversation_id, user_id=user_id, now=now)
    Block.objects.filter(blocker_id=user_id).delete()
    return len(conversation_ids) == LEFT_AT_ONCE


def end(conversation_id: int, user_id: int, *, left_by: int | None, now: datetime) -> None:
    """End somebody's stay in a conversation that the caller has locked, and say so; who is none is let be."""
    if members_of(conversation_id).filter(user_id=user_id).update(left_at=now, left_by=left_by):
        person = accounts.person(user_id)
        removed = MemberRemoved(user=Person(id=person.id, name=person.name))
        emit_all([(removed, [conversation_room(conversation_id)]), news.gone(conversation_id, user_id)], now=now)
