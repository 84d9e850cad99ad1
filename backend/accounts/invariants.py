"""What must always hold of people and their sessions."""

from backend.core.proof import must_hold

must_hold(
    "accounts.the_inactive_have_no_session",
    "No session of a deactivated account is alive.",
    """
    SELECT session.id, session.user_id FROM accounts_session AS session
    JOIN accounts_user AS person ON person.id = session.user_id
    WHERE session.ended_at IS NULL AND session.expires_at > %(now)s AND NOT person.is_active
    """,
)

must_hold(
    "accounts.chains_have_one_end",
    "A session has one refresh token at most that was not used yet.",
    """
    SELECT token.session_id, count(*) AS unused FROM accounts_refresh_token AS token
    WHERE NOT EXISTS (SELECT FROM accounts_refresh_token AS successor WHERE successor.parent_id = token.jti)
    GROUP BY token.session_id HAVING count(*) > 1
    """,
)

must_hold(
    "accounts.assistants_showed_their_licence",
    "Whoever is an assistant has given vehicle and licence.",
    """
    SELECT person.id, person.roles FROM accounts_user AS person
    WHERE 'assistant' = ANY(person.roles)
        AND NOT EXISTS (SELECT FROM accounts_assistant_profile AS profile WHERE profile.user_id = person.id)
    """,
)

must_hold(
    "accounts.the_deleted_left_nothing",
    "Of a deleted account nothing is left that was personal.",
    """
    SELECT person.id, person.username, left_over.kind FROM accounts_user AS person
    CROSS JOIN LATERAL (
        SELECT 'session' AS kind FROM accounts_session AS session
        WHERE session.user_id = person.id
            AND (session.ended_at IS NULL OR session.agent <> '' OR session.client_address IS NOT NULL)
        UNION ALL SELECT 'assistant' FROM accounts_assistant_profile WHERE user_id = person.id
        UNION ALL SELECT 'address' FROM accounts_address WHERE user_id = person.id
        UNION ALL SELECT 'identity' FROM accounts_external_identity WHERE user_id = person.id
        UNION ALL SELECT 'second factor' FROM accounts_second_factor WHERE user_id = person.id
        UNION ALL SELECT 'skill' FROM accounts_user_skill WHERE user_id = person.id
        UNION ALL SELECT 'invitation' FROM accounts_invitation WHERE accepted_by_id = person.id
        UNION ALL SELECT 'answer' FROM core_idempotent_answer
        WHERE core_idempotent_answer.user_id = person.id AND created_at < person.deleted_at
    ) AS left_over
    WHERE person.deleted_at IS NOT NULL
    """,
)
