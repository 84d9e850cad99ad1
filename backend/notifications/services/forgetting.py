"""What has had its time: read and deleted notifications sooner, unread ones later; devices of ended sessions.

What could not be delivered stays, with all that a daily e-mail was to gather, until a manager has it tried again.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction

from backend.core.auth import session_source
from backend.core.environment import environment
from backend.notifications.models import Device
from backend.notifications.services.inboxes import lock_inboxes

BATCH = 1000

_OLD = """
SELECT id, user_id FROM notifications_notification AS one
WHERE created_at < %(read_before)s
    AND (read_at IS NOT NULL OR NOT is_shown OR created_at < %(unread_before)s)
    AND NOT EXISTS (
        SELECT FROM notifications_delivery AS delivery
        LEFT JOIN notifications_delivery AS daily ON daily.id = delivery.gathered_in_id
        WHERE delivery.notification_id = one.id
            AND (delivery.status IN ('queued', 'waiting', 'undelivered') OR daily.status IN ('queued', 'undelivered'))
    )
ORDER BY created_at LIMIT %(batch)s
"""
_DELETE = """
WITH gone AS (
    DELETE FROM notifications_notification WHERE id = ANY(%s) RETURNING user_id, is_shown AND read_at IS NULL AS counts
), fewer AS (
    SELECT user_id, count(*) AS number FROM gone WHERE counts GROUP BY user_id
)
UPDATE notifications_inbox AS inbox SET unread = unread - fewer.number FROM fewer WHERE fewer.user_id = inbox.user_id
"""


@transaction.atomic
def forget(*, now: datetime) -> bool:
    """Delete a batch of old notifications with their deliveries; true when there may be more."""
    env = environment()
    asked: dict[str, datetime | int] = {
        "read_before": now - timedelta(days=env.notifications_read_days),
        "unread_before": now - timedelta(days=env.notifications_unread_days),
        "batch": BATCH,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OLD, asked)
        found: list[tuple[int, int | None]] = cursor.fetchall()
        lock_inboxes({user_id for _, user_id in found if user_id is not None})
        ids = [pk for pk, _ in found]
        cursor.execute(
            "UPDATE notifications_delivery SET gathered_in_id = NULL WHERE gathered_in_id IN"
            " (SELECT id FROM notifications_delivery WHERE notification_id = ANY(%s))",
            [ids],
        )
        cursor.execute("DELETE FROM notifications_delivery WHERE notification_id = ANY(%s)", [ids])
        cursor.execute(_DELETE, [ids])
    return len(found) == BATCH


@transaction.atomic
def forget_devices(*, after_id: int) -> int | None:
    """Delete the devices whose sessions are over, of a thousand; returns the last one's id, None at the end."""
    rows = list(Device.objects.filter(pk__gt=after_id).order_by("pk")[:BATCH])
    alive = session_source().actors_of([(row.session_id, row.user_id) for row in rows]) if rows else {}
    Device.objects.filter(pk__in=[row.pk for row in rows if row.session_id not in alive]).delete()
    return rows[-1].pk if len(rows) == BATCH else None
