"""Who is about to speak holds the conversation and learns who is there in one statement."""

from django.db import migrations

HOLD = """
CREATE FUNCTION messaging_hold_to_speak(speaker bigint, conversation bigint, called text)
RETURNS TABLE (
    talk messaging_conversation, message_id bigint, user_id bigint, name text, stay_id bigint, since_message_id bigint,
    unread_count integer, is_muted boolean, blocks_other boolean, said_id bigint
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT held.* INTO talk FROM messaging_conversation AS held
    WHERE held.id = conversation AND EXISTS (
        SELECT FROM messaging_member AS stay
        WHERE stay.conversation_id = conversation AND stay.user_id = speaker AND stay.left_at IS NULL
    )
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- The order of ids is the order of commits: it is taken under the lock.
    message_id := nextval('messaging_message_id_seq');
    SELECT said.id INTO said_id FROM messaging_message AS said
    WHERE said.conversation_id = conversation AND said.sender_id = speaker AND said.client_id = called;
    -- Statements of their own, which see whatever was committed before the lock was given.
    RETURN QUERY SELECT talk, message_id, stay.user_id, person.name::text, stay.id, stay.since_message_id,
        stay.unread_count, stay.is_muted, stay.blocks_other, said_id
    FROM messaging_member AS stay JOIN accounts_user AS person ON person.id = stay.user_id
    WHERE stay.conversation_id = conversation AND stay.left_at IS NULL
        AND (stay.user_id = speaker OR cardinality(talk.opened_with) = 2);
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("messaging", "0002_busy_tables")]

    operations = [migrations.RunSQL(HOLD, "DROP FUNCTION messaging_hold_to_speak")]
