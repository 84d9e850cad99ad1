"""What must always hold of roadside jobs, offers and waves, down to what the modules below keep of them."""

from backend.core.proof import must_hold

must_hold(
    "dispatch.one_winner_per_round",
    "A taken job was accepted by its assistant and nobody else; no round has two winners.",
    """
    SELECT job.id, job.status, job.assistant_id, offer.round, offer.winners FROM dispatch_assistance AS job
    LEFT JOIN (
        SELECT assistance_id, round, array_agg(assistant_id ORDER BY assistant_id) AS winners
        FROM dispatch_offer WHERE status = 'accepted' GROUP BY assistance_id, round
    ) AS offer ON offer.assistance_id = job.id
    WHERE cardinality(offer.winners) > 1
        OR (job.status IN ('accepted', 'ongoing', 'completed')
            AND NOT EXISTS (SELECT FROM dispatch_offer AS won WHERE won.assistance_id = job.id
                AND won.round = job.round AND won.assistant_id = job.assistant_id AND won.status = 'accepted'))
        OR (job.status IN ('requested', 'expired') AND offer.round = job.round)
    """,
)

must_hold(
    "dispatch.one_open_job_per_assistant",
    "An assistant has one open job at most.",
    """
    SELECT assistant_id, array_agg(id ORDER BY id) AS jobs FROM dispatch_assistance
    WHERE status IN ('accepted', 'ongoing') GROUP BY assistant_id HAVING count(*) > 1
    """,
)

must_hold(
    "dispatch.one_open_request_per_client",
    "A client has one open job at most.",
    """
    SELECT client_id, array_agg(id ORDER BY id) AS jobs FROM dispatch_assistance
    WHERE status IN ('requested', 'accepted', 'ongoing') GROUP BY client_id HAVING count(*) > 1
    """,
)

must_hold(
    "dispatch.offers_are_open_while_searching",
    "An offer is open only in the present round of a job that is still looked for.",
    """
    SELECT offer.id, offer.assistance_id, offer.assistant_id, offer.round, job.round AS present, job.status
    FROM dispatch_offer AS offer JOIN dispatch_assistance AS job ON job.id = offer.assistance_id
    WHERE offer.status = 'open' AND (job.status <> 'requested' OR offer.round <> job.round)
    """,
)

must_hold(
    "dispatch.no_request_is_stuck",
    "A job that is looked for has its end as a pending timer, and until then its next wave.",
    """
    SELECT job.id, job.round, job.requested_at, job.expires_at, wave.number AS last_wave
    FROM dispatch_assistance AS job
    LEFT JOIN LATERAL (
        SELECT number FROM dispatch_wave WHERE assistance_id = job.id AND round = job.round ORDER BY number DESC LIMIT 1
    ) AS wave ON true
    WHERE job.status = 'requested' AND (
        wave.number IS NULL
        OR NOT EXISTS (
            SELECT FROM core_job AS timer
            WHERE timer.status = 'pending' AND timer.name = 'dispatch.expire_request'
                AND (timer.arguments ->> 'assistance_id')::bigint = job.id
                AND (timer.arguments ->> 'round')::int = job.round AND timer.run_at <= job.expires_at)
        OR (job.expires_at > %(now)s + interval '60 s' AND NOT EXISTS (
            SELECT FROM core_job AS timer
            WHERE timer.status = 'pending' AND timer.name = 'dispatch.offer_next_wave'
                AND (timer.arguments ->> 'assistance_id')::bigint = job.id
                AND (timer.arguments ->> 'round')::int = job.round
                AND (timer.arguments ->> 'wave')::int = wave.number + 1)))
    """,
)

must_hold(
    "dispatch.waves_follow_each_other",
    "The waves of a round are numbered from one without a hole.",
    """
    SELECT assistance_id, round, count(*) AS waves, max(number) AS last FROM dispatch_wave
    GROUP BY assistance_id, round HAVING count(*) <> max(number)
    """,
)

must_hold(
    "dispatch.a_state_is_its_history",
    "A job stands where its history ends.",
    """
    SELECT job.id, job.status, job.version, change.to_status, change.version AS last
    FROM dispatch_assistance AS job
    LEFT JOIN LATERAL (
        SELECT to_status, version FROM core_state_change
        WHERE reference = 'assistance:' || job.id ORDER BY version DESC LIMIT 1
    ) AS change ON true
    WHERE (job.status, job.version) IS DISTINCT FROM (change.to_status, change.version)
    """,
)

must_hold(
    "dispatch.changes_are_events",
    "Every change of a job was told of in its room exactly once, and nothing else was.",
    """
    WITH told AS (
        SELECT room AS reference, (data::jsonb ->> 'version')::int AS version, count(*) AS times,
            min(data::jsonb ->> 'status') AS to_status, min(created_at) AS at
        FROM core_event WHERE type = 'assistance.status' AND room LIKE 'assistance:%%' GROUP BY 1, 2
    )
    SELECT reference, version, change.to_status, told.to_status AS told, told.times
    FROM (SELECT * FROM core_state_change WHERE reference LIKE 'assistance:%%') AS change
    FULL JOIN told USING (reference, version)
    WHERE (told.times IS DISTINCT FROM 1 OR change.to_status IS DISTINCT FROM told.to_status)
        AND greatest(change.at, told.at) > %(kept_since)s
    """,
)

