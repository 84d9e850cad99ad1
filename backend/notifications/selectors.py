"""Every read of notifications: one's own, and for managers what could not be delivered."""

from django.db.models import QuerySet

from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.notifications.models import Delivery, Inbox, Notification, Preferences
from backend.notifications.states import DeliveryStatus


def list_notifications_for(
    actor: Actor,
    *,
    is_read: bool | None = None,
    type: str | None = None,  # noqa: A002 - the name of the filter
) -> QuerySet[Notification]:
    """What the person was told and has not deleted."""
    rows = Notification.objects.filter(user_id=actor.id, is_shown=True)
    if is_read is not None:
        rows = rows.filter(read_at__isnull=not is_read)
    return rows if type is None else rows.filter(type=type)


def get_notification_for(actor: Actor, notification_id: int) -> Notification:
    """One of the person's own. Raises NotFound. One query."""
    found = list_notifications_for(actor).filter(pk=notification_id).first()
    if found is None:
        raise NotFound
    return found


def unread_count(actor: Actor) -> int:
    """How many the person has not read. One query, by a key: nothing is counted."""
    return Inbox.objects.filter(pk=actor.id).values_list("unread", flat=True).first() or 0


def preferences_of(user_id: int) -> Preferences:
    """The person's own, or those that nobody has changed. One query."""
    return Preferences.objects.filter(pk=user_id).first() or Preferences(user_id=user_id)


def list_undelivered(*, channel: str | None = None, user_id: int | None = None) -> QuerySet[Delivery]:
    """What was given up, the newest first; for managers."""
    filters = {"channel": channel, "user_id": user_id}
    given = {name: value for name, value in filters.items() if value is not None}
    rows = Delivery.objects.filter(status=DeliveryStatus.UNDELIVERED, **given)
    return rows.select_related("notification").order_by("-pk")
