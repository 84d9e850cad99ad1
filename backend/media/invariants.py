"""What must always hold of files and documents."""

from backend.core.proof import must_hold

must_hold(
    "media.what_is_shown_is_kept",
    "The file of every document, and each square of every photo, is claimed.",
    """
    SELECT key FROM media_document AS document JOIN media_stored_file AS file ON file.key = document.file_id
    WHERE file.purge_at IS NOT NULL
    UNION ALL
    SELECT wanted.key FROM accounts_user AS person
    CROSS JOIN LATERAL (SELECT person.photo || '/' || size || '.webp' AS key FROM unnest(ARRAY[64, 256, 1024]) AS size)
        AS wanted
    LEFT JOIN media_stored_file AS file ON file.key = wanted.key AND file.purge_at IS NULL
    WHERE person.photo <> '' AND file.key IS NULL
    """,
)

must_hold(
    "media.what_nobody_shows_is_purged",
    "No file is kept for long that nobody wants, and none of a document or photo that there is not.",
    """
    SELECT file.key, file.purge_at FROM media_stored_file AS file
    WHERE file.purge_at < %(now)s - interval '1 hour' - %(patience)s * interval '1 s'
        OR (file.purge_at IS NULL AND file.key SIMILAR TO '(documents|photos)/%%'
            AND NOT EXISTS (SELECT FROM media_document AS document WHERE document.file_id = file.key)
            AND NOT EXISTS (
                SELECT FROM accounts_user AS person
                WHERE person.photo <> '' AND person.photo = regexp_replace(file.key, '/[^/]*$', '')
            ))
    """,
)

must_hold(
    "media.exports_come_and_go",
    "An export that is ready has its file until it expires; none waits for hours to be written.",
    """
    SELECT export.id, export.status, export.created_at, export.expires_at FROM media_export AS export
    LEFT JOIN media_stored_file AS file ON file.key = export.key
    WHERE (export.status = 'ready' AND export.expires_at > %(now)s
            AND file.purge_at IS DISTINCT FROM export.expires_at)
        OR (export.status = 'requested'
            AND export.created_at < %(now)s - interval '1 hour' - %(patience)s * interval '1 s')
    """,
)

must_hold(
    "media.the_deleted_left_no_file",
    "A deleted account has no document and no export.",
    """
    SELECT person.id FROM accounts_user AS person WHERE person.deleted_at IS NOT NULL
        AND (EXISTS (SELECT FROM media_document WHERE user_id = person.id)
            OR EXISTS (SELECT FROM media_export WHERE user_id = person.id))
    """,
)
