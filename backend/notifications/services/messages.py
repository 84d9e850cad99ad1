"""Telling of messages: of a conversation, whoever is not looking there, of the first that they have not read."""

from collections import defaultdict
from datetime import datetime, timedelta

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.environment import environment
from backend.core.hot import HotQuery
from backend.core.jobs import enqueue
from backend.core.references import make_reference
from backend.messaging import public as messaging
from backend.notifications.models import Notification
from backend.notifications.services.inboxes import lock_inboxes
from backend.notifications.services.telling import tell_held
from backend.notifications.values import NotificationType, Telling, message_source

QUIET_AFTER_A_MESSAGE = timedelta(minutes=15)
"""Who has an unread notification of a conversation that is no older is not told of its next message."""
_TOLD = HotQuery(
    lambda people, reference, since: Notification.objects.filter(
        user__pk__any=people,
        type=NotificationType.MESSAGE_CREATED,
        reference=reference,
        is_shown=True,
        read_at=None,
        created_at__gt=since,
    ).values_list("user_id"),
    people=list,
    reference=str,
    since=datetime,
)


def before_telling() -> timedelta:
    """How long a message has to be read before anybody is told of it."""
    return timedelta(seconds=environment().message_push_seconds)


@transaction.atomic(savepoint=False)
def tell_of_messages(*, conversation_id: int, since_id: int, now: datetime) -> None:
    """Tell of what was said since this message, whose time to be read is over.

    What was said later may still be read: another job looks again for whom that is the first.
    """
    reference = make_reference("conversation", conversation_id)
    # Asked again under the lock: who reads it at this moment, or is told of another message, is not told of this one.
    people = accounts.hold_recipients(messaging.first_unread(conversation_id=conversation_id, since_id=since_id))
    if not people:
        return
    lock_inboxes(people)
    told = _TOLD.rows(people=list(people), reference=reference, since=now - QUIET_AFTER_A_MESSAGE)
    quiet = {user_id for (user_id,) in told}
    news: dict[int, list[int]] = defaultdict(list)
    fresh: list[messaging.Unread] = []
    for user_id, first in messaging.first_unread(conversation_id=conversation_id, since_id=since_id).items():
        if user_id not in people or user_id in quiet:
            continue
        if first.message_id == since_id or first.said_at + before_telling() <= now:
            news[first.message_id].append(user_id)
        else:
            fresh.append(first)
    for message in messaging.message_news(news) if news else ():
        user_ids = sorted(news[message.message_id])
        tell_held(
            Telling(
                type=NotificationType.MESSAGE_CREATED,
                user_ids=user_ids,
                values={"sender": message.sender_name, "excerpt": message.content or "📎"},
                reference=reference,
            ),
            {user_id: people[user_id] for user_id in user_ids},
            source=message_source(message.message_id),
            now=now,
        )
    if fresh:
        _look_again(conversation_id, min(fresh, key=lambda one: one.message_id), now=now)


def _look_again(conversation_id: int, first: messaging.Unread, *, now: datetime) -> None:
    """When this message's time to be read is over."""
    enqueue(
        "notifications.tell_of_message",
        now=now,
        run_at=first.said_at + before_telling(),
        event={"message": {"id": first.message_id, "conversation_id": conversation_id}},
    )
