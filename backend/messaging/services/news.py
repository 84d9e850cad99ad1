"""Where conversations stand in their members' lists: told at once to two, to more by one job, once a second at most."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from backend.core.jobs import enqueue
from backend.core.outbox import emit_all
from backend.messaging.models import Conversation, Member, Message
from backend.messaging.selectors.membership import Present, last_seen_by, members_of
from backend.messaging.selectors.messages import views_of
from shared_contracts.events import ConversationUpdated, Event, MessageOut
from shared_contracts.rooms import user_room

APART = timedelta(seconds=1)
LOST_AFTER = timedelta(minutes=2)
"""A job that has not come by then was given up: the next change asks for another."""

Fact = tuple[Event, list[str]]


def tell_members(conversation: Conversation, *, now: datetime) -> None:
    """Let every member's list follow a change of this conversation, whose row the caller has locked."""
    if conversation.is_pair:
        stays = members_of(conversation.pk).order_by("user_id")
        emit_all(standings(conversation, list(stays.filter(is_listed=True))), now=now)
    else:
        tell_group_soon(conversation, now=now)


def tell_group_soon(conversation: Conversation, *, now: datetime) -> None:
    """Have the members of a group told by a job, unless one is on its way. The caller writes the row."""
    if not is_due(conversation, now=now):
        return
    conversation.news_at = next_news_at(conversation, now=now)
    Conversation.objects.filter(pk=conversation.pk).update(news_at=conversation.news_at)
    send_for_news(conversation, now=now)


def is_due(conversation: Conversation, *, now: datetime) -> bool:
    """Whether nobody is about to tell this group's members."""
    return conversation.news_at is None or conversation.news_at < now - LOST_AFTER


def next_news_at(conversation: Conversation, *, now: datetime) -> datetime:
    """At once, or a second after the last time."""
    return now if conversation.news_told_at is None else max(now, conversation.news_told_at + APART)


def send_for_news(conversation: Conversation, *, now: datetime) -> None:
    """Enqueue the job for the moment in `news_at`."""
    enqueue("messaging.tell_members", now=now, run_at=conversation.news_at, conversation_id=conversation.pk)


def tell_group(*, conversation_id: int, now: datetime) -> None:
    """Tell every member of a group where it stands in their list, if that is still wanted. In the job's transaction."""
    conversation = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation_id).first()
    if conversation is None or conversation.news_at is None:
        return
    emit_all(standings(conversation, list(members_of(conversation_id).order_by("user_id"))), now=now)
    conversation.news_at, conversation.news_told_at = None, now
    conversation.save(update_fields=["news_at", "news_told_at"])


def standings(conversation: Conversation, stays: Sequence[Member]) -> list[Fact]:
    """For each of these members: where the conversation stands in their list. Three queries."""
    last_ids = {stay.pk: last_seen_by(conversation, stay) for stay in stays}
    last = Message.objects.filter(pk__in={pk for pk in last_ids.values() if pk is not None})
    views = {view.id: view for view in views_of(list(last))}
    return [standing(conversation, stay, views.get(last_ids[stay.pk] or 0)) for stay in stays]


def standing(conversation: Conversation, stay: Member | Present, last_message: MessageOut | None) -> Fact:
    """For one of them, whose last message is known."""
    return ConversationUpdated(
        id=conversation.pk,
        last_message=last_message,
        unread_count=stay.unread_count,
        is_muted=stay.is_muted,
        is_closed=conversation.closed_at is not None,
    ), [user_room(stay.user_id)]


def gone(conversation_id: int, user_id: int) -> Fact:
    """It has left this person's list."""
    left = ConversationUpdated(id=conversation_id, last_message=None, unread_count=0, is_member=False)
    return left, [user_room(user_id)]
