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
