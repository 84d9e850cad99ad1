"""What must always hold of the spine: numbers, heads, jobs, histories."""

from backend.core.proof import must_hold

must_hold(
    "core.numbers_are_dense",
    "The numbers of a room's events follow each other without a hole.",
    """
    SELECT room, before, number FROM (
        SELECT room, number, lag(number) OVER of_room AS before, lag(created_at) OVER of_room AS before_at
        FROM core_event WHERE number IS NOT NULL
        WINDOW of_room AS (PARTITION BY room ORDER BY number)
    ) AS numbered
    WHERE number <> before + 1 AND before_at > %(kept_since)s
    """,
)

must_hold(
    "core.heads_are_the_last_numbers",
    "The head of a room is the number of its last event.",
    """
    SELECT room, head.head, event.last FROM core_room_head AS head FULL JOIN (
        SELECT room, max(number) AS last, max(created_at) AS at FROM core_event WHERE number IS NOT NULL GROUP BY room
    ) AS event USING (room)
    WHERE event.last > coalesce(head.head, 0) OR (event.last < head.head AND event.at > %(kept_since)s)
    """,
)

must_hold(
    "core.events_get_their_numbers",
    "No event waits long for its number.",
    """
    SELECT id, room, type, written_at FROM core_event
    WHERE number IS NULL AND written_at < clock_timestamp() - %(patience)s * interval '1 s'
    ORDER BY id
    """,
)

must_hold(
    "core.events_are_in_their_partition",
    "Every relay finds an event in the partition of its room.",
    "SELECT id, room, partition FROM core_event WHERE partition <> crc32(convert_to(room, 'UTF8')) %% 16",
)

must_hold(
    "core.jobs_are_under_way",
    "Every pending job is due later, held by a worker, or was due a moment ago.",
    """
    SELECT id, name, arguments::text, run_at, sent_at, lease_until, attempts FROM core_job
    WHERE status = 'pending' AND run_at < %(now)s - %(patience)s * interval '1 s'
        AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY run_at
    """,
)

must_hold(
    "core.no_job_was_given_up",
    "No job has used up its attempts.",
    "SELECT id, name, arguments::text, attempts, last_error FROM core_job WHERE status = 'dead' ORDER BY id",
)

must_hold(
    "core.finished_jobs_are_nobodys",
    "A job has an end exactly when it is not pending, and then no worker holds it.",
    """
    SELECT id, name, status, finished_at, lease_until FROM core_job
    WHERE (status = 'pending') <> (finished_at IS NULL) OR (status <> 'pending' AND lease_until IS NOT NULL)
    """,
)

must_hold(
    "core.histories_are_dense",
    "A thing's versions follow each other from the first, and each state from the one before.",
    """
    SELECT reference, version, from_status, before, to_status FROM (
        SELECT reference, version, from_status, to_status,
            row_number() OVER of_thing AS place, lag(to_status, 1, '') OVER of_thing AS before
        FROM core_state_change WINDOW of_thing AS (PARTITION BY reference ORDER BY version)
    ) AS change
    WHERE version <> place OR from_status <> before
    """,
)

must_hold(
    "core.there_is_one_epoch",
    "The database has one life at a time.",
    "SELECT count(*) AS epochs FROM core_epoch HAVING count(*) <> 1",
)
