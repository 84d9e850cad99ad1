"""What must always hold of notifications and their deliveries."""

from backend.core.proof import must_hold

must_hold(
    "notifications.unread_is_counted",
    "Everybody's number of unread notifications is how many they have not read.",
    """
    WITH counted AS (
        SELECT user_id, count(*) AS number FROM notifications_notification
        WHERE is_shown AND read_at IS NULL GROUP BY user_id
    )
    SELECT user_id, inbox.unread, counted.number FROM notifications_inbox AS inbox FULL JOIN counted USING (user_id)
    WHERE coalesce(inbox.unread, 0) <> coalesce(counted.number, 0)
    """,
)

must_hold(
    "notifications.what_is_shown_was_told",
    "Every notification in somebody's list was told to their sockets exactly once.",
    """
    WITH told AS (
        SELECT (data::jsonb #>> '{notification,id}')::bigint AS id, min(room) AS room, count(*) AS times
        FROM core_event WHERE type = 'notification.created' GROUP BY 1
    )
    SELECT id, notification.user_id, told.room, told.times
    FROM notifications_notification AS notification LEFT JOIN told USING (id)
    WHERE is_shown AND created_at > %(kept_since)s
        AND (told.times IS DISTINCT FROM 1 OR told.room <> 'user:' || notification.user_id)
    """,
)

must_hold(
    "notifications.what_is_queued_is_under_way",
    "Every delivery that is queued has its job.",
    """
    SELECT delivery.id, delivery.channel, delivery.due_at FROM notifications_delivery AS delivery
    WHERE delivery.status = 'queued' AND NOT EXISTS (
        SELECT FROM core_job AS job
        WHERE job.name IN ('notifications.deliver', 'notifications.deliver_to_many') AND job.status = 'pending'
            AND (job.arguments ->> 'delivery_id')::bigint = delivery.id
    )
    """,
)

must_hold(
    "notifications.what_waits_is_gathered",
    "Whoever has something waiting for the daily e-mail has a job that writes it.",
    """
    SELECT delivery.id, delivery.user_id FROM notifications_delivery AS delivery
    WHERE delivery.status = 'waiting' AND NOT EXISTS (
        SELECT FROM core_job AS job
        WHERE job.name = 'notifications.write_daily_email' AND job.status = 'pending'
            AND (job.arguments ->> 'user_id')::bigint = delivery.user_id
    )
    """,
)
