"""What must always hold of bookings, their timers, their history, and what the catalogue knows of them."""

from backend.core.proof import must_hold

must_hold(
    "scheduling.no_time_is_sold_twice",
    "Of the bookings of a chair that hold their time, no two touch each other's.",
    """
    SELECT one.id, other.id AS other, one.resource_id, one.blocked, other.blocked AS others
    FROM scheduling_booking AS one JOIN scheduling_booking AS other
        ON other.resource_id = one.resource_id AND other.id > one.id AND other.blocked && one.blocked
    WHERE one.holds_slot AND other.holds_slot
    """,
)

must_hold(
    "scheduling.agreed_times_are_held",
    "What is confirmed or completed holds its time, what is over does not; the chair is the provider's.",
    """
    SELECT booking.id, booking.status, booking.holds_slot, booking.provider_id, chair.provider_id AS owner
    FROM scheduling_booking AS booking JOIN scheduling_resource AS chair ON chair.id = booking.resource_id
    WHERE (booking.status IN ('confirmed', 'completed') AND NOT booking.holds_slot)
        OR (booking.status IN ('cancelled', 'no_show', 'expired') AND booking.holds_slot)
        OR booking.provider_id <> chair.provider_id
    """,
)

must_hold(
    "scheduling.no_booking_is_stuck",
    "A booking that is not over has a next step, and a job waits for that moment; nothing that is over has one.",
    """
    SELECT booking.id, booking.status, booking.next_step_at FROM scheduling_booking AS booking
    WHERE (booking.status IN ('requested', 'confirmed')) <> (booking.next_step_at IS NOT NULL)
        OR (booking.next_step_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM core_job AS timer
            WHERE timer.status = 'pending' AND timer.name = 'scheduling.take_next_step'
                AND (timer.arguments ->> 'booking_id')::bigint = booking.id AND timer.run_at <= booking.next_step_at))
    """,
)

must_hold(
    "scheduling.a_state_is_its_history",
    "A booking stands where its history ends.",
    """
    SELECT booking.id, booking.status, booking.version, change.to_status, change.version AS last
    FROM scheduling_booking AS booking
    LEFT JOIN LATERAL (
        SELECT to_status, version FROM core_state_change
        WHERE reference = 'booking:' || booking.id ORDER BY version DESC LIMIT 1
    ) AS change ON true
    WHERE booking.status IS DISTINCT FROM change.to_status OR booking.version < change.version
    """,
)

must_hold(
    "scheduling.changes_are_events",
    "Both sides of a booking were told of every step of it exactly once.",
    """
    WITH told AS (
        SELECT room, (data::jsonb ->> 'booking_id')::bigint AS booking_id, (data::jsonb ->> 'version')::int AS version,
            count(*) AS times, min(data::jsonb ->> 'status') AS to_status
        FROM core_event WHERE type = 'booking.updated' GROUP BY 1, 2, 3
    )
    SELECT booking.id, room.name AS room, change.version, change.to_status, told.to_status AS told, told.times
    FROM core_state_change AS change
    JOIN scheduling_booking AS booking ON change.reference = 'booking:' || booking.id
    CROSS JOIN LATERAL (VALUES ('user:' || booking.client_id), ('user:' || booking.provider_id)) AS room (name)
    LEFT JOIN told ON told.room = room.name AND told.booking_id = booking.id AND told.version = change.version
    WHERE change.at > %(kept_since)s AND (told.times IS DISTINCT FROM 1 OR told.to_status <> change.to_status)
    """,
)

must_hold(
    "scheduling.finished_work_is_counted_once",
    "A completed booking, and no other, is finished work of its provider for its client.",
    """
    SELECT coalesce('booking:' || booking.id, work.reference) AS reference, booking.status, work.provider_id
    FROM (SELECT * FROM scheduling_booking WHERE status = 'completed') AS booking
    FULL JOIN (
        SELECT * FROM catalog_finished_work WHERE reference LIKE 'booking:%%' AND withdrawn_at IS NULL
    ) AS work ON work.reference = 'booking:' || booking.id
    WHERE (work.provider_id, work.client_id) IS DISTINCT FROM (booking.provider_id, booking.client_id)
    """,
)

must_hold(
    "scheduling.openings_leave_out_what_is_held",
    "The catalogue calls nobody free while every chair of theirs is held, unless it is about to be told.",
    """
    SELECT booking.id, booking.provider_id, booking.blocked FROM scheduling_booking AS booking
    JOIN catalog_calendar_openings AS openings ON openings.provider_id = booking.provider_id
    WHERE booking.holds_slot AND booking.starts_at > %(now)s
        AND openings.periods && multirange(tstzrange(booking.starts_at, booking.ends_at))
        AND NOT EXISTS (SELECT FROM scheduling_stale_openings AS stale WHERE stale.provider_id = booking.provider_id)
        AND (SELECT count(*) FROM scheduling_resource AS chair
            WHERE chair.provider_id = booking.provider_id AND chair.is_active AND chair.deleted_at IS NULL) = 1
        AND EXISTS (SELECT FROM scheduling_resource AS chair WHERE chair.id = booking.resource_id AND chair.is_active)
    """,
)

must_hold(
    "scheduling.the_catalogue_is_told",
    "Where openings have changed, a job is waiting to tell the catalogue.",
    """
    SELECT stale.provider_id FROM scheduling_stale_openings AS stale
    WHERE NOT EXISTS (
        SELECT FROM core_job AS job WHERE job.status = 'pending' AND job.name = 'scheduling.push_openings'
            AND (job.arguments ->> 'provider_id')::bigint = stale.provider_id)
    """,
)
