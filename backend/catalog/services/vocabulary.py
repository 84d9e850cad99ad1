"""The words that typing errors are mended to."""

from datetime import datetime

from django.db import connection, transaction

SECONDS = 60
"""Counting reads every text once: longer than a request's statement may take."""

_COUNT = r"""
WITH counted AS MATERIALIZED (
    SELECT word, sum(ndoc) AS uses FROM (
        SELECT word, ndoc FROM ts_stat('SELECT words FROM catalog_service WHERE is_shown')
        UNION ALL
        SELECT word, ndoc FROM ts_stat('SELECT words FROM catalog_provider WHERE is_listed')
    ) AS both_lists
    WHERE length(word) BETWEEN 4 AND 60 AND word !~ '[0-9]'
    GROUP BY word ORDER BY uses DESC, word LIMIT 50000
), forgotten AS (
    DELETE FROM catalog_word WHERE word NOT IN (SELECT word FROM counted)
)
INSERT INTO catalog_word AS known (word, uses) SELECT word, uses FROM counted ORDER BY word
ON CONFLICT (word) DO UPDATE SET uses = excluded.uses WHERE known.uses <> excluded.uses
"""


@transaction.atomic
def renew_vocabulary(*, now: datetime) -> None:
    """Count all words anew; fifty thousand of the most used are kept. Two at a time wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{SECONDS}s'")
        cursor.execute("LOCK TABLE catalog_word IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(_COUNT)
