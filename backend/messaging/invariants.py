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
    "Every message was told of exactly once, in its conversation's room or, withheld, in its sender's own.",
    """
    WITH told AS (
        SELECT (data::jsonb #>> '{message,id}')::bigint AS id, count(*) AS times, min(created_at) AS at,
            min(room) AS room
        FROM core_event WHERE type = 'message.created' GROUP BY 1
    )
    SELECT id, message.conversation_id, told.times, told.room
    FROM messaging_message AS message FULL JOIN told USING (id)
    WHERE (message.id IS NULL OR told.times IS DISTINCT FROM 1 OR told.room <> CASE WHEN message.is_withheld
            THEN 'user:' || message.sender_id ELSE 'conversation:' || message.conversation_id END)
        AND greatest(message.created_at, told.at) > %(kept_since)s
    """,
)

must_hold(
    "messaging.unread_is_what_is_not_read",
    "The kept number of unread messages is the number that counting gives.",
    """
    SELECT member.id, member.conversation_id, member.user_id, member.unread_count, counted.messages
    FROM messaging_member AS member CROSS JOIN LATERAL (
        SELECT count(*) AS messages FROM messaging_message AS message
        WHERE message.conversation_id = member.conversation_id AND message.sender_id <> member.user_id
            AND message.id > greatest(member.read_message_id, member.since_message_id)
            AND NOT message.is_withheld AND message.deleted_at IS NULL
    ) AS counted
    WHERE member.left_at IS NULL AND member.unread_count <> counted.messages
    """,
)

must_hold(
    "messaging.positions_count",
    "A message's position, and the last of a conversation, is the number that counting gives.",
    """
    SELECT id, conversation_id, position, counted FROM (
        SELECT id, conversation_id, position, count(*) FILTER (WHERE sender_id IS NOT NULL AND NOT is_withheld)
            OVER (PARTITION BY conversation_id ORDER BY id) AS counted
        FROM messaging_message
    ) AS message WHERE position <> counted
    UNION ALL
    SELECT NULL, id, said_count, last.position FROM messaging_conversation AS conversation LEFT JOIN LATERAL (
        SELECT position FROM messaging_message WHERE conversation_id = conversation.id ORDER BY id DESC LIMIT 1
    ) AS last ON true
    WHERE said_count <> coalesce(last.position, 0)
    """,
)

must_hold(
    "messaging.the_last_message_is_the_last",
    "A conversation names its last message that all may see, and a member the last of theirs that is withheld.",
    """
    SELECT conversation.id, conversation.last_message_id, NULL AS user_id, last.id AS last_id
    FROM messaging_conversation AS conversation LEFT JOIN LATERAL (
        SELECT id, created_at FROM messaging_message
        WHERE conversation_id = conversation.id AND NOT is_withheld ORDER BY id DESC LIMIT 1
    ) AS last ON true
    WHERE (conversation.last_message_id, conversation.last_message_at)
        IS DISTINCT FROM (last.id, coalesce(last.created_at, conversation.created_at))
    UNION ALL
    SELECT member.conversation_id, member.withheld_message_id, member.user_id, last.id
    FROM messaging_member AS member LEFT JOIN LATERAL (
        SELECT id, created_at FROM messaging_message WHERE conversation_id = member.conversation_id
            AND is_withheld AND sender_id = member.user_id ORDER BY id DESC LIMIT 1
    ) AS last ON true
    WHERE member.left_at IS NULL AND (member.withheld_message_id, member.withheld_message_at)
        IS DISTINCT FROM (last.id, last.created_at)
    """,
)

must_hold(
    "messaging.watermarks_are_within",
    "Nobody has read or received what was not said yet, and nothing is told of what is withheld.",
    """
    SELECT member.id, member.conversation_id, member.user_id, member.delivered_message_id
    FROM messaging_member AS member JOIN messaging_conversation AS conversation ON conversation.id = conversation_id
    WHERE greatest(member.delivered_message_id, member.since_message_id) > coalesce(conversation.last_message_id, 0)
    """,
)

must_hold(
    "messaging.blocks_act_in_conversations_of_two",
    "In every conversation of two, and nowhere else, a member is deaf to the other if and only if they blocked them.",
    """
    SELECT member.id, member.conversation_id, member.user_id, member.blocks_other
    FROM messaging_member AS member JOIN messaging_conversation AS conversation ON conversation.id = conversation_id
    WHERE member.left_at IS NULL AND member.blocks_other <> (
        cardinality(conversation.opened_with) = 2 AND EXISTS (
            SELECT FROM messaging_block WHERE blocker_id = member.user_id AND blocked_id = ANY(conversation.opened_with)
        ))
    """,
)

must_hold(
    "messaging.only_two_withhold",
    "Messages are withheld in conversations of two only.",
    """
    SELECT message.id, message.conversation_id FROM messaging_message AS message
    JOIN messaging_conversation AS conversation ON conversation.id = conversation_id
    WHERE message.is_withheld AND cardinality(conversation.opened_with) <> 2
    """,
)

must_hold(
    "messaging.groups_are_told",
    "No group waits for long to be told where its members' lists stand.",
    """
    SELECT id, news_at FROM messaging_conversation WHERE news_at < %(now)s - %(patience)s * interval '1 s'
    """,
)

must_hold(
    "messaging.what_is_attached_is_kept",
    "The file of every attachment that a message names is claimed, and no other file of attachments is.",
    """
    SELECT attachment.id, file.key, file.purge_at
    FROM (SELECT * FROM messaging_attachment WHERE message_id IS NOT NULL) AS attachment
    FULL JOIN (SELECT * FROM media_stored_file WHERE key LIKE 'attachments/%%' AND purge_at IS NULL) AS file
        ON file.key = attachment.file_key
    WHERE attachment.id IS NULL OR file.key IS NULL
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
