"""A person's list: read, deleted, cleared. Their inbox is locked first, so the number of unread ones is right."""

from datetime import datetime
from typing import Literal

from django.db import transaction
from django.db.models import F, Max, QuerySet

from backend.core.actor import Actor
from backend.core.outbox import emit
from backend.core.references import make_reference
from backend.notifications.models import Inbox, Notification
from backend.notifications.selectors import get_notification_for
from backend.notifications.services.inboxes import lock_inboxes
from backend.notifications.values import NotificationType, message_of
from shared_contracts.events import NotificationChanged
from shared_contracts.rooms import user_room

Change = Literal["read", "deleted"]


@transaction.atomic
def mark_read(*, actor: Actor, notification_id: int, now: datetime) -> Notification:
    """Reading twice is reading once. Raises NotFound."""
    get_notification_for(actor, notification_id)
    lock_inboxes([actor.id])
    if _shown(actor).filter(pk=notification_id, read_at=None).update(read_at=now):
        _tell(actor.id, "read", notification_id=notification_id, fewer=1, now=now)
    return get_notification_for(actor, notification_id)


@transaction.atomic
def mark_all_read(*, actor: Actor, now: datetime) -> int:
    """Everything that is there now; returns how many were unread."""
    lock_inboxes([actor.id])
    up_to = _newest(_shown(actor))
    read = _shown(actor).filter(read_at=None).update(read_at=now)
    if read:
        _tell(actor.id, "read", up_to=up_to, fewer=read, now=now)
    return read


@transaction.atomic
def delete_notification(*, actor: Actor, notification_id: int, now: datetime) -> None:
    """Take one out of the list, read or not. Raises NotFound, the second time too."""
    notification = get_notification_for(actor, notification_id)
    lock_inboxes([actor.id])
    notification = get_notification_for(actor, notification_id)
    # The row stays until it is purged: what of it is still on its way outside, and what was not delivered, need it.
    _shown(actor).filter(pk=notification.pk).update(is_shown=False)
    _tell(actor.id, "deleted", notification_id=notification.pk, fewer=int(notification.read_at is None), now=now)


@transaction.atomic
def clear_read(*, actor: Actor, now: datetime) -> int:
    """Take everything out of the list that was read; returns how many."""
    lock_inboxes([actor.id])
    read = _shown(actor).filter(read_at__isnull=False)
    up_to = _newest(read)
    cleared = read.update(is_shown=False)
    if cleared:
        _tell(actor.id, "deleted", up_to=up_to, fewer=0, now=now)
    return cleared


@transaction.atomic
def mark_messages_read(*, user_id: int, conversation_id: int, up_to_message_id: int, now: datetime) -> None:
    """Whoever has read messages where they were said has read what told of them, too."""
    lock_inboxes([user_id])
    told = Notification.objects.filter(
        user_id=user_id,
        type=NotificationType.MESSAGE_CREATED,
        reference=make_reference("conversation", conversation_id),
        is_shown=True,
        read_at=None,
    )
    for notification_id, source in told.order_by("pk").values_list("pk", "source"):
        if message_of(source) <= up_to_message_id:
            Notification.objects.filter(pk=notification_id).update(read_at=now)
            _tell(user_id, "read", notification_id=notification_id, fewer=1, now=now)


def _shown(actor: Actor) -> QuerySet[Notification]:
    return Notification.objects.filter(user_id=actor.id, is_shown=True)


def _newest(rows: QuerySet[Notification]) -> int | None:
    newest: int | None = rows.aggregate(newest=Max("pk"))["newest"]
    return newest


def _tell(
    user_id: int,
    change: Change,
    *,
    fewer: int,
    now: datetime,
    notification_id: int | None = None,
    up_to: int | None = None,
) -> None:
    """Keep the count, and let the person's other devices follow."""
    Inbox.objects.filter(pk=user_id).update(unread=F("unread") - fewer)
    unread = Inbox.objects.values_list("unread", flat=True).get(pk=user_id)
    event = NotificationChanged(change=change, notification_id=notification_id, up_to=up_to, unread_count=unread)
    emit(event, rooms=[user_room(user_id)], now=now)
