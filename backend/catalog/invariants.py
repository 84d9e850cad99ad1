"""What must always hold of providers' standing."""

from backend.core.proof import must_hold

must_hold(
    "catalog.standings_are_sums",
    "A provider's standing is the sum of their visible reviews and finished jobs.",
    """
    WITH review AS (
        SELECT reviewed_id AS user_id,
            coalesce(sum(rating) FILTER (WHERE reference IS NOT NULL), 0) AS rating_sum,
            count(*) FILTER (WHERE reference IS NOT NULL) AS rating_count,
            coalesce(sum(rating) FILTER (WHERE reference IS NULL), 0) AS unverified_sum,
            count(*) FILTER (WHERE reference IS NULL) AS unverified_count
        FROM catalog_review WHERE is_visible AND removed_at IS NULL GROUP BY reviewed_id
    ), work AS (
        SELECT provider_id AS user_id, count(*) AS finished_jobs FROM catalog_finished_work
        WHERE withdrawn_at IS NULL GROUP BY provider_id
    )
    SELECT user_id, standing.finished_jobs, work.finished_jobs AS finished, standing.rating_sum,
        review.rating_sum AS summed
    FROM catalog_provider_standing AS standing FULL JOIN review USING (user_id) FULL JOIN work USING (user_id)
    WHERE (standing.rating_sum, standing.rating_count, standing.unverified_sum, standing.unverified_count)
            IS DISTINCT FROM (coalesce(review.rating_sum, 0), coalesce(review.rating_count, 0),
                coalesce(review.unverified_sum, 0), coalesce(review.unverified_count, 0))
        OR standing.finished_jobs IS DISTINCT FROM coalesce(work.finished_jobs, 0)
    """,
)

must_hold(
    "catalog.verified_reviews_are_of_finished_work",
    "Who reviewed whom for a job finished it with them, and the provider of a one-sided one did not review.",
    """
    SELECT review.id, review.reference FROM catalog_review AS review
    WHERE review.reference IS NOT NULL AND NOT EXISTS (
        SELECT FROM catalog_finished_work AS work
        WHERE work.reference = review.reference AND (
            (work.client_id, work.provider_id) = (review.author_id, review.reviewed_id)
            OR (work.both_sides_review
                AND (work.provider_id, work.client_id) = (review.author_id, review.reviewed_id))
        )
    )
    """,
)

must_hold(
    "catalog.reviews_are_shown_in_time",
    "A review waits for the other side's no longer than it may, and not at all once both are written.",
    """
    SELECT mine.id, mine.visible_from FROM catalog_review AS mine
    WHERE NOT mine.is_visible AND mine.removed_at IS NULL AND (
        mine.visible_from < %(now)s - interval '20 minutes' - %(patience)s * interval '1 s'
        OR EXISTS (
            SELECT FROM catalog_review AS other
            WHERE other.reference = mine.reference AND other.author_id = mine.reviewed_id
                AND other.reviewed_id = mine.author_id AND other.removed_at IS NULL
        )
    )
    """,
)

must_hold(
    "catalog.reviews_are_events",
    "Whoever was reviewed was told when it was shown.",
    """
    SELECT review.id FROM catalog_review AS review
    WHERE review.is_visible AND greatest(review.created_at, review.visible_from) > %(kept_since)s
        AND review.visible_from = review.created_at AND NOT EXISTS (
            SELECT FROM core_event AS event
            WHERE event.room = 'user:' || review.reviewed_id AND event.type = 'review.created'
                AND (event.data::jsonb ->> 'review_id')::bigint = review.id
        )
    """,
)

must_hold(
    "catalog.providers_are_as_their_accounts",
    "The name, the city and the activity of a provider are those of the account; others' services are not shown.",
    """
    SELECT provider.user_id, provider.name, person.name AS account FROM catalog_provider AS provider
    JOIN accounts_user AS person ON person.id = provider.user_id
    CROSS JOIN LATERAL (
        SELECT person.is_active AND person.roles && '{assistant,contractor,crew,specialist,freelancer}' AS is_listed
    ) AS account
    WHERE provider.is_listed <> account.is_listed
        OR (account.is_listed AND (provider.name, provider.city) IS DISTINCT FROM (person.name, person.city))
        OR EXISTS (
            SELECT FROM catalog_service AS service WHERE service.provider_id = provider.user_id
                AND service.is_shown <> (provider.is_listed AND service.archived_at IS NULL)
        )
    """,
)

must_hold(
    "catalog.words_follow_categories",
    "A service is found by the names of its category and of those above it, or soon will be.",
    """
    WITH RECURSIVE path AS (
        SELECT id AS leaf, id, name, parent_id, 0 AS up FROM catalog_category
        UNION ALL
        SELECT path.leaf, above.id, above.name, above.parent_id, path.up + 1
        FROM path JOIN catalog_category AS above ON above.id = path.parent_id
    ), names AS (
        SELECT leaf, array_agg(name ORDER BY up) AS names FROM path GROUP BY leaf
    )
    SELECT service.id, service.category_words, names.names FROM catalog_service AS service
    LEFT JOIN names ON names.leaf = service.category_id
    WHERE NOT (
        coalesce((SELECT bool_and(position(name IN service.category_words) > 0) FROM unnest(names.names) AS name),
            service.category_words = '')
    ) AND NOT EXISTS (SELECT FROM core_job WHERE name = 'catalog.renew_words' AND status <> 'done')
    """,
)

must_hold(
    "catalog.pictures_are_kept",
    "Both sizes of every portfolio's picture are claimed, and no other picture is.",
    """
    SELECT coalesce(shown.key, file.key) AS key FROM (
        SELECT picture || '/' || size || '.webp' AS key FROM catalog_portfolio_item, unnest(ARRAY[400, 1600]) AS size
    ) AS shown
    FULL JOIN (SELECT key FROM media_stored_file WHERE purge_at IS NULL AND key LIKE 'pictures/%%') AS file
        ON file.key = shown.key
    WHERE shown.key IS NULL OR file.key IS NULL
    """,
)