must_hold(
    "dispatch.offers_are_events",
    "Every offer was told to its assistant exactly once in its round, and every withdrawal too.",
    """
    WITH told AS (
        SELECT room, (data::jsonb ->> 'assistance_id')::bigint AS assistance_id,
            count(*) FILTER (WHERE type = 'assistance.offered') AS offered,
            count(*) FILTER (WHERE type = 'assistance.withdrawn') AS withdrawn
        FROM core_event WHERE type IN ('assistance.offered', 'assistance.withdrawn') GROUP BY 1, 2
    ), offer AS (
        SELECT 'assistant:' || assistant_id AS room, assistance_id, count(*) AS offered,
            count(*) FILTER (WHERE status = 'withdrawn') AS withdrawn, min(offered_at) AS at
        FROM dispatch_offer GROUP BY 1, 2
    )
    SELECT room, assistance_id, offer.offered, told.offered AS told_offered, offer.withdrawn,
        told.withdrawn AS told_withdrawn
    FROM offer FULL JOIN told USING (room, assistance_id)
    WHERE (offer.offered, offer.withdrawn) IS DISTINCT FROM (told.offered, told.withdrawn)
        AND coalesce(offer.at > %(kept_since)s, true)
    """,
)

must_hold(
    "dispatch.one_conversation_per_acceptance",
    "Every acceptance opened one conversation of its two people; it is open only while the job is.",
    """
    SELECT job.id, job.status, job.conversation_id, taken.times, talk.conversations, talk.open
    FROM dispatch_assistance AS job
    CROSS JOIN LATERAL (
        SELECT count(*) AS times FROM core_state_change
        WHERE reference = 'assistance:' || job.id AND to_status = 'accepted'
    ) AS taken
    CROSS JOIN LATERAL (
        SELECT count(*) AS conversations, count(*) FILTER (WHERE closed_at IS NULL) AS open,
            count(*) FILTER (WHERE id = job.conversation_id AND opened_with @> ARRAY[job.client_id, job.assistant_id]
                AND cardinality(opened_with) = 2) AS theirs
        FROM messaging_conversation WHERE subject = 'assistance:' || job.id
    ) AS talk
    WHERE talk.conversations <> taken.times
        OR (job.status IN ('accepted', 'ongoing', 'completed') AND (talk.theirs, talk.open) <> (1, 1))
        OR (job.status IN ('requested', 'canceled', 'expired') AND talk.open <> 0)
    """,
)

must_hold(
    "dispatch.assistants_were_announced",
    "What an assistant may see of a job's room begins with their own member.added.",
    """
    SELECT job.id, job.assistant_id, job.assistant_added_event_id FROM dispatch_assistance AS job
    WHERE job.status IN ('accepted', 'ongoing', 'completed') AND job.accepted_at > %(kept_since)s AND NOT EXISTS (
        SELECT FROM core_event AS event
        WHERE event.id = job.assistant_added_event_id AND event.type = 'member.added'
            AND event.room = 'assistance:' || job.id
            AND (event.data::jsonb #>> '{user,id}')::bigint = job.assistant_id
    )
    """,
)

must_hold(
    "dispatch.finished_work_is_counted_once",
    "A completed job, and no other, is finished work of its assistant.",
    """
    WITH work AS (
        SELECT reference, array_agg(provider_id) AS providers FROM catalog_finished_work
        WHERE reference LIKE 'assistance:%%' GROUP BY reference
    )
    SELECT coalesce('assistance:' || job.id, work.reference) AS reference, job.status, job.assistant_id, work.providers
    FROM (SELECT * FROM dispatch_assistance WHERE status = 'completed') AS job
    FULL JOIN work ON work.reference = 'assistance:' || job.id
    WHERE work.providers IS DISTINCT FROM ARRAY[job.assistant_id]
    """,
)

must_hold(
    "dispatch.only_assistants_are_on_duty",
    "Whoever is on duty has an active account and is an assistant.",
    """
    SELECT duty.user_id, person.is_active, person.roles FROM dispatch_assistant AS duty
    JOIN accounts_user AS person ON person.id = duty.user_id
    WHERE duty.on_duty AND NOT (person.is_active AND 'assistant' = ANY(person.roles))
    """,
)

must_hold(
    "dispatch.numbers_follow_causes",
    "What happened later to a job, whose row every change locks, has the higher number.",
    """
    SELECT room, number, id, before FROM (
        SELECT room, number, id, lag(id) OVER (PARTITION BY room ORDER BY number) AS before
        FROM core_event WHERE number IS NOT NULL AND room LIKE 'assistance:%%'
    ) AS numbered
    WHERE id < before
    """,
)
