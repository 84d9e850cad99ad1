"""What must always hold of conversations, members and messages."""

from backend.core.proof import must_hold

must_hold(
    "messaging.those_it_was_opened_with_are_members",
    "Everybody a conversation was opened with is, or was, a member.",
    """
    SELECT conversation.id, conversation.opened_with FROM messaging_conversation AS conversation
    WHERE NOT conversation.opened_with <@ ARRAY(
        SELECT member.user_id FROM messaging_member AS member WHERE member.conversation_id = conversation.id
    )
    """,
)

must_hold(
    "messaging.members_were_announced",
    "Every stay begins with the person's own member.added in the conversation's room.",
    """
    SELECT member.id, member.conversation_id, member.user_id, member.added_event_id FROM messaging_member AS member
    WHERE member.joined_at > %(kept_since)s AND NOT EXISTS (
        SELECT FROM core_event AS event
        WHERE event.id = member.added_event_id AND event.type = 'member.added'
            AND event.room = 'conversation:' || member.conversation_id
            AND (event.data::jsonb #>> '{user,id}')::bigint = member.user_id
    )
    """,
)

must_hold(
    "messaging.departures_were_announced",
    "Every stay that is over ended with the person's member.removed.",
    """
    SELECT member.id, member.conversation_id, member.user_id, member.left_at FROM messaging_member AS member
    WHERE member.left_at > %(kept_since)s AND NOT EXISTS (
        SELECT FROM core_event AS event
        WHERE event.room = 'conversation:' || member.conversation_id AND event.type = 'member.removed'
            AND event.id > member.added_event_id AND (event.data::jsonb #>> '{user,id}')::bigint = member.user_id
    )
    """,
)

must_hold(
    "messaging.messages_are_events",
    "Every message was told of exactly once, and nothing else was.",
    """
    WITH told AS (
        SELECT (data::jsonb #>> '{message,id}')::bigint AS id, count(*) AS times, min(created_at) AS at
        FROM core_event WHERE type = 'message.created' GROUP BY 1
    )
    SELECT id, message.conversation_id, told.times FROM messaging_message AS message FULL JOIN told USING (id)
    WHERE (message.id IS NULL OR told.times IS DISTINCT FROM 1)
        AND greatest(message.created_at, told.at) > %(kept_since)s
    """,
)

must_hold(
    "messaging.numbers_follow_causes",
    "What happened later in a conversation, whose row every change locks, has the higher number.",
    """
    SELECT room, number, id, before FROM (
        SELECT room, number, id, lag(id) OVER (PARTITION BY room ORDER BY number) AS before
        FROM core_event WHERE number IS NOT NULL AND room LIKE 'conversation:%%'
    ) AS numbered
    WHERE id < before
    """,
)
